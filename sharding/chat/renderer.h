// Walks the tree of a template and writes its text. One object per rendering; it owns every value
// that can change, and takes all its work out of one budget.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "sharding/chat/ast.h"
#include "sharding/chat/budget.h"
#include "sharding/chat/value.h"

namespace lockstep::chat {

// The names that one block has set. Lookups go on to the parent.
struct Scope {
  std::shared_ptr<Scope> parent;
  std::vector<std::pair<std::string_view, Value>> names;  // Views into the Ast.

  Value* find(std::string_view name);
  void set(std::string_view name, Value value);
};
using ScopePtr = std::shared_ptr<Scope>;

struct Macro final : Object {
  Macro() : Object(ObjectKind::kMacro) {}
  const Stmt* stmt = nullptr;
  ScopePtr scope;  // Where it was defined.
};

// A function of the interpreter, such as `range`.
class Renderer;
struct Function final : Object {
  using Body = Result<Value> (*)(Renderer& renderer, const Arguments& arguments);
  Function() : Object(ObjectKind::kFunction) {}
  Body body = nullptr;
};

// The `loop` of a for block. Items that its condition drops are passed over only when the loop gets
// there.
struct Loop final : Object {
  Loop() : Object(ObjectKind::kLoop) {}
  const Stmt* stmt = nullptr;
  ScopePtr scope;  // Around the loop.
  std::vector<Value> items;
  std::size_t next = 0;     // The first item that has not been looked at.
  std::deque<Value> ready;  // Items that were looked at and passed the condition.
  std::optional<Value> previous;
  std::optional<Value> current;
  std::int64_t index0 = -1;
  int depth0 = 0;
  std::optional<std::vector<Value>> last_changed;
};

class Renderer {
 public:
  Renderer(DictPtr variables, Budget budget, int max_depth);

  // The whole text.
  Result<TextPtr> render(const Ast& ast);

  Budget& budget() { return budget_; }
  // A variable of the caller, or null.
  const Value* variable(std::string_view name) const { return variables_->find(name); }

  // Attributes and items (attribute.cc). A missing one is an undefined value.
  Result<Value> get_attribute(const Value& self, std::string_view name);
  Result<Value> get_item(const Value& self, const Value& key);

  // Calls (call.cc).
  Result<Value> call(const Value& callee, Arguments arguments);

  // All items of something iterable, at one step each.
  Result<std::vector<Value>> items_of(const Value& value);
  // Trusted text of the interpreter or of a value, as Python's str() gives it.
  Result<TextPtr> to_text(const Value& value);

  template <typename T>
  T* make_object() {
    auto owned = std::make_unique<T>();
    T* object = owned.get();
    objects_.push_back(std::move(owned));
    return object;
  }
  Result<Value> make_generator(std::vector<Value> items);

  // Attributes and methods of `loop` (loop.cc).
  Result<Value> loop_attribute(Loop* loop, std::string_view name);
  Result<Value> call_loop_method(Loop* loop, std::string_view name, const Arguments& arguments);

 private:
  enum class Flow { kNormal, kBreak, kContinue };

  // Statements (renderer.cc).
  Result<Flow> run_block(const Block& block, const ScopePtr& scope, TextBuilder* out);
  Result<Flow> run(const Stmt& stmt, const ScopePtr& scope, TextBuilder* out);
  Result<Flow> run_if(const Stmt& stmt, const ScopePtr& scope, TextBuilder* out);
  Status run_set(const Stmt& stmt, const ScopePtr& scope);
  Status run_call_block(const Stmt& stmt, const ScopePtr& scope, TextBuilder* out);
  Result<Flow> run_with(const Stmt& stmt, const ScopePtr& scope, TextBuilder* out);
  Result<Value> capture(const Block& block, const ScopePtr& scope,
                        const std::vector<const Expr*>& filters);
  Status assign(const Target& target, const Value& value, const ScopePtr& scope);

  // Loops (loop.cc).
  Result<Flow> run_for(const Stmt& stmt, const ScopePtr& scope, TextBuilder* out);
  Result<Flow> run_loop(Loop* loop, const Value& iterable, TextBuilder* out);
  Result<Value> call_loop(Loop* loop, const Arguments& arguments);
  Result<std::optional<Value>> take_item(Loop* loop);
  Result<std::optional<Value>> filter_next(Loop* loop);
  // The item after the current one, or null.
  Result<const Value*> peek(Loop* loop);
  Result<std::int64_t> loop_length(Loop* loop);

  // Expressions (expression.cc).
  Result<Value> evaluate(const Expr& expr, const ScopePtr& scope);
  Result<Value> evaluate_inner(const Expr& expr, const ScopePtr& scope);
  // Counts one step and one level of recursion, which leave() gives back.
  Status enter();
  void leave() { --level_; }
  Result<Value> evaluate_binary(const Expr& expr, const ScopePtr& scope);
  Result<Value> evaluate_logic(const Expr& expr, const ScopePtr& scope);
  Result<Value> evaluate_compare(const Expr& expr, const ScopePtr& scope);
  Result<Value> evaluate_conditional(const Expr& expr, const ScopePtr& scope);
  Result<Value> evaluate_dict(const Expr& expr, const ScopePtr& scope);
  Result<Value> evaluate_container(const Expr& expr, const ScopePtr& scope);
  Result<Value> evaluate_sign(const Expr& expr, const ScopePtr& scope);
  Result<Value> evaluate_item(const Expr& expr, const ScopePtr& scope);
  Result<Value> evaluate_test(const Expr& expr, const ScopePtr& scope);
  Result<Value> apply(const Expr& filter, const Value& input, const ScopePtr& scope);
  Result<std::vector<Value>> evaluate_all(const std::vector<const Expr*>& exprs,
                                          const ScopePtr& scope);
  Result<Arguments> evaluate_arguments(const CallArguments& call, const ScopePtr& scope);
  Value look_up(std::string_view name, const ScopePtr& scope);

  Result<Value> call_macro(const Macro& macro, Arguments arguments);
  Status bind_parameters(const Macro& macro, Arguments* arguments, const ScopePtr& scope);

  DictPtr variables_;
  Budget budget_;
  int max_depth_;
  int level_ = 0;
  int calls_ = 0;
  std::vector<std::unique_ptr<Object>> objects_;
  std::vector<std::pair<std::string_view, Value>> globals_;
};

// "line 3: " in front of the message, unless a line stands there already.
Error at_line(int line, Error error);

}  // namespace lockstep::chat
