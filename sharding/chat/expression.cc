#include <utility>

#include "sharding/chat/filters.h"
#include "sharding/chat/operators.h"
#include "sharding/chat/predicates.h"
#include "sharding/chat/print.h"
#include "sharding/chat/renderer.h"
#include "sharding/chat/try.h"

namespace lockstep::chat {
namespace {

// How many levels of the tree may be open for each level of max_depth.
constexpr int kLevelsPerDepth = 8;

}  // namespace

Status Renderer::enter() {
  CHAT_TRY(budget_.take_steps(1));
  if (++level_ <= max_depth_ * kLevelsPerDepth) return Status();
  return Error{ErrorCode::kExhausted, "expressions and blocks are open deeper than max_depth = " +
                                          std::to_string(max_depth_) +
                                          " allows; nest the template less"};
}

Result<Value> Renderer::evaluate(const Expr& expr, const ScopePtr& scope) {
  CHAT_TRY(enter());
  auto value = evaluate_inner(expr, scope);
  leave();
  return value;
}

Result<Value> Renderer::evaluate_inner(const Expr& expr, const ScopePtr& scope) {
  switch (expr.kind) {
    case ExprKind::kLiteral:
      return expr.literal;
    case ExprKind::kName:
      return look_up(expr.name, scope);
    case ExprKind::kTuple:
    case ExprKind::kList:
      return evaluate_container(expr, scope);
    case ExprKind::kDict:
      return evaluate_dict(expr, scope);
    case ExprKind::kNegate:
    case ExprKind::kPlus:
    case ExprKind::kNot:
      return evaluate_sign(expr, scope);
    case ExprKind::kBinary:
      return evaluate_binary(expr, scope);
    case ExprKind::kAnd:
    case ExprKind::kOr:
      return evaluate_logic(expr, scope);
    case ExprKind::kCompare:
      return evaluate_compare(expr, scope);
    case ExprKind::kConditional:
      return evaluate_conditional(expr, scope);
    case ExprKind::kAttribute: {
      CHAT_ASSIGN(const Value self, evaluate(*expr.children[0], scope));
      return get_attribute(self, expr.name);
    }
    case ExprKind::kItem:
      return evaluate_item(expr, scope);
    case ExprKind::kSlice:
      return wrong("a slice cannot stand in a tuple");
    case ExprKind::kCall: {
      CHAT_ASSIGN(const Value callee, evaluate(*expr.children[0], scope));
      CHAT_ASSIGN(Arguments arguments, evaluate_arguments(expr.call, scope));
      return call(callee, std::move(arguments));
    }
    case ExprKind::kFilter: {
      CHAT_ASSIGN(const Value input, evaluate(*expr.children[0], scope));
      return apply(expr, input, scope);
    }
    case ExprKind::kTest:
      return evaluate_test(expr, scope);
  }
  return Value();
}

Value Renderer::look_up(std::string_view name, const ScopePtr& scope) {
  for (Scope* at = scope.get(); at != nullptr; at = at->parent.get()) {
    if (const Value* value = at->find(name)) return *value;
  }
  const Value* variable = variables_->find(name);
  if (variable != nullptr && name != "strftime_now") return *variable;
  for (const auto& [global, value] : globals_) {
    if (global == name) return value;
  }
  return Value::undefined("'" + std::string(name) + "' is undefined");
}

Result<std::vector<Value>> Renderer::evaluate_all(const std::vector<const Expr*>& exprs,
                                                  const ScopePtr& scope) {
  std::vector<Value> out;
  out.reserve(exprs.size());
  for (const Expr* expr : exprs) {
    CHAT_ASSIGN(Value value, evaluate(*expr, scope));
    out.push_back(std::move(value));
  }
  return out;
}

Result<Value> Renderer::evaluate_container(const Expr& expr, const ScopePtr& scope) {
  CHAT_ASSIGN(std::vector<Value> items, evaluate_all(expr.children, scope));
  return make_list(std::move(items),
                   expr.kind == ExprKind::kTuple ? ListShape::kTuple : ListShape::kList);
}

Result<Value> Renderer::evaluate_dict(const Expr& expr, const ScopePtr& scope) {
  CHAT_ASSIGN(std::vector<Value> flat, evaluate_all(expr.children, scope));
  std::vector<Dict::Entry> entries;
  entries.reserve(flat.size() / 2);
  for (std::size_t i = 0; i + 1 < flat.size(); i += 2) {
    entries.emplace_back(std::move(flat[i]), std::move(flat[i + 1]));
  }
  return make_dict(std::move(entries));
}

Result<Value> Renderer::evaluate_sign(const Expr& expr, const ScopePtr& scope) {
  CHAT_ASSIGN(Value value, evaluate(*expr.children[0], scope));
  if (expr.kind == ExprKind::kNot) return Value(!is_truthy(value));
  if (expr.kind == ExprKind::kNegate) return negate(value);
  if (value.is(Kind::kBool)) return Value(Integer{value.integer()});
  if (value.is_number()) return value;
  if (value.is_undefined()) return wrong(value.undefined_reason());
  return wrong("a sign needs a number, not " + std::string(type_name(value)));
}

// A chain such as `a + b + c` is a deep tree on its left side; it is walked without recursion, and
// text is added to one buffer.
Result<Value> Renderer::evaluate_binary(const Expr& expr, const ScopePtr& scope) {
  std::vector<const Expr*> chain;
  const Expr* first = &expr;
  for (; first->kind == ExprKind::kBinary; first = first->children[0]) chain.push_back(first);
  CHAT_ASSIGN(Value left, evaluate(*first, scope));
  std::optional<TextBuilder> joined;  // Holds the left side once it has begun to grow.
  for (auto node = chain.rbegin(); node != chain.rend(); ++node) {
    CHAT_TRY(budget_.take_steps(1));
    const Operator op = (*node)->ops[0];
    CHAT_ASSIGN(Value right, evaluate(*(*node)->children[1], scope));
    const bool left_is_text = joined || left.is(Kind::kText);
    const bool adds_text = op == Operator::kAdd && left_is_text && right.is(Kind::kText);
    if (!adds_text && op != Operator::kConcatenate) {
      if (joined) {
        CHAT_ASSIGN(TextPtr text, joined->finish());
        left = Value(std::move(text));
        joined.reset();
      }
      CHAT_ASSIGN(left, calculate(budget_, op, left, right));
      continue;
    }
    if (!joined) {
      joined.emplace(&budget_);
      CHAT_TRY(print_str(left, &*joined));
    }
    CHAT_TRY(print_str(right, &*joined));
  }
  if (!joined) return left;
  CHAT_ASSIGN(TextPtr text, joined->finish());
  return Value(std::move(text));
}

Result<Value> Renderer::evaluate_logic(const Expr& expr, const ScopePtr& scope) {
  std::vector<const Expr*> chain;
  const Expr* first = &expr;
  for (; first->kind == expr.kind; first = first->children[0]) chain.push_back(first);
  CHAT_ASSIGN(Value value, evaluate(*first, scope));
  for (auto node = chain.rbegin(); node != chain.rend(); ++node) {
    if (is_truthy(value) == (expr.kind == ExprKind::kOr)) return value;
    CHAT_ASSIGN(value, evaluate(*(*node)->children[1], scope));
  }
  return value;
}

Result<Value> Renderer::evaluate_compare(const Expr& expr, const ScopePtr& scope) {
  CHAT_ASSIGN(Value left, evaluate(*expr.children[0], scope));
  for (std::size_t i = 0; i < expr.ops.size(); ++i) {
    CHAT_ASSIGN(Value right, evaluate(*expr.children[i + 1], scope));
    CHAT_ASSIGN(const bool holds, compare(budget_, expr.ops[i], left, right));
    if (!holds) return Value(false);
    left = std::move(right);
  }
  return Value(true);
}

Result<Value> Renderer::evaluate_conditional(const Expr& expr, const ScopePtr& scope) {
  CHAT_ASSIGN(const Value condition, evaluate(*expr.children[1], scope));
  if (is_truthy(condition)) return evaluate(*expr.children[0], scope);
  if (expr.children[2] != nullptr) return evaluate(*expr.children[2], scope);
  return Value::undefined("the inline if-expression evaluated to false and has no else");
}

Result<Value> Renderer::evaluate_item(const Expr& expr, const ScopePtr& scope) {
  CHAT_ASSIGN(const Value self, evaluate(*expr.children[0], scope));
  const Expr& key = *expr.children[1];
  if (key.kind != ExprKind::kSlice) {
    CHAT_ASSIGN(const Value index, evaluate(key, scope));
    return get_item(self, index);
  }
  Value parts[3];
  for (std::size_t i = 0; i < 3; ++i) {
    if (key.children[i] == nullptr) continue;
    CHAT_ASSIGN(parts[i], evaluate(*key.children[i], scope));
  }
  return slice(budget_, self, {parts[0], parts[1], parts[2]});
}

Result<Value> Renderer::evaluate_test(const Expr& expr, const ScopePtr& scope) {
  CHAT_ASSIGN(const Value self, evaluate(*expr.children[0], scope));
  CHAT_ASSIGN(const Arguments arguments, evaluate_arguments(expr.call, scope));
  CHAT_ASSIGN(const bool holds, apply_predicate(*this, expr.name, self, arguments));
  return Value(holds);
}

Result<Value> Renderer::apply(const Expr& filter, const Value& input, const ScopePtr& scope) {
  CHAT_ASSIGN(const Arguments arguments, evaluate_arguments(filter.call, scope));
  return apply_filter(*this, filter.name, input, arguments);
}

Result<Arguments> Renderer::evaluate_arguments(const CallArguments& call, const ScopePtr& scope) {
  Arguments out;
  CHAT_ASSIGN(out.positional, evaluate_all(call.positional, scope));
  if (call.star != nullptr) {
    CHAT_ASSIGN(const Value star, evaluate(*call.star, scope));
    CHAT_ASSIGN(const std::vector<Value> items, items_of(star));
    out.positional.insert(out.positional.end(), items.begin(), items.end());
  }
  for (const auto& [name, expr] : call.named) {
    CHAT_ASSIGN(Value value, evaluate(*expr, scope));
    out.named.emplace_back(name, std::move(value));
  }
  if (call.star_star == nullptr) return out;
  CHAT_ASSIGN(const Value more, evaluate(*call.star_star, scope));
  if (!more.is(Kind::kDict)) return wrong("** in a call needs a dict");
  CHAT_TRY(budget_.take_steps(more.dict().entries.size() * (1 + out.named.size())));
  const std::size_t written = out.named.size();
  for (const auto& [key, value] : more.dict().entries) {
    if (!key.is(Kind::kText)) return wrong("** in a call needs a dict with text keys");
    for (std::size_t i = 0; i < written; ++i) {
      if (out.named[i].first == key.text().bytes()) {
        return wrong("argument '" + key.text().bytes() + "' is given twice");
      }
    }
    out.named.emplace_back(key.text().bytes(), value);
  }
  return out;
}

}  // namespace lockstep::chat
