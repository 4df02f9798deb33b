#include <algorithm>
#include <array>

#include "sharding/chat/argument_reader.h"
#include "sharding/chat/format.h"
#include "sharding/chat/methods.h"
#include "sharding/chat/renderer.h"
#include "sharding/chat/text_edit.h"
#include "sharding/chat/try.h"
#include "sharding/chat/unicode.h"

namespace lockstep::chat {
namespace {

// One call of a method.
struct Call {
  Renderer& renderer;
  const Text& self;
  std::string_view name;
  const Arguments& arguments;

  Budget& budget() const { return renderer.budget(); }
  Result<ArgumentReader> match(std::initializer_list<std::string_view> parameters) const {
    // Most of Python's str methods take no argument by name.
    return ArgumentReader::match(name, arguments, parameters);
  }
  Result<ArgumentReader> match_unnamed(std::initializer_list<std::string_view> parameters) const {
    if (!arguments.named.empty()) return wrong(std::string(name) + " takes no names");
    return ArgumentReader::match(name, arguments, parameters);
  }
};

Result<TextPtr> require_text(const ArgumentReader& reader, std::size_t index) {
  CHAT_ASSIGN(const Value value, reader.require(index));
  if (value.is(Kind::kText)) return value.text_ptr();
  if (value.is_undefined()) return wrong(value.undefined_reason());
  return wrong("a str is needed, not " + std::string(type_name(value)));
}

Result<Value> do_strip(const Call& call) {
  CHAT_ASSIGN(const auto reader, call.match_unnamed({"chars"}));
  CHAT_ASSIGN(const auto set, reader.text(0));
  const Sides sides = call.name == "strip"    ? Sides::kBoth
                      : call.name == "lstrip" ? Sides::kLeft
                                              : Sides::kRight;
  return strip(call.budget(), call.self, set ? set->get() : nullptr, sides);
}

Result<Value> do_case(const Call& call) {
  CHAT_ASSIGN(const auto reader, call.match_unnamed({}));
  static_cast<void>(reader);
  const Case to = call.name == "upper"        ? Case::kUpper
                  : call.name == "lower"      ? Case::kLower
                  : call.name == "title"      ? Case::kTitle
                  : call.name == "capitalize" ? Case::kCapitalize
                                              : Case::kSwap;
  return change_case(call.budget(), call.self, to);
}

Result<Value> do_split(const Call& call) {
  CHAT_ASSIGN(const auto reader, call.match({"sep", "maxsplit"}));
  CHAT_ASSIGN(const auto separator, reader.text(0));
  CHAT_ASSIGN(const std::int64_t limit, reader.integer(1, -1));
  const bool from_right = call.name == "rsplit";
  auto parts = separator ? split(call.budget(), call.self, **separator, limit, from_right)
                         : split_space(call.budget(), call.self, limit, from_right);
  if (!parts.ok()) return std::move(parts).error();
  return make_list(std::move(parts).value());
}

Result<Value> do_splitlines(const Call& call) {
  CHAT_ASSIGN(const auto reader, call.match({"keepends"}));
  CHAT_ASSIGN(std::vector<Value> lines,
              split_lines(call.budget(), call.self, reader.flag(0, false)));
  return make_list(std::move(lines));
}

Result<Value> do_partition(const Call& call) {
  CHAT_ASSIGN(const auto reader, call.match_unnamed({"sep"}));
  CHAT_ASSIGN(const TextPtr separator, require_text(reader, 0));
  const bool from_right = call.name == "rpartition";
  CHAT_ASSIGN(std::vector<Value> parts, split(call.budget(), call.self, *separator, 1, from_right));
  if (parts.size() == 2) {
    parts.insert(parts.begin() + 1, Value(separator));
  } else {
    const auto at = from_right ? parts.begin() : parts.end();
    parts.insert(at, 2, Value::literal(""));
  }
  return make_list(std::move(parts), ListShape::kTuple);
}

// The bytes [begin, end) that optional start and stop arguments select.
struct Window {
  std::size_t begin;
  std::size_t end;
  bool valid;  // False when start lies behind the end of the text or behind stop.
};

Result<Window> window_of(const Call& call, const ArgumentReader& reader) {
  const auto length = static_cast<std::int64_t>(call.self.length());
  CHAT_TRY(call.budget().take_scan(call.self.bytes().size()));
  const auto place = [&](std::size_t index, std::int64_t fallback) -> Result<std::int64_t> {
    if (reader.has(index) && reader.get(index)->is_none()) return fallback;
    CHAT_ASSIGN(const std::int64_t value, reader.integer(index, fallback));
    return std::max<std::int64_t>(value < 0 ? value + length : value, 0);
  };
  CHAT_ASSIGN(const std::int64_t begin, place(1, 0));
  CHAT_ASSIGN(const std::int64_t stop, place(2, length));
  const std::int64_t end = std::min(stop, length);
  if (begin > end) return Window{0, 0, false};
  return Window{call.self.byte_of(static_cast<std::size_t>(begin)),
                call.self.byte_of(static_cast<std::size_t>(end)), true};
}

Result<Value> do_affix(const Call& call) {
  CHAT_ASSIGN(const auto reader, call.match_unnamed({"prefix", "start", "end"}));
  CHAT_ASSIGN(const Value affix, reader.require(0));
  CHAT_ASSIGN(const Window window, window_of(call, reader));
  std::vector<Value> choices = {affix};
  if (affix.is(Kind::kList) && affix.list().shape == ListShape::kTuple) {
    choices = affix.list().items;
    CHAT_TRY(call.budget().take_steps(choices.size()));
  }
  const std::string_view text =
      std::string_view(call.self.bytes()).substr(window.begin, window.end - window.begin);
  bool holds = false;
  for (const Value& choice : choices) {
    if (choice.is_undefined()) return wrong(choice.undefined_reason());
    if (!choice.is(Kind::kText)) {
      return wrong(std::string(call.name) + " needs a str or a tuple of str");
    }
    const std::string& bytes = choice.text().bytes();
    if (holds) continue;
    holds = window.valid &&
            (call.name == "startswith" ? text.starts_with(bytes) : text.ends_with(bytes));
  }
  return Value(holds);
}

Result<Value> do_find(const Call& call) {
  CHAT_ASSIGN(const auto reader, call.match_unnamed({"sub", "start", "end"}));
  CHAT_ASSIGN(const TextPtr needle, require_text(reader, 0));
  CHAT_ASSIGN(const Window window, window_of(call, reader));
  const std::string_view text =
      std::string_view(call.self.bytes()).substr(window.begin, window.end - window.begin);
  const bool from_right = call.name == "rfind" || call.name == "rindex";
  std::size_t found = std::string_view::npos;
  if (window.valid) found = from_right ? text.rfind(needle->bytes()) : text.find(needle->bytes());
  if (found != std::string_view::npos) {
    const std::size_t index = call.self.index_of(window.begin + found);
    return Value(Integer{static_cast<std::int64_t>(index)});
  }
  if (call.name.ends_with("index")) return wrong("the text is not in the str");
  return Value(Integer{-1});
}

Result<Value> do_count(const Call& call) {
  CHAT_ASSIGN(const auto reader, call.match_unnamed({"sub", "start", "end"}));
  CHAT_ASSIGN(const TextPtr needle, require_text(reader, 0));
  CHAT_ASSIGN(const Window window, window_of(call, reader));
  const std::string_view text =
      std::string_view(call.self.bytes()).substr(window.begin, window.end - window.begin);
  std::int64_t count = 0;
  if (needle->bytes().empty() && window.valid) {
    count = 1 + std::count_if(text.begin(), text.end(), [](char byte) {
              return (static_cast<unsigned char>(byte) & 0xC0) != 0x80;
            });
  } else if (window.valid) {
    for (std::size_t at = text.find(needle->bytes()); at != std::string_view::npos;
         at = text.find(needle->bytes(), at + needle->bytes().size())) {
      ++count;
    }
  }
  return Value(Integer{count});
}

Result<Value> do_replace(const Call& call) {
  CHAT_ASSIGN(const auto reader, call.match_unnamed({"old", "new", "count"}));
  CHAT_ASSIGN(const TextPtr old_text, require_text(reader, 0));
  CHAT_ASSIGN(const TextPtr new_text, require_text(reader, 1));
  CHAT_ASSIGN(const std::int64_t count, reader.integer(2, -1));
  return replace(call.budget(), call.self, *old_text, *new_text, count);
}

Result<Value> do_join(const Call& call) {
  CHAT_ASSIGN(const auto reader, call.match_unnamed({"iterable"}));
  CHAT_ASSIGN(const Value iterable, reader.require(0));
  CHAT_ASSIGN(const std::vector<Value> items, call.renderer.items_of(iterable));
  TextBuilder out(&call.budget());
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (!items[i].is(Kind::kText)) {
      return wrong("join needs str items, not " + std::string(type_name(items[i])));
    }
    if (i > 0) out.append(call.self);
    out.append(items[i].text());
  }
  CHAT_ASSIGN(TextPtr text, out.finish());
  return Value(std::move(text));
}

Result<Value> do_pad(const Call& call) {
  CHAT_ASSIGN(const auto reader, call.match_unnamed({"width", "fillchar"}));
  CHAT_ASSIGN(const Value width, reader.require(0));
  if (!width.is_integral()) return wrong(std::string(call.name) + " needs an integer");
  const Value fill = reader.get_or(1, Value::literal(" "));
  if (!fill.is(Kind::kText) || fill.text().length() != 1) {
    return wrong(std::string(call.name) + " fills with one character");
  }
  const Sides added = call.name == "center"  ? Sides::kBoth
                      : call.name == "ljust" ? Sides::kRight
                                             : Sides::kLeft;
  return pad(call.budget(), call.self, width.integer(), fill.text(), added);
}

Result<Value> do_zfill(const Call& call) {
  CHAT_ASSIGN(const auto reader, call.match_unnamed({"width"}));
  CHAT_ASSIGN(const Value width, reader.require(0));
  if (!width.is_integral()) return wrong("zfill needs an integer");
  const std::string& bytes = call.self.bytes();
  const std::size_t sign = !bytes.empty() && (bytes[0] == '-' || bytes[0] == '+') ? 1 : 0;
  const auto length = static_cast<std::int64_t>(call.self.length());
  TextBuilder out(&call.budget());
  out.append_range(call.self, 0, sign);
  const Text zero("0", true);
  out.append_repeated(
      zero, static_cast<std::size_t>(std::max<std::int64_t>(width.integer(), length) - length));
  out.append_range(call.self, sign, bytes.size());
  CHAT_ASSIGN(TextPtr text, out.finish());
  return Value(std::move(text));
}

Result<Value> do_remove(const Call& call) {
  CHAT_ASSIGN(const auto reader, call.match_unnamed({"affix"}));
  CHAT_ASSIGN(const TextPtr affix, require_text(reader, 0));
  const std::string& bytes = call.self.bytes();
  std::size_t begin = 0;
  std::size_t end = bytes.size();
  if (call.name == "removeprefix" && bytes.starts_with(affix->bytes())) {
    begin = affix->bytes().size();
  } else if (call.name == "removesuffix" && bytes.ends_with(affix->bytes())) {
    end -= affix->bytes().size();
  }
  TextBuilder out(&call.budget());
  out.append_range(call.self, begin, end);
  CHAT_ASSIGN(TextPtr text, out.finish());
  return Value(std::move(text));
}

Result<Value> do_format(const Call& call) {
  return format_braces(call.renderer, call.self, call.arguments);
}

// isalpha() and its like: all characters have it, and there is one.
Result<Value> do_is_all(const Call& call) {
  using Member = bool (*)(char32_t);
  static constexpr std::array<std::pair<std::string_view, Member>, 7> kMembers = {
      {{"isalpha", is_alpha},
       {"isdecimal", is_decimal},
       {"isdigit", is_digit},
       {"isnumeric", is_numeric},
       {"isspace", is_space},
       {"isalnum",
        [](char32_t c) { return is_alpha(c) || is_decimal(c) || is_digit(c) || is_numeric(c); }},
       {"isprintable", is_printable}}};
  CHAT_ASSIGN(const auto reader, call.match_unnamed({}));
  static_cast<void>(reader);
  CHAT_TRY(call.budget().take_scan(call.self.bytes().size()));
  const std::string& bytes = call.self.bytes();
  if (call.name == "isascii") return Value(call.self.is_ascii());
  const auto* member = std::find_if(kMembers.begin(), kMembers.end(),
                                    [&](const auto& entry) { return entry.first == call.name; });
  bool holds = !bytes.empty() || call.name == "isprintable";
  for (std::size_t at = 0; at < bytes.size() && holds; at += decode(bytes, at).bytes) {
    holds = member->second(decode(bytes, at).value);
  }
  return Value(holds);
}

// isupper(), islower(): at least one cased character, and all of them of this case.
Result<Value> do_is_case(const Call& call) {
  CHAT_ASSIGN(const auto reader, call.match_unnamed({}));
  static_cast<void>(reader);
  CHAT_TRY(call.budget().take_scan(call.self.bytes().size()));
  const bool wants_upper = call.name == "isupper";
  bool any = false;
  const std::string& bytes = call.self.bytes();
  for (std::size_t at = 0; at < bytes.size(); at += decode(bytes, at).bytes) {
    const char32_t c = decode(bytes, at).value;
    if (wants_upper ? is_lower(c) : is_upper(c)) return Value(false);
    any = any || (wants_upper ? is_upper(c) : is_lower(c));
  }
  return Value(any);
}

using Method = Result<Value> (*)(const Call& call);

Method find_method(std::string_view name) {
  static constexpr std::array<std::pair<std::string_view, Method>, 39> kMethods = {{
      {"capitalize", do_case},
      {"center", do_pad},
      {"count", do_count},
      {"endswith", do_affix},
      {"find", do_find},
      {"format", do_format},
      {"index", do_find},
      {"isalnum", do_is_all},
      {"isalpha", do_is_all},
      {"isascii", do_is_all},
      {"isdecimal", do_is_all},
      {"isdigit", do_is_all},
      {"islower", do_is_case},
      {"isnumeric", do_is_all},
      {"isprintable", do_is_all},
      {"isspace", do_is_all},
      {"isupper", do_is_case},
      {"join", do_join},
      {"ljust", do_pad},
      {"lower", do_case},
      {"lstrip", do_strip},
      {"partition", do_partition},
      {"removeprefix", do_remove},
      {"removesuffix", do_remove},
      {"replace", do_replace},
      {"rfind", do_find},
      {"rindex", do_find},
      {"rjust", do_pad},
      {"rpartition", do_partition},
      {"rsplit", do_split},
      {"rstrip", do_strip},
      {"split", do_split},
      {"splitlines", do_splitlines},
      {"startswith", do_affix},
      {"strip", do_strip},
      {"swapcase", do_case},
      {"title", do_case},
      {"upper", do_case},
      {"zfill", do_zfill},
  }};
  for (const auto& [method, function] : kMethods) {
    if (method == name) return function;
  }
  return nullptr;
}

}  // namespace

bool has_text_method(std::string_view name) { return find_method(name) != nullptr; }

Result<Value> call_text_method(Renderer& renderer, const TextPtr& self, std::string_view name,
                               const Arguments& arguments) {
  const Method method = find_method(name);
  if (method == nullptr) return wrong("a str has no method '" + std::string(name) + "'");
  return method(Call{renderer, *self, name, arguments});
}

}  // namespace lockstep::chat
