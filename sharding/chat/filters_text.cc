#include <algorithm>
#include <array>
#include <cstdio>

#include "sharding/chat/argument_reader.h"
#include "sharding/chat/filter_tables.h"
#include "sharding/chat/format.h"
#include "sharding/chat/operators.h"
#include "sharding/chat/print.h"
#include "sharding/chat/renderer.h"
#include "sharding/chat/text_edit.h"
#include "sharding/chat/try.h"
#include "sharding/chat/unicode.h"

namespace lockstep::chat {
namespace {

template <Case kTo>
Result<Value> do_case(Renderer& renderer, const Value& self, const Arguments& arguments) {
  CHAT_ASSIGN(const auto reader, ArgumentReader::match("case filter", arguments, {}));
  static_cast<void>(reader);
  CHAT_ASSIGN(const TextPtr text, renderer.to_text(self));
  return change_case(renderer.budget(), *text, kTo);
}

// Unlike str.title(), words begin only after white space, '-' and opening brackets.
Result<Value> do_title(Renderer& renderer, const Value& self, const Arguments& arguments) {
  CHAT_ASSIGN(const auto reader, ArgumentReader::match("title", arguments, {}));
  static_cast<void>(reader);
  CHAT_ASSIGN(const TextPtr text, renderer.to_text(self));
  Budget& budget = renderer.budget();
  TextBuilder out(&budget);
  const std::string& bytes = text->bytes();
  const auto ends_word = [&](std::size_t at) {
    static constexpr std::string_view kBreaks = "-({[<";
    return kBreaks.find(bytes[at]) != std::string_view::npos || is_space(decode(bytes, at).value);
  };
  for (std::size_t begin = 0; begin < bytes.size();) {
    CHAT_TRY(budget.take_steps(1));
    std::size_t end = begin;
    const bool breaks = ends_word(begin);
    while (end < bytes.size() && ends_word(end) == breaks) end += decode(bytes, end).bytes;
    TextBuilder word(&budget);
    word.append_range(*text, begin, end);
    CHAT_ASSIGN(const TextPtr piece, word.finish());
    CHAT_ASSIGN(const Value head, substring(budget, *piece, 0, 1));
    CHAT_ASSIGN(const Value tail, substring(budget, *piece, 1, piece->length()));
    CHAT_ASSIGN(const Value upper_head, change_case(budget, head.text(), Case::kUpper));
    CHAT_ASSIGN(const TextPtr lower_tail, lower(budget, tail.text()));
    // All of the result is trusted only if all of the word is.
    out.append(upper_head.text().bytes(), text->is_trusted());
    out.append(lower_tail->bytes(), text->is_trusted());
    begin = end;
  }
  CHAT_ASSIGN(TextPtr result, out.finish());
  return Value(std::move(result));
}

Result<Value> do_trim(Renderer& renderer, const Value& self, const Arguments& arguments) {
  CHAT_ASSIGN(const auto reader, ArgumentReader::match("trim", arguments, {"chars"}));
  CHAT_ASSIGN(const auto set, reader.text(0));
  CHAT_ASSIGN(const TextPtr text, renderer.to_text(self));
  return strip(renderer.budget(), *text, set ? set->get() : nullptr, Sides::kBoth);
}

Result<Value> do_string(Renderer& renderer, const Value& self, const Arguments& arguments) {
  CHAT_ASSIGN(const auto reader, ArgumentReader::match("string", arguments, {}));
  static_cast<void>(reader);
  CHAT_ASSIGN(TextPtr text, renderer.to_text(self));
  return Value(std::move(text));
}

Result<Value> do_escape(Renderer& renderer, const Value& self, const Arguments& arguments) {
  CHAT_ASSIGN(Value text, do_string(renderer, self, arguments));
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kEscapes = {
      {{"&", "&amp;"}, {">", "&gt;"}, {"<", "&lt;"}, {"'", "&#39;"}, {"\"", "&#34;"}}};
  for (const auto& [from, to] : kEscapes) {
    CHAT_ASSIGN(text, replace(renderer.budget(), text.text(), Text(std::string(from), true),
                              Text(std::string(to), true), -1));
  }
  return text;
}

Result<Value> do_replace(Renderer& renderer, const Value& self, const Arguments& arguments) {
  CHAT_ASSIGN(const auto reader,
              ArgumentReader::match("replace", arguments, {"old", "new", "count"}));
  CHAT_ASSIGN(const Value old_value, reader.require(0));
  CHAT_ASSIGN(const Value new_value, reader.require(1));
  const bool all = !reader.has(2) || reader.get(2)->is_none();
  CHAT_ASSIGN(const std::int64_t count, all ? Result<std::int64_t>(-1) : reader.integer(2, -1));
  CHAT_ASSIGN(const TextPtr text, renderer.to_text(self));
  CHAT_ASSIGN(const TextPtr old_text, renderer.to_text(old_value));
  CHAT_ASSIGN(const TextPtr new_text, renderer.to_text(new_value));
  return replace(renderer.budget(), *text, *old_text, *new_text, count);
}

Result<Value> do_format(Renderer& renderer, const Value& self, const Arguments& arguments) {
  if (!arguments.named.empty() && !arguments.positional.empty()) {
    return wrong("format takes positional or named arguments, not both");
  }
  CHAT_ASSIGN(const TextPtr text, renderer.to_text(self));
  if (arguments.named.empty()) {
    CHAT_ASSIGN(const Value values, make_list(arguments.positional, ListShape::kTuple));
    return format_percent(renderer.budget(), *text, values);
  }
  std::vector<Dict::Entry> entries;
  for (const auto& [name, value] : arguments.named) {
    entries.emplace_back(Value::literal(name), value);
  }
  CHAT_ASSIGN(const Value values, make_dict(std::move(entries)));
  return format_percent(renderer.budget(), *text, values);
}

Result<Value> do_indent(Renderer& renderer, const Value& self, const Arguments& arguments) {
  CHAT_ASSIGN(const auto reader,
              ArgumentReader::match("indent", arguments, {"width", "first", "blank"}));
  if (self.is_undefined()) return wrong(self.undefined_reason());
  if (!self.is(Kind::kText)) return wrong("indent needs a str");
  Budget& budget = renderer.budget();
  TextPtr indention;
  if (reader.has(0) && reader.get(0)->is(Kind::kText)) {
    indention = reader.get(0)->text_ptr();
  } else {
    CHAT_ASSIGN(const std::int64_t width, reader.integer(0, 4));
    TextBuilder spaces(&budget);
    spaces.append_repeated(Text(" ", true),
                           static_cast<std::size_t>(std::max<std::int64_t>(width, 0)));
    CHAT_ASSIGN(indention, spaces.finish());
  }
  // With a line end added, as Jinja does it: the text "a\n" has an empty second line.
  TextBuilder longer(&budget);
  longer.append(self.text());
  longer.append("\n", true);
  CHAT_ASSIGN(const TextPtr text, longer.finish());
  CHAT_ASSIGN(const std::vector<Value> lines, split_lines(budget, *text, false));
  TextBuilder out(&budget);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) out.append("\n", true);
    const bool is_filled = lines[i].text().length() > 0;
    if (i == 0 ? reader.flag(1, false) : reader.flag(2, false) || is_filled) {
      out.append(*indention);
    }
    out.append(lines[i].text());
  }
  CHAT_ASSIGN(TextPtr result, out.finish());
  return Value(std::move(result));
}

Result<Value> do_center(Renderer& renderer, const Value& self, const Arguments& arguments) {
  CHAT_ASSIGN(const auto reader, ArgumentReader::match("center", arguments, {"width"}));
  CHAT_ASSIGN(const std::int64_t width, reader.integer(0, 80));
  CHAT_ASSIGN(const TextPtr text, renderer.to_text(self));
  return pad(renderer.budget(), *text, width, Text(" ", true), Sides::kBoth);
}

Result<Value> do_truncate(Renderer& renderer, const Value& self, const Arguments& arguments) {
  CHAT_ASSIGN(const auto reader, ArgumentReader::match("truncate", arguments,
                                                       {"length", "killwords", "end", "leeway"}));
  CHAT_ASSIGN(const std::int64_t length, reader.integer(0, 255));
  const Value end = reader.get_or(2, Value::literal("..."));
  CHAT_ASSIGN(const std::int64_t leeway, reader.has(3) && reader.get(3)->is_none()
                                             ? Result<std::int64_t>(5)
                                             : reader.integer(3, 5));
  if (!end.is(Kind::kText)) return wrong("truncate: end must be a str");
  const auto end_length = static_cast<std::int64_t>(end.text().length());
  if (length < end_length || leeway < 0) return wrong("truncate: the length is too small");
  // What is short enough stays as it is, text or not.
  CHAT_ASSIGN(const Value length_of_self, apply_filter(renderer, "length", self, Arguments()));
  const std::int64_t size = length_of_self.integer();
  if (size <= length || size - length <= leeway) return self;
  if (!self.is(Kind::kText)) return wrong("truncate needs a str");
  Budget& budget = renderer.budget();
  CHAT_ASSIGN(Value kept,
              substring(budget, self.text(), 0, static_cast<std::size_t>(length - end_length)));
  if (!reader.flag(1, false)) {
    CHAT_ASSIGN(const std::vector<Value> parts,
                split(budget, kept.text(), Text(" ", true), 1, true));
    kept = parts[0];
  }
  return calculate(budget, Operator::kAdd, kept, end);
}

Result<Value> do_tojson(Renderer& renderer, const Value& self, const Arguments& arguments) {
  CHAT_ASSIGN(const auto reader,
              ArgumentReader::match("tojson", arguments,
                                    {"ensure_ascii", "indent", "separators", "sort_keys"}));
  JsonStyle style;
  style.ensure_ascii = reader.flag(0, false);
  style.sort_keys = reader.flag(3, false);
  if (reader.has(1) && reader.get(1)->is(Kind::kText)) {
    style.indent = reader.get(1)->text().bytes();
  } else if (reader.has(1) && !reader.get(1)->is_none()) {
    CHAT_ASSIGN(const std::int64_t width, reader.integer(1, 0));
    if (width > 1000) return wrong("tojson: indent is too large");
    style.indent = std::string(static_cast<std::size_t>(std::max<std::int64_t>(width, 0)), ' ');
  }
  if (style.indent) style.item_separator = ",";
  if (reader.has(2) && !reader.get(2)->is_none()) {
    CHAT_ASSIGN(const std::vector<Value> pair, renderer.items_of(*reader.get(2)));
    if (pair.size() != 2 || !pair[0].is(Kind::kText) || !pair[1].is(Kind::kText)) {
      return wrong("tojson: separators must be two str");
    }
    style.item_separator = pair[0].text().bytes();
    style.key_separator = pair[1].text().bytes();
  }
  CHAT_ASSIGN(TextPtr text, to_json(renderer.budget(), self, style));
  return Value(std::move(text));
}

Result<Value> do_urlencode(Renderer& renderer, const Value& self, const Arguments& arguments) {
  CHAT_ASSIGN(const auto reader, ArgumentReader::match("urlencode", arguments, {}));
  static_cast<void>(reader);
  if (self.is(Kind::kDict) || (self.is(Kind::kList))) {
    return wrong("urlencode of pairs is not supported, only of a str");
  }
  CHAT_ASSIGN(const TextPtr text, renderer.to_text(self));
  CHAT_TRY(renderer.budget().take_scan(text->bytes().size()));
  std::string out;
  for (const char c : text->bytes()) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view("_.-~/").find(c) != std::string_view::npos;
    char buffer[8];
    std::snprintf(buffer, sizeof buffer, "%%%02X", static_cast<unsigned char>(c));
    out += plain ? std::string(1, c) : std::string(buffer);
  }
  TextBuilder builder(&renderer.budget());
  builder.append(out, text->is_trusted());
  CHAT_ASSIGN(TextPtr result, builder.finish());
  return Value(std::move(result));
}

}  // namespace

std::span<const FilterEntry> text_filters() {
  static constexpr std::array<FilterEntry, 17> kFilters = {{
      {"trim", do_trim},
      {"upper", do_case<Case::kUpper>},
      {"lower", do_case<Case::kLower>},
      {"capitalize", do_case<Case::kCapitalize>},
      {"title", do_title},
      {"string", do_string},
      {"safe", do_string},
      {"escape", do_escape},
      {"e", do_escape},
      {"replace", do_replace},
      {"format", do_format},
      {"indent", do_indent},
      {"center", do_center},
      {"truncate", do_truncate},
      {"tojson", do_tojson},
      {"urlencode", do_urlencode},
      {"forceescape", do_escape},
  }};
  return kFilters;
}

}  // namespace lockstep::chat
