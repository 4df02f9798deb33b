// Values of the template language, with Python's meaning. Containers cannot be changed once made
// (the sandbox of Hugging Face forbids it too); what can change is an Object, and the renderer owns
// all of those, so that no cycle of pointers can form.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"
#include "sharding/chat/text.h"

namespace lockstep::chat {

class Value;
struct List;
struct Dict;
struct Bound;
struct Object;

using ListPtr = std::shared_ptr<const List>;
using DictPtr = std::shared_ptr<const Dict>;
using BoundPtr = std::shared_ptr<const Bound>;

// What a missing name or attribute gives; printing it gives "", most uses are errors.
struct Undefined {
  std::shared_ptr<const std::string> reason;
};
struct None {};

// Numbers are marked too: digits of a user's number stay a user's text when they are printed.
struct Integer {
  std::int64_t value;
  bool trusted = true;
};
struct Float {
  double value;
  bool trusted = true;
};

enum class Kind {
  kUndefined,
  kNone,
  kBool,
  kInteger,
  kFloat,
  kText,
  kList,
  kDict,
  kBound,
  kObject
};

class Value {
 public:
  Value() : state_(None{}) {}
  Value(Undefined v) : state_(std::move(v)) {}
  explicit Value(bool v) : state_(v) {}
  Value(Integer v) : state_(v) {}
  Value(Float v) : state_(v) {}
  Value(TextPtr v) : state_(std::move(v)) {}
  Value(ListPtr v) : state_(std::move(v)) {}
  Value(DictPtr v) : state_(std::move(v)) {}
  Value(BoundPtr v) : state_(std::move(v)) {}
  explicit Value(Object* v) : state_(v) {}

  // Trusted text, for names and other short words of the interpreter itself.
  static Value literal(std::string_view text);
  static Value undefined(std::string reason);

  Kind kind() const;
  bool is(Kind kind_of) const { return kind() == kind_of; }
  bool is_undefined() const { return is(Kind::kUndefined); }
  bool is_none() const { return is(Kind::kNone); }
  // Python counts True and False among the integers.
  bool is_integral() const { return is(Kind::kBool) || is(Kind::kInteger); }
  bool is_number() const { return is_integral() || is(Kind::kFloat); }

  bool boolean() const { return std::get<bool>(state_); }
  // Requires: is_integral().
  std::int64_t integer() const;
  // Requires: is_number().
  double number() const;
  const Text& text() const { return *std::get<TextPtr>(state_); }
  const TextPtr& text_ptr() const { return std::get<TextPtr>(state_); }
  const List& list() const { return *std::get<ListPtr>(state_); }
  const ListPtr& list_ptr() const { return std::get<ListPtr>(state_); }
  const Dict& dict() const { return *std::get<DictPtr>(state_); }
  const DictPtr& dict_ptr() const { return std::get<DictPtr>(state_); }
  const Bound& bound() const { return *std::get<BoundPtr>(state_); }
  Object* object() const { return std::get<Object*>(state_); }
  const std::string& undefined_reason() const { return *std::get<Undefined>(state_).reason; }

  // For numbers; true for everything else that is no text.
  bool is_trusted_number() const;
  // How deep the containers in it are nested; 0 for anything else.
  int depth() const;
  // How many steps it takes to look at all of it, at most (saturates). Shared parts count each
  // time: a value of few bytes can be a tree of 2^100 leaves.
  std::size_t weight() const;
  // Whether it is the very same object (Python's `is`), as far as a template can tell.
  bool is_same(const Value& other) const;

 private:
  std::variant<Undefined, None, bool, Integer, Float, TextPtr, ListPtr, DictPtr, BoundPtr, Object*>
      state_;
};

enum class ListShape { kList, kTuple, kRange, kKeys, kValues, kItems };

struct List {
  ListShape shape = ListShape::kList;
  std::vector<Value> items;
  int depth = 1;
  std::size_t weight = 1;
};

struct Dict {
  using Entry = std::pair<Value, Value>;

  // In order of insertion, as in Python.
  std::vector<Entry> entries;
  // Text keys of a large dict by their bytes, to the entry.
  std::unordered_map<std::string_view, std::size_t> index;
  int depth = 1;
  std::size_t weight = 1;

  // The value of `key`, or null.
  const Value* find(const Value& key) const;
  const Value* find(std::string_view key) const;
};

// A method of a value: `message.content.strip` without the call.
struct Bound {
  Value self;
  std::string name;
  int depth = 1;
};

enum class ObjectKind { kNamespace, kMacro, kLoop, kGenerator, kCycler, kJoiner, kFunction };

struct Object {
  explicit Object(ObjectKind k) : kind(k) {}
  virtual ~Object() = default;
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;

  const ObjectKind kind;
};

struct Namespace final : Object {
  Namespace() : Object(ObjectKind::kNamespace) {}
  std::vector<std::pair<std::string, Value>> fields;
};

// What filters such as `select` give: its items can be taken once.
struct Generator final : Object {
  Generator() : Object(ObjectKind::kGenerator) {}
  std::vector<Value> items;
  std::size_t next = 0;
  // What went wrong while the items were made: Python makes them only when they are asked for.
  std::optional<Error> failure;
};

struct Cycler final : Object {
  Cycler() : Object(ObjectKind::kCycler) {}
  std::vector<Value> items;
  std::size_t next = 0;
};

struct Joiner final : Object {
  Joiner() : Object(ObjectKind::kJoiner) {}
  Value separator;
  bool used = false;
};

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

// Containers nested deeper than this are refused.
inline constexpr int kMaxValueDepth = 100;

// kExhausted when the result were nested deeper than kMaxValueDepth.
Result<Value> make_list(std::vector<Value> items, ListShape shape = ListShape::kList);
// A later entry with an equal key replaces the value of an earlier one, as in Python.
// kInvalidArgument for keys that Python cannot hash.
Result<Value> make_dict(std::vector<Dict::Entry> entries);
Result<Value> make_bound(Value self, std::string name);

bool is_truthy(const Value& value);
// Python's ==, which never fails.
bool are_equal(const Value& a, const Value& b);
// Python's <, for two numbers, texts or sequences; kInvalidArgument for anything else.
Result<bool> is_less(const Value& a, const Value& b);
// "str", "int", "NoneType", ...
std::string_view type_name(const Value& value);

}  // namespace lockstep::chat
