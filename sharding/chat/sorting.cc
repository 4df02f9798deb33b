#include "sharding/chat/sorting.h"

#include <algorithm>
#include <bit>

#include "sharding/chat/argument_reader.h"
#include "sharding/chat/filter_tables.h"
#include "sharding/chat/renderer.h"
#include "sharding/chat/text_edit.h"
#include "sharding/chat/try.h"

namespace lockstep::chat {

Result<Value> without_case(Renderer& renderer, const Value& value) {
  if (!value.is(Kind::kText)) return value;
  CHAT_ASSIGN(TextPtr text, lower(renderer.budget(), value.text()));
  return Value(std::move(text));
}

namespace {

struct Keyed {
  Value key;
  Value value;
};

// The key of an item: the item, or what `attribute` names, in lower case unless case matters.
Result<Value> key_of(Renderer& renderer, const Value& item, const Value* attribute,
                     bool case_sensitive) {
  Value key = item;
  if (attribute != nullptr && !attribute->is_none()) {
    CHAT_ASSIGN(key, value_at_path(renderer, item, *attribute));
  }
  return case_sensitive ? Result<Value>(key) : without_case(renderer, key);
}

Result<std::vector<Keyed>> keyed_items(Renderer& renderer, const Value& self,
                                       const Value* attribute, bool case_sensitive) {
  CHAT_ASSIGN(const std::vector<Value> items, renderer.items_of(self));
  std::vector<Keyed> out;
  for (const Value& item : items) {
    CHAT_ASSIGN(Value key, key_of(renderer, item, attribute, case_sensitive));
    out.push_back({std::move(key), item});
  }
  return out;
}

// Stable, as Python's sorted(); the order kept when it is reversed too.
Status sort_keyed(Renderer& renderer, std::vector<Keyed>* items, bool reverse) {
  std::size_t weight = 1;
  for (const Keyed& item : *items) weight = std::max(weight, item.key.weight());
  const auto rounds = static_cast<std::size_t>(std::bit_width(items->size()));
  std::size_t work = 0;
  if (__builtin_mul_overflow(weight, items->size() * rounds, &work)) work = SIZE_MAX;
  CHAT_TRY(renderer.budget().take_steps(work));
  std::optional<Error> failure;
  const auto less = [&](const Keyed& a, const Keyed& b) {
    auto result = reverse ? is_less(b.key, a.key) : is_less(a.key, b.key);
    if (result.ok()) return result.value();
    if (!failure) failure = std::move(result).error();
    return false;
  };
  std::stable_sort(items->begin(), items->end(), less);
  if (failure) return *std::move(failure);
  return Status();
}

Result<Value> extreme(Renderer& renderer, const Value& self, const Arguments& arguments,
                      bool largest) {
  CHAT_ASSIGN(const auto reader, ArgumentReader::match(largest ? "max" : "min", arguments,
                                                       {"case_sensitive", "attribute"}));
  CHAT_ASSIGN(const std::vector<Keyed> items,
              keyed_items(renderer, self, reader.get(1), reader.flag(0, false)));
  if (items.empty()) return Value::undefined("No aggregated item, sequence was empty.");
  const Keyed* best = &items[0];
  for (std::size_t i = 1; i < items.size(); ++i) {
    CHAT_TRY(renderer.budget().take_steps(std::min(items[i].key.weight(), best->key.weight())));
    CHAT_ASSIGN(const bool better,
                largest ? is_less(best->key, items[i].key) : is_less(items[i].key, best->key));
    if (better) best = &items[i];
  }
  return best->value;
}

}  // namespace

Result<Value> sort_filter(Renderer& renderer, const Value& self, const Arguments& arguments) {
  CHAT_ASSIGN(const auto reader,
              ArgumentReader::match("sort", arguments, {"reverse", "case_sensitive", "attribute"}));
  const bool case_sensitive = reader.flag(1, false);
  const Value* attribute = reader.get(2);
  std::vector<Keyed> items;
  if (attribute != nullptr && attribute->is(Kind::kText)) {
    // Several attributes, with commas between.
    CHAT_ASSIGN(const std::vector<Value> paths,
                split(renderer.budget(), attribute->text(), Text(",", true), -1, false));
    CHAT_ASSIGN(const std::vector<Value> values, renderer.items_of(self));
    for (const Value& value : values) {
      std::vector<Value> keys;
      for (const Value& path : paths) {
        CHAT_ASSIGN(Value key, key_of(renderer, value, &path, case_sensitive));
        keys.push_back(std::move(key));
      }
      CHAT_ASSIGN(Value key, make_list(std::move(keys)));
      items.push_back({std::move(key), value});
    }
  } else {
    CHAT_ASSIGN(items, keyed_items(renderer, self, attribute, case_sensitive));
  }
  CHAT_TRY(sort_keyed(renderer, &items, reader.flag(0, false)));
  std::vector<Value> out;
  for (Keyed& item : items) out.push_back(std::move(item.value));
  return make_list(std::move(out));
}

Result<Value> dictsort_filter(Renderer& renderer, const Value& self, const Arguments& arguments) {
  CHAT_ASSIGN(const auto reader,
              ArgumentReader::match("dictsort", arguments, {"case_sensitive", "by", "reverse"}));
  const Value by = reader.get_or(1, Value::literal("key"));
  const bool by_value = are_equal(by, Value::literal("value"));
  if (!by_value && !are_equal(by, Value::literal("key"))) {
    return wrong("dictsort: by must be 'key' or 'value'");
  }
  if (self.is_undefined()) return wrong(self.undefined_reason());
  if (!self.is(Kind::kDict)) return wrong("dictsort needs a dict");
  std::vector<Keyed> items;
  for (const auto& [key, value] : self.dict().entries) {
    CHAT_ASSIGN(Value pair, make_list({key, value}, ListShape::kTuple));
    CHAT_ASSIGN(Value order,
                key_of(renderer, by_value ? value : key, nullptr, reader.flag(0, false)));
    items.push_back({std::move(order), std::move(pair)});
  }
  CHAT_TRY(sort_keyed(renderer, &items, reader.flag(2, false)));
  std::vector<Value> out;
  for (Keyed& item : items) out.push_back(std::move(item.value));
  return make_list(std::move(out));
}

Result<Value> unique_filter(Renderer& renderer, const Value& self, const Arguments& arguments) {
  CHAT_ASSIGN(const auto reader,
              ArgumentReader::match("unique", arguments, {"case_sensitive", "attribute"}));
  CHAT_ASSIGN(const std::vector<Keyed> items,
              keyed_items(renderer, self, reader.get(1), reader.flag(0, false)));
  std::vector<Value> out;
  std::vector<const Value*> seen;
  for (const Keyed& item : items) {
    CHAT_ASSIGN(const Value probe, make_dict({{item.key, Value()}}));  // Refuses what has no hash.
    static_cast<void>(probe);
    CHAT_TRY(renderer.budget().take_steps(item.key.weight() + seen.size() / 16));
    if (std::any_of(seen.begin(), seen.end(),
                    [&](const Value* other) { return are_equal(*other, item.key); })) {
      continue;
    }
    seen.push_back(&item.key);
    out.push_back(item.value);
  }
  return renderer.make_generator(std::move(out));
}

Result<Value> min_filter(Renderer& renderer, const Value& self, const Arguments& arguments) {
  return extreme(renderer, self, arguments, false);
}

Result<Value> max_filter(Renderer& renderer, const Value& self, const Arguments& arguments) {
  return extreme(renderer, self, arguments, true);
}

}  // namespace lockstep::chat
