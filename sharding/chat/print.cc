#include "sharding/chat/print.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "sharding/chat/try.h"
#include "sharding/chat/unicode.h"

namespace lockstep::chat {
namespace {

std::string hex_escape(char32_t c) {
  char buffer[16];
  const auto value = static_cast<unsigned>(c);
  const char* format = value <= 0xFF ? "\\x%02x" : (value <= 0xFFFF ? "\\u%04x" : "\\U%08x");
  std::snprintf(buffer, sizeof buffer, format, value);
  return buffer;
}

void print_text_repr(const Text& text, TextBuilder* out) {
  const std::string& bytes = text.bytes();
  const char quote =
      bytes.find('\'') != std::string::npos && bytes.find('"') == std::string::npos ? '"' : '\'';
  const bool trusted = text.is_trusted();
  std::string body(1, quote);
  for (std::size_t at = 0; at < bytes.size();) {
    const CodePoint c = decode(bytes, at);
    if (c.value == static_cast<char32_t>(quote) || c.value == U'\\') {
      body.push_back('\\');
      body.push_back(static_cast<char>(c.value));
    } else if (c.value == U'\n') {
      body += "\\n";
    } else if (c.value == U'\r') {
      body += "\\r";
    } else if (c.value == U'\t') {
      body += "\\t";
    } else if (!is_printable(c.value)) {
      body += hex_escape(c.value);
    } else {
      body.append(bytes, at, c.bytes);
    }
    at += c.bytes;
  }
  body.push_back(quote);
  out->append(body, trusted);
}

Status print_items(const std::vector<Value>& items, TextBuilder* out) {
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out->append(", ", true);
    CHAT_TRY(print_repr(items[i], out));
    if (out->is_full()) return Budget::out_of_bytes();
  }
  return Status();
}

Status print_list(const List& list, TextBuilder* out) {
  switch (list.shape) {
    case ListShape::kTuple:
      out->append("(", true);
      CHAT_TRY(print_items(list.items, out));
      out->append(list.items.size() == 1 ? ",)" : ")", true);
      return Status();
    case ListShape::kRange: {
      if (list.items.empty()) return wrong("an empty range cannot be printed; use |list");
      const std::int64_t first = list.items.front().integer();
      const std::int64_t step =
          list.items.size() > 1 ? list.items[1].integer() - first : std::int64_t{1};
      out->append("range(" + std::to_string(first) + ", " +
                      std::to_string(list.items.back().integer() + step) +
                      (step == 1 ? ")" : ", " + std::to_string(step) + ")"),
                  true);
      return Status();
    }
    case ListShape::kList:
      out->append("[", true);
      CHAT_TRY(print_items(list.items, out));
      out->append("]", true);
      return Status();
    default:
      break;
  }
  const std::string name(list.shape == ListShape::kKeys     ? "dict_keys(["
                         : list.shape == ListShape::kValues ? "dict_values(["
                                                            : "dict_items([");
  out->append(name, true);
  CHAT_TRY(print_items(list.items, out));
  out->append("])", true);
  return Status();
}

Status print_dict(const Dict& dict, TextBuilder* out) {
  out->append("{", true);
  bool is_first = true;
  for (const auto& [key, value] : dict.entries) {
    if (!is_first) out->append(", ", true);
    is_first = false;
    CHAT_TRY(print_repr(key, out));
    out->append(": ", true);
    CHAT_TRY(print_repr(value, out));
    if (out->is_full()) return Budget::out_of_bytes();
  }
  out->append("}", true);
  return Status();
}

Status print_namespace(const Namespace& object, TextBuilder* out) {
  out->append("<Namespace {", true);
  for (std::size_t i = 0; i < object.fields.size(); ++i) {
    if (object.fields[i].second.is(Kind::kObject) || object.fields[i].second.depth() > 0) {
      return wrong("a namespace that holds lists, dicts or objects cannot be printed");
    }
    out->append((i > 0 ? ", '" : "'") + object.fields[i].first + "': ", true);
    CHAT_TRY(print_repr(object.fields[i].second, out));
  }
  out->append("}>", true);
  return Status();
}

}  // namespace

std::string float_repr(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[64];
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
  const std::string text(buffer, end.ptr);
  const std::size_t e = text.find('e');
  const int exponent = std::atoi(text.c_str() + e + 1);
  if (exponent < -4 || exponent >= 16) return text;
  const auto fixed = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::fixed);
  std::string out(buffer, fixed.ptr);
  if (out.find('.') == std::string::npos) out += ".0";
  return out;
}

Status print_str(const Value& value, TextBuilder* out) {
  if (value.is_undefined()) return Status();
  if (!value.is(Kind::kText)) return print_repr(value, out);
  out->append(value.text());
  return Status();
}

Status print_repr(const Value& value, TextBuilder* out) {
  switch (value.kind()) {
    case Kind::kUndefined:
      out->append("Undefined", true);
      return Status();
    case Kind::kNone:
      out->append("None", true);
      return Status();
    case Kind::kBool:
      out->append(value.boolean() ? "True" : "False", true);
      return Status();
    case Kind::kInteger:
      out->append(std::to_string(value.integer()), value.is_trusted_number());
      return Status();
    case Kind::kFloat:
      out->append(float_repr(value.number()), value.is_trusted_number());
      return Status();
    case Kind::kText:
      print_text_repr(value.text(), out);
      return Status();
    case Kind::kList:
      return print_list(value.list(), out);
    case Kind::kDict:
      return print_dict(value.dict(), out);
    case Kind::kObject:
      if (value.object()->kind == ObjectKind::kNamespace) {
        return print_namespace(*static_cast<const Namespace*>(value.object()), out);
      }
      [[fallthrough]];
    case Kind::kBound:
      break;
  }
  // Python would print an address.
  return wrong("a " + std::string(type_name(value)) + " cannot be printed");
}

}  // namespace lockstep::chat
