#include "sharding/chat/predicates.h"

#include <array>

#include "sharding/chat/filters.h"
#include "sharding/chat/operators.h"
#include "sharding/chat/renderer.h"
#include "sharding/chat/text_edit.h"
#include "sharding/chat/try.h"
#include "sharding/chat/unicode.h"

namespace lockstep::chat {
namespace {

bool is_generator(const Value& v) {
  return v.is(Kind::kObject) && v.object()->kind == ObjectKind::kGenerator;
}

bool is_iterable(const Value& v) {
  return v.is_undefined() || v.is(Kind::kText) || v.is(Kind::kList) || v.is(Kind::kDict) ||
         is_generator(v) || (v.is(Kind::kObject) && v.object()->kind == ObjectKind::kLoop);
}

bool is_sequence(const Value& v) {
  return v.is_undefined() || v.is(Kind::kText) || v.is(Kind::kDict) ||
         (v.is(Kind::kList) && v.list().shape < ListShape::kKeys);
}

bool is_callable(const Value& v) {
  if (v.is_undefined() || v.is(Kind::kBound)) return true;
  if (!v.is(Kind::kObject)) return false;
  const ObjectKind kind = v.object()->kind;
  return kind == ObjectKind::kMacro || kind == ObjectKind::kFunction || kind == ObjectKind::kLoop ||
         kind == ObjectKind::kJoiner;
}

// Tests of the value alone.
using Simple = bool (*)(const Value& value);
constexpr std::array<std::pair<std::string_view, Simple>, 15> kSimple = {{
    {"defined", [](const Value& v) { return !v.is_undefined(); }},
    {"undefined", [](const Value& v) { return v.is_undefined(); }},
    {"none", [](const Value& v) { return v.is_none(); }},
    {"boolean", [](const Value& v) { return v.is(Kind::kBool); }},
    {"true", [](const Value& v) { return v.is(Kind::kBool) && v.boolean(); }},
    {"false", [](const Value& v) { return v.is(Kind::kBool) && !v.boolean(); }},
    {"integer", [](const Value& v) { return v.is(Kind::kInteger); }},
    {"float", [](const Value& v) { return v.is(Kind::kFloat); }},
    {"number", [](const Value& v) { return v.is_number(); }},
    {"string", [](const Value& v) { return v.is(Kind::kText); }},
    {"mapping", [](const Value& v) { return v.is(Kind::kDict); }},
    {"iterable", is_iterable},
    {"sequence", is_sequence},
    {"callable", is_callable},
    {"escaped", [](const Value&) { return false; }},
}};

// Tests against one other value.
struct Comparison {
  std::string_view name;
  Operator op;
};
constexpr std::array<Comparison, 17> kComparisons = {{
    {"eq", Operator::kEqual},
    {"equalto", Operator::kEqual},
    {"==", Operator::kEqual},
    {"ne", Operator::kNotEqual},
    {"!=", Operator::kNotEqual},
    {"lt", Operator::kLess},
    {"lessthan", Operator::kLess},
    {"<", Operator::kLess},
    {"le", Operator::kLessEqual},
    {"<=", Operator::kLessEqual},
    {"gt", Operator::kGreater},
    {"greaterthan", Operator::kGreater},
    {">", Operator::kGreater},
    {"ge", Operator::kGreaterEqual},
    {">=", Operator::kGreaterEqual},
    {"in", Operator::kIn},
    {"sameas", Operator::kEqual},
}};

constexpr std::array<std::string_view, 7> kOthers = {"odd",   "even",   "divisibleby", "lower",
                                                     "upper", "filter", "test"};

Result<bool> is_case(Renderer& renderer, std::string_view name, const Value& self) {
  CHAT_ASSIGN(const TextPtr text, renderer.to_text(self));
  bool any = false;
  const std::string& bytes = text->bytes();
  CHAT_TRY(renderer.budget().take_scan(bytes.size()));
  for (std::size_t at = 0; at < bytes.size(); at += decode(bytes, at).bytes) {
    const char32_t c = decode(bytes, at).value;
    if (name == "upper" ? is_lower(c) : is_upper(c)) return false;
    any = any || is_upper(c) || is_lower(c);
  }
  return any;
}

Result<bool> apply_number(Renderer& renderer, std::string_view name, const Value& self,
                          const Arguments& arguments) {
  const bool divides = name == "divisibleby";
  if (arguments.positional.size() != (divides ? 1U : 0U)) {
    return wrong("the test '" + std::string(name) + "' has a wrong number of arguments");
  }
  const Value divisor = divides ? arguments.positional[0] : Value(Integer{2});
  CHAT_ASSIGN(const Value rest, calculate(renderer.budget(), Operator::kModulo, self, divisor));
  return are_equal(rest, Value(Integer{name == "odd" ? 1 : 0}));
}

}  // namespace

bool has_predicate(std::string_view name) {
  for (const auto& [other, function] : kSimple) {
    if (other == name) return true;
  }
  for (const Comparison& comparison : kComparisons) {
    if (comparison.name == name) return true;
  }
  for (const std::string_view other : kOthers) {
    if (other == name) return true;
  }
  return false;
}

Result<bool> apply_predicate(Renderer& renderer, std::string_view name, const Value& self,
                             const Arguments& arguments) {
  const std::string label = "the test '" + std::string(name) + "'";
  if (!arguments.named.empty()) return wrong(label + " takes no arguments by name");
  for (const auto& [other, function] : kSimple) {
    if (other != name) continue;
    if (!arguments.positional.empty()) return wrong(label + " takes no arguments");
    return function(self);
  }
  for (const Comparison& comparison : kComparisons) {
    if (comparison.name != name) continue;
    if (arguments.positional.size() != 1) return wrong(label + " takes one argument");
    if (name == "sameas") return self.is_same(arguments.positional[0]);
    return compare(renderer.budget(), comparison.op, self, arguments.positional[0]);
  }
  if (name == "odd" || name == "even" || name == "divisibleby") {
    return apply_number(renderer, name, self, arguments);
  }
  if (!arguments.positional.empty()) return wrong(label + " takes no arguments");
  if (name == "lower" || name == "upper") return is_case(renderer, name, self);
  if (name == "filter" || name == "test") {
    if (!self.is(Kind::kText)) return false;
    const std::string& wanted = self.text().bytes();
    return name == "filter" ? has_filter(wanted) : has_predicate(wanted);
  }
  return wrong("there is no test '" + std::string(name) + "'");
}

}  // namespace lockstep::chat
