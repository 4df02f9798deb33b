#include "sharding/chat/value.h"

#include <algorithm>
#include <cmath>

#include "sharding/chat/try.h"

namespace lockstep::chat {
namespace {

// Dicts up to this size are searched from the front.
constexpr std::size_t kSmallDict = 8;

bool is_hashable(const Value& value) {
  switch (value.kind()) {
    case Kind::kDict:
      return false;
    case Kind::kList:
      if (value.list().shape == ListShape::kRange) return true;
      if (value.list().shape != ListShape::kTuple) return false;
      return std::all_of(value.list().items.begin(), value.list().items.end(), is_hashable);
    default:
      return true;
  }
}

// Python compares an integer and a float exactly, not by rounding the integer.
int compare_mixed(std::int64_t a, double b) {
  if (std::isnan(b)) return 2;
  if (b >= 9223372036854775808.0) return -1;
  if (b < -9223372036854775808.0) return 1;
  const double whole = std::trunc(b);
  const auto truncated = static_cast<std::int64_t>(whole);
  if (a != truncated) return a < truncated ? -1 : 1;
  if (b == whole) return 0;
  return b > whole ? -1 : 1;
}

// -1, 0, 1, or 2 for "unordered" (NaN).
int compare_numbers(const Value& a, const Value& b) {
  if (a.is_integral() && b.is_integral()) {
    const std::int64_t x = a.integer();
    const std::int64_t y = b.integer();
    return x < y ? -1 : (x > y ? 1 : 0);
  }
  if (a.is_integral()) return compare_mixed(a.integer(), b.number());
  if (b.is_integral()) {
    const int reversed = compare_mixed(b.integer(), a.number());
    return reversed == 2 ? 2 : -reversed;
  }
  const double x = a.number();
  const double y = b.number();
  if (std::isnan(x) || std::isnan(y)) return 2;
  return x < y ? -1 : (x > y ? 1 : 0);
}

bool are_equal_lists(const List& a, const List& b) {
  if (a.shape != b.shape) return false;
  if (a.shape == ListShape::kValues) return &a == &b;
  if (a.items.size() != b.items.size()) return false;
  if (a.shape == ListShape::kKeys || a.shape == ListShape::kItems) {
    return std::all_of(a.items.begin(), a.items.end(), [&](const Value& item) {
      return std::any_of(b.items.begin(), b.items.end(),
                         [&](const Value& other) { return are_equal(item, other); });
    });
  }
  for (std::size_t i = 0; i < a.items.size(); ++i) {
    if (!are_equal(a.items[i], b.items[i])) return false;
  }
  return true;
}

bool are_equal_dicts(const Dict& a, const Dict& b) {
  if (a.entries.size() != b.entries.size()) return false;
  for (const auto& [key, value] : a.entries) {
    const Value* other = b.find(key);
    if (other == nullptr || !are_equal(value, *other)) return false;
  }
  return true;
}

std::size_t add_weight(std::size_t weight, const Value& value) {
  std::size_t sum = 0;
  return __builtin_add_overflow(weight, value.weight(), &sum) ? SIZE_MAX : sum;
}

int deepest(int depth, const Value& value) { return std::max(depth, value.depth()); }

Error too_deep() {
  return Error{ErrorCode::kExhausted, "lists and dicts are nested deeper than " +
                                          std::to_string(kMaxValueDepth) + " levels"};
}

}  // namespace

Value Value::literal(std::string_view text) {
  return Value(TextPtr(std::make_shared<const Text>(std::string(text), true)));
}

Value Value::undefined(std::string reason) {
  return Value(Undefined{std::make_shared<const std::string>(std::move(reason))});
}

Kind Value::kind() const { return static_cast<Kind>(state_.index()); }

std::int64_t Value::integer() const {
  return is(Kind::kBool) ? static_cast<std::int64_t>(boolean()) : std::get<Integer>(state_).value;
}

double Value::number() const {
  return is(Kind::kFloat) ? std::get<Float>(state_).value : static_cast<double>(integer());
}

bool Value::is_trusted_number() const {
  if (is(Kind::kInteger)) return std::get<Integer>(state_).trusted;
  if (is(Kind::kFloat)) return std::get<Float>(state_).trusted;
  return true;
}

int Value::depth() const {
  switch (kind()) {
    case Kind::kList:
      return list().depth;
    case Kind::kDict:
      return dict().depth;
    case Kind::kBound:
      return bound().depth;
    default:
      return 0;
  }
}

std::size_t Value::weight() const {
  switch (kind()) {
    case Kind::kText:
      return 1 + text().bytes().size() / 256;
    case Kind::kList:
      return list().weight;
    case Kind::kDict:
      return dict().weight;
    default:
      return 1;
  }
}

bool Value::is_same(const Value& other) const {
  if (kind() != other.kind()) return false;
  switch (kind()) {
    case Kind::kList:
      return list_ptr() == other.list_ptr() ||
             (list().shape == ListShape::kTuple && list().items.empty() &&
              other.list().shape == ListShape::kTuple && other.list().items.empty());
    case Kind::kDict:
      return dict_ptr() == other.dict_ptr();
    case Kind::kObject:
      return object() == other.object();
    case Kind::kUndefined:
    case Kind::kBound:
      return false;
    default:
      return are_equal(*this, other);
  }
}

const Value* Dict::find(const Value& key) const {
  if (key.is(Kind::kText)) return find(std::string_view(key.text().bytes()));
  for (const auto& [name, value] : entries) {
    if (!name.is(Kind::kText) && are_equal(name, key)) return &value;
  }
  return nullptr;
}

const Value* Dict::find(std::string_view key) const {
  if (!index.empty()) {
    const auto found = index.find(key);
    return found == index.end() ? nullptr : &entries[found->second].second;
  }
  for (const auto& [name, value] : entries) {
    if (name.is(Kind::kText) && name.text().bytes() == key) return &value;
  }
  return nullptr;
}

Result<Value> make_list(std::vector<Value> items, ListShape shape) {
  auto list = std::make_shared<List>();
  list->shape = shape;
  int depth = 0;
  for (const Value& item : items) {
    depth = deepest(depth, item);
    list->weight = add_weight(list->weight, item);
  }
  if (depth >= kMaxValueDepth) return too_deep();
  list->depth = depth + 1;
  list->items = std::move(items);
  return Value(ListPtr(std::move(list)));
}

Result<Value> make_dict(std::vector<Dict::Entry> entries) {
  auto dict = std::make_shared<Dict>();
  int depth = 0;
  dict->entries.reserve(entries.size());
  for (Dict::Entry& entry : entries) {
    Value& key = entry.first;
    Value& value = entry.second;
    if (!is_hashable(key)) {
      return wrong("a " + std::string(type_name(key)) + " cannot be the key of a dict");
    }
    depth = deepest(deepest(depth, key), value);
    dict->weight = add_weight(add_weight(dict->weight, key), value);
    if (const Value* old = dict->find(key)) {
      *const_cast<Value*>(old) = std::move(value);
      continue;
    }
    dict->entries.emplace_back(std::move(key), std::move(value));
    if (dict->entries.size() <= kSmallDict) continue;
    for (std::size_t i = dict->index.empty() ? 0 : dict->entries.size() - 1;
         i < dict->entries.size(); ++i) {
      const Value& name = dict->entries[i].first;
      if (name.is(Kind::kText)) dict->index.emplace(name.text().bytes(), i);
    }
  }
  if (depth >= kMaxValueDepth) return too_deep();
  dict->depth = depth + 1;
  return Value(DictPtr(std::move(dict)));
}

Result<Value> make_bound(Value self, std::string name) {
  const int depth = self.depth();
  if (depth >= kMaxValueDepth) return too_deep();
  return Value(
      BoundPtr(std::make_shared<const Bound>(Bound{std::move(self), std::move(name), depth + 1})));
}

bool is_truthy(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
      return value.boolean();
    case Kind::kInteger:
      return value.integer() != 0;
    case Kind::kFloat:
      return value.number() != 0;
    case Kind::kText:
      return value.text().length() > 0;
    case Kind::kList:
      return !value.list().items.empty();
    case Kind::kDict:
      return !value.dict().entries.empty();
    case Kind::kBound:
    case Kind::kObject:
      return true;
  }
  return false;
}

bool are_equal(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) return compare_numbers(a, b) == 0;
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::kText:
      return a.text().bytes() == b.text().bytes();
    case Kind::kList:
      return are_equal_lists(a.list(), b.list());
    case Kind::kDict:
      return are_equal_dicts(a.dict(), b.dict());
    case Kind::kBound:
      return a.bound().name == b.bound().name && a.bound().self.is_same(b.bound().self);
    case Kind::kObject:
      return a.object() == b.object();
    default:
      return true;  // Undefined and None equal their like.
  }
}

Result<bool> is_less(const Value& a, const Value& b) {
  if (a.is_undefined()) return wrong(a.undefined_reason());
  if (b.is_undefined()) return wrong(b.undefined_reason());
  if (a.is_number() && b.is_number()) return compare_numbers(a, b) == -1;
  // UTF-8 sorts like its code points.
  if (a.is(Kind::kText) && b.is(Kind::kText)) return a.text().bytes() < b.text().bytes();
  if (a.is(Kind::kList) && b.is(Kind::kList) && a.list().shape == b.list().shape &&
      (a.list().shape == ListShape::kList || a.list().shape == ListShape::kTuple)) {
    const auto& x = a.list().items;
    const auto& y = b.list().items;
    for (std::size_t i = 0; i < x.size() && i < y.size(); ++i) {
      if (!are_equal(x[i], y[i])) return is_less(x[i], y[i]);
    }
    return x.size() < y.size();
  }
  return wrong("a " + std::string(type_name(a)) + " and a " + std::string(type_name(b)) +
               " have no order");
}

std::string_view type_name(const Value& value) {
  static constexpr std::string_view kShapes[] = {"list",      "tuple",       "range",
                                                 "dict_keys", "dict_values", "dict_items"};
  static constexpr std::string_view kObjects[] = {"Namespace", "Macro",  "LoopContext", "generator",
                                                  "Cycler",    "Joiner", "function"};
  switch (value.kind()) {
    case Kind::kUndefined:
      return "Undefined";
    case Kind::kNone:
      return "NoneType";
    case Kind::kBool:
      return "bool";
    case Kind::kInteger:
      return "int";
    case Kind::kFloat:
      return "float";
    case Kind::kText:
      return "str";
    case Kind::kList:
      return kShapes[static_cast<std::size_t>(value.list().shape)];
    case Kind::kDict:
      return "dict";
    case Kind::kBound:
      return "method";
    case Kind::kObject:
      return kObjects[static_cast<std::size_t>(value.object()->kind)];
  }
  return "object";
}

}  // namespace lockstep::chat
