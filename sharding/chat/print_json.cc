#include <algorithm>
#include <cmath>
#include <cstdio>

#include "sharding/chat/print.h"
#include "sharding/chat/try.h"

namespace lockstep::chat {
namespace {

class JsonWriter {
 public:
  JsonWriter(TextBuilder* out, const JsonStyle& style) : out_(*out), style_(style) {}

  Status write(const Value& value, int depth);

 private:
  void write_text(const Text& text);
  Status write_key(const Value& key);
  Status write_list(const List& list, int depth);
  Status write_dict(const Dict& dict, int depth);
  void break_line(int depth);

  TextBuilder& out_;
  const JsonStyle& style_;
};

void append_escape(char32_t c, std::string* out) {
  char buffer[16];
  const auto value = static_cast<unsigned>(c);
  if (value > 0xFFFF) {
    const unsigned rest = value - 0x10000;
    std::snprintf(buffer, sizeof buffer, "\\u%04x\\u%04x", 0xD800 + (rest >> 10),
                  0xDC00 + (rest & 0x3FF));
  } else {
    std::snprintf(buffer, sizeof buffer, "\\u%04x", value);
  }
  out->append(buffer);
}

void JsonWriter::write_text(const Text& text) {
  static constexpr std::string_view kSpecial = "\"\\\n\r\t\f\b";
  static constexpr std::string_view kLetters = "\"\\nrtfb";
  out_.append("\"", true);
  std::size_t begin = 0;
  for (const Text::Run& run : text.runs()) {
    std::string body;
    for (std::size_t at = begin; at < run.end;) {
      const CodePoint c = decode(text.bytes(), at);
      const std::size_t special =
          c.value < 0x80 ? kSpecial.find(static_cast<char>(c.value)) : std::string_view::npos;
      if (special != std::string_view::npos) {
        body.push_back('\\');
        body.push_back(kLetters[special]);
      } else if (c.value < 0x20 || (style_.ensure_ascii && c.value > 0x7E && c.value != 0x7F)) {
        append_escape(c.value, &body);
      } else {
        body.append(text.bytes(), at, c.bytes);
      }
      at += c.bytes;
    }
    out_.append(body, run.trusted);
    begin = run.end;
  }
  out_.append("\"", true);
}

void JsonWriter::break_line(int depth) {
  if (!style_.indent) return;
  out_.append("\n", true);
  for (int i = 0; i < depth; ++i) out_.append(*style_.indent, true);
}

std::string json_float(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
  return float_repr(value);
}

Status JsonWriter::write_list(const List& list, int depth) {
  if (list.shape != ListShape::kList && list.shape != ListShape::kTuple) {
    return wrong("JSON cannot hold a value of this type; use |list first");
  }
  out_.append("[", true);
  for (std::size_t i = 0; i < list.items.size(); ++i) {
    if (i > 0) out_.append(style_.item_separator, true);
    break_line(depth + 1);
    CHAT_TRY(write(list.items[i], depth + 1));
  }
  if (!list.items.empty()) break_line(depth);
  out_.append("]", true);
  return Status();
}

Status JsonWriter::write_key(const Value& key) {
  if (key.is(Kind::kText)) {
    write_text(key.text());
    return Status();
  }
  if (!key.is_number() && !key.is_none()) {
    return wrong("JSON cannot have a " + std::string(type_name(key)) + " as a key");
  }
  out_.append("\"", true);
  CHAT_TRY(write(key, 0));
  out_.append("\"", true);
  return Status();
}

Status JsonWriter::write_dict(const Dict& dict, int depth) {
  std::vector<const Dict::Entry*> entries;
  for (const auto& entry : dict.entries) entries.push_back(&entry);
  if (style_.sort_keys) {
    for (std::size_t i = 1; i < entries.size(); ++i) {
      CHAT_TRY(is_less(entries[i - 1]->first, entries[i]->first));
    }
    std::stable_sort(entries.begin(), entries.end(), [](const auto* a, const auto* b) {
      const auto less = is_less(a->first, b->first);
      return less.ok() && less.value();
    });
  }
  out_.append("{", true);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (i > 0) out_.append(style_.item_separator, true);
    break_line(depth + 1);
    CHAT_TRY(write_key(entries[i]->first));
    out_.append(style_.key_separator, true);
    CHAT_TRY(write(entries[i]->second, depth + 1));
  }
  if (!entries.empty()) break_line(depth);
  out_.append("}", true);
  return Status();
}

Status JsonWriter::write(const Value& value, int depth) {
  if (out_.is_full()) return Budget::out_of_bytes();
  switch (value.kind()) {
    case Kind::kNone:
      out_.append("null", true);
      return Status();
    case Kind::kBool:
      out_.append(value.boolean() ? "true" : "false", true);
      return Status();
    case Kind::kInteger:
      out_.append(std::to_string(value.integer()), value.is_trusted_number());
      return Status();
    case Kind::kFloat:
      out_.append(json_float(value.number()), value.is_trusted_number());
      return Status();
    case Kind::kText:
      write_text(value.text());
      return Status();
    case Kind::kList:
      return write_list(value.list(), depth);
    case Kind::kDict:
      return write_dict(value.dict(), depth);
    case Kind::kUndefined:
      return wrong(value.undefined_reason());
    default:
      return wrong("JSON cannot hold a " + std::string(type_name(value)));
  }
}

}  // namespace

Result<TextPtr> to_json(Budget& budget, const Value& value, const JsonStyle& style) {
  TextBuilder out(&budget);
  CHAT_TRY(JsonWriter(&out, style).write(value, 0));
  return out.finish();
}

}  // namespace lockstep::chat
