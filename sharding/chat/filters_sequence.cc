#include <algorithm>
#include <array>

#include "sharding/chat/argument_reader.h"
#include "sharding/chat/filter_tables.h"
#include "sharding/chat/number_text.h"
#include "sharding/chat/operators.h"
#include "sharding/chat/renderer.h"
#include "sharding/chat/sorting.h"
#include "sharding/chat/text_edit.h"
#include "sharding/chat/try.h"

namespace lockstep::chat {
namespace {

bool is_generator(const Value& value) {
  return value.is(Kind::kObject) && value.object()->kind == ObjectKind::kGenerator;
}

Result<Value> do_length(Renderer& renderer, const Value& self, const Arguments& arguments) {
  CHAT_ASSIGN(const auto reader, ArgumentReader::match("length", arguments, {}));
  static_cast<void>(reader);
  std::size_t size = 0;
  if (self.is(Kind::kText)) {
    size = self.text().length();
  } else if (self.is(Kind::kList)) {
    size = self.list().items.size();
  } else if (self.is(Kind::kDict)) {
    size = self.dict().entries.size();
  } else if (self.is(Kind::kObject) && self.object()->kind == ObjectKind::kLoop) {
    return renderer.get_attribute(self, "length");
  } else if (!self.is_undefined()) {
    return wrong("a " + std::string(type_name(self)) + " has no length");
  }
  return Value(Integer{static_cast<std::int64_t>(size)});
}

Result<Value> do_first(Renderer& renderer, const Value& self, const Arguments& arguments) {
  CHAT_ASSIGN(const auto reader, ArgumentReader::match("first", arguments, {}));
  static_cast<void>(reader);
  if (is_generator(self)) {
    auto* generator = static_cast<Generator*>(self.object());
    if (generator->failure) return *generator->failure;
    if (generator->next < generator->items.size()) return generator->items[generator->next++];
  }
  CHAT_ASSIGN(const std::vector<Value> items, renderer.items_of(self));
  if (items.empty()) return Value::undefined("No first item, sequence was empty.");
  return items.front();
}

Result<Value> do_last(Renderer& renderer, const Value& self, const Arguments& arguments) {
  CHAT_ASSIGN(const auto reader, ArgumentReader::match("last", arguments, {}));
  static_cast<void>(reader);
  if (is_generator(self)) return wrong("last needs a sequence; use |list first");
  CHAT_ASSIGN(const std::vector<Value> items, renderer.items_of(self));
  if (items.empty()) return Value::undefined("No last item, sequence was empty.");
  return items.back();
}

Result<Value> do_list(Renderer& renderer, const Value& self, const Arguments& arguments) {
  CHAT_ASSIGN(const auto reader, ArgumentReader::match("list", arguments, {}));
  static_cast<void>(reader);
  CHAT_ASSIGN(std::vector<Value> items, renderer.items_of(self));
  return make_list(std::move(items));
}

Result<Value> do_items(Renderer& renderer, const Value& self, const Arguments& arguments) {
  CHAT_ASSIGN(const auto reader, ArgumentReader::match("items", arguments, {}));
  static_cast<void>(reader);
  std::vector<Value> out;
  if (self.is_undefined()) return renderer.make_generator(std::move(out));
  if (!self.is(Kind::kDict)) return wrong("items needs a mapping");
  for (const auto& [key, value] : self.dict().entries) {
    CHAT_ASSIGN(Value pair, make_list({key, value}, ListShape::kTuple));
    out.push_back(std::move(pair));
  }
  return renderer.make_generator(std::move(out));
}

Result<Value> do_default(Renderer&, const Value& self, const Arguments& arguments) {
  CHAT_ASSIGN(const auto reader,
              ArgumentReader::match("default", arguments, {"default_value", "boolean"}));
  const bool missing = self.is_undefined() || (reader.flag(1, false) && !is_truthy(self));
  return missing ? reader.get_or(0, Value::literal("")) : self;
}

Result<Value> do_reverse(Renderer& renderer, const Value& self, const Arguments& arguments) {
  CHAT_ASSIGN(const auto reader, ArgumentReader::match("reverse", arguments, {}));
  static_cast<void>(reader);
  if (self.is(Kind::kText)) {
    return slice(renderer.budget(), self, {Value(), Value(), Value(Integer{-1})});
  }
  CHAT_ASSIGN(std::vector<Value> items, renderer.items_of(self));
  std::reverse(items.begin(), items.end());
  return renderer.make_generator(std::move(items));
}

Result<Value> do_join(Renderer& renderer, const Value& self, const Arguments& arguments) {
  CHAT_ASSIGN(const auto reader, ArgumentReader::match("join", arguments, {"d", "attribute"}));
  CHAT_ASSIGN(const TextPtr separator, renderer.to_text(reader.get_or(0, Value::literal(""))));
  CHAT_ASSIGN(const std::vector<Value> items, renderer.items_of(self));
  TextBuilder out(&renderer.budget());
  for (std::size_t i = 0; i < items.size(); ++i) {
    Value item = items[i];
    if (reader.has(1) && !reader.get(1)->is_none()) {
      CHAT_ASSIGN(item, value_at_path(renderer, item, *reader.get(1)));
    }
    CHAT_ASSIGN(const TextPtr text, renderer.to_text(item));
    if (i > 0) out.append(*separator);
    out.append(*text);
  }
  CHAT_ASSIGN(TextPtr text, out.finish());
  return Value(std::move(text));
}

Result<Value> do_sum(Renderer& renderer, const Value& self, const Arguments& arguments) {
  CHAT_ASSIGN(const auto reader, ArgumentReader::match("sum", arguments, {"attribute", "start"}));
  Value total = reader.get_or(1, Value(Integer{0}));
  if (total.is(Kind::kText)) return wrong("sum cannot add str; use join");
  CHAT_ASSIGN(const std::vector<Value> items, renderer.items_of(self));
  for (Value item : items) {
    if (reader.has(0) && !reader.get(0)->is_none()) {
      CHAT_ASSIGN(item, value_at_path(renderer, item, *reader.get(0)));
    }
    CHAT_ASSIGN(total, calculate(renderer.budget(), Operator::kAdd, total, item));
  }
  return total;
}

Result<Value> do_batch(Renderer& renderer, const Value& self, const Arguments& arguments) {
  CHAT_ASSIGN(const auto reader,
              ArgumentReader::match("batch", arguments, {"linecount", "fill_with"}));
  CHAT_ASSIGN(const Value required, reader.require(0));
  if (!required.is_integral() || required.integer() < 1) return wrong("batch needs a size");
  const auto size = static_cast<std::size_t>(required.integer());
  CHAT_ASSIGN(const std::vector<Value> items, renderer.items_of(self));
  std::vector<Value> out;
  for (std::size_t begin = 0; begin < items.size(); begin += size) {
    const std::size_t end = size > items.size() - begin ? items.size() : begin + size;
    std::vector<Value> row(items.begin() + static_cast<std::ptrdiff_t>(begin),
                           items.begin() + static_cast<std::ptrdiff_t>(end));
    if (row.size() < size && reader.has(1) && !reader.get(1)->is_none()) {
      CHAT_TRY(renderer.budget().take_steps(size - row.size()));
      row.resize(size, *reader.get(1));
    }
    CHAT_ASSIGN(Value list, make_list(std::move(row)));
    out.push_back(std::move(list));
    if (end == items.size()) break;
  }
  return renderer.make_generator(std::move(out));
}

}  // namespace

Result<Value> value_at_path(Renderer& renderer, const Value& item, const Value& path) {
  if (path.is_integral()) return renderer.get_item(item, path);
  if (!path.is(Kind::kText)) return wrong("an attribute is named by a str or an integer");
  Value at = item;
  CHAT_ASSIGN(const std::vector<Value> parts,
              split(renderer.budget(), path.text(), Text(".", true), -1, false));
  for (const Value& part : parts) {
    const std::string& name = part.text().bytes();
    const bool is_index =
        !name.empty() && name.find_first_not_of("0123456789") == std::string::npos;
    Value key = part;
    if (is_index) {
      bool overflows = false;
      const auto index = read_integer(name, 10, &overflows);
      if (!index || overflows) return wrong("an attribute's number is too large");
      key = Value(Integer{*index});
    }
    CHAT_ASSIGN(at, renderer.get_item(at, key));
  }
  return at;
}

std::span<const FilterEntry> sequence_filters() {
  static constexpr std::array<FilterEntry, 17> kFilters = {{
      {"length", do_length},
      {"count", do_length},
      {"first", do_first},
      {"last", do_last},
      {"list", do_list},
      {"items", do_items, true},
      {"default", do_default},
      {"d", do_default},
      {"reverse", do_reverse},
      {"join", do_join},
      {"sum", do_sum},
      {"batch", do_batch, true},
      {"sort", sort_filter},
      {"dictsort", dictsort_filter},
      {"unique", unique_filter, true},
      {"min", min_filter},
      {"max", max_filter},
  }};
  return kFilters;
}

}  // namespace lockstep::chat
