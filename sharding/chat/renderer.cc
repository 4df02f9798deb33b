#include "sharding/chat/renderer.h"

#include <algorithm>

#include "sharding/chat/globals.h"
#include "sharding/chat/print.h"
#include "sharding/chat/try.h"

namespace lockstep::chat {

Value* Scope::find(std::string_view name) {
  for (auto& [other, value] : names) {
    if (other == name) return &value;
  }
  return nullptr;
}

void Scope::set(std::string_view name, Value value) {
  if (Value* old = find(name)) {
    *old = std::move(value);
  } else {
    names.emplace_back(name, std::move(value));
  }
}

Error at_line(int line, Error error) {
  if (error.message.starts_with("line ")) return error;
  return std::move(error).with_context("line " + std::to_string(line));
}

Renderer::Renderer(DictPtr variables, Budget budget, int max_depth)
    : variables_(std::move(variables)), budget_(budget), max_depth_(max_depth) {
  for (const GlobalFunction& global : global_functions()) {
    if (global.name == "strftime_now" && variables_->find(global.name) == nullptr) continue;
    auto* function = make_object<Function>();
    function->body = global.body;
    globals_.emplace_back(global.name, Value(function));
  }
}

Result<TextPtr> Renderer::render(const Ast& ast) {
  TextBuilder out(&budget_);
  CHAT_TRY(run_block(ast.body, std::make_shared<Scope>(), &out));
  return out.finish();
}

Result<TextPtr> Renderer::to_text(const Value& value) {
  if (value.is(Kind::kText)) return value.text_ptr();
  TextBuilder out(&budget_);
  CHAT_TRY(print_str(value, &out));
  return out.finish();
}

Result<Value> Renderer::make_generator(std::vector<Value> items) {
  auto* generator = make_object<Generator>();
  CHAT_TRY(budget_.take_steps(items.size()));
  generator->items = std::move(items);
  return Value(generator);
}

Result<std::vector<Value>> Renderer::items_of(const Value& value) {
  std::vector<Value> out;
  CHAT_TRY(budget_.take_steps(1));
  if (value.is_undefined()) return out;
  if (value.is(Kind::kText)) {
    const Text& text = value.text();
    CHAT_TRY(budget_.take_steps(text.length()));
    for (std::size_t at = 0; at < text.bytes().size();) {
      const std::size_t size = decode(text.bytes(), at).bytes;
      TextBuilder builder(&budget_);
      builder.append_range(text, at, at + size);
      CHAT_ASSIGN(TextPtr character, builder.finish());
      out.emplace_back(std::move(character));
      at += size;
    }
    return out;
  }
  if (value.is(Kind::kList)) {
    CHAT_TRY(budget_.take_steps(value.list().items.size()));
    return value.list().items;
  }
  if (value.is(Kind::kDict)) {
    CHAT_TRY(budget_.take_steps(value.dict().entries.size()));
    for (const auto& [key, item] : value.dict().entries) out.push_back(key);
    return out;
  }
  if (value.is(Kind::kObject) && value.object()->kind == ObjectKind::kGenerator) {
    auto* generator = static_cast<Generator*>(value.object());
    if (generator->failure) return *generator->failure;
    CHAT_TRY(budget_.take_steps(generator->items.size()));
    const auto first = static_cast<std::ptrdiff_t>(generator->next);
    out.assign(generator->items.begin() + first, generator->items.end());
    generator->next = generator->items.size();
    return out;
  }
  return wrong("a " + std::string(type_name(value)) + " cannot be iterated over");
}

Result<Renderer::Flow> Renderer::run_block(const Block& block, const ScopePtr& scope,
                                           TextBuilder* out) {
  for (const Stmt* stmt : block) {
    CHAT_TRY(enter());
    auto flow = run(*stmt, scope, out);
    leave();
    if (!flow.ok()) return at_line(stmt->line, std::move(flow).error());
    if (out->is_full()) return Budget::out_of_bytes();
    if (flow.value() != Flow::kNormal) return flow;
  }
  return Flow::kNormal;
}

Result<Renderer::Flow> Renderer::run(const Stmt& stmt, const ScopePtr& scope, TextBuilder* out) {
  switch (stmt.kind) {
    case StmtKind::kData:
      out->append(stmt.literal.text());
      return Flow::kNormal;
    case StmtKind::kOutput: {
      CHAT_ASSIGN(const Value value, evaluate(*stmt.value, scope));
      CHAT_TRY(print_str(value, out));
      return Flow::kNormal;
    }
    case StmtKind::kFor:
      return run_for(stmt, scope, out);
    case StmtKind::kIf:
      return run_if(stmt, scope, out);
    case StmtKind::kSet:
    case StmtKind::kSetBlock:
    case StmtKind::kMacro:
      CHAT_TRY(run_set(stmt, scope));
      return Flow::kNormal;
    case StmtKind::kCallBlock:
      CHAT_TRY(run_call_block(stmt, scope, out));
      return Flow::kNormal;
    case StmtKind::kFilterBlock: {
      CHAT_ASSIGN(const Value value, capture(stmt.body, scope, stmt.filters));
      CHAT_TRY(print_str(value, out));
      return Flow::kNormal;
    }
    case StmtKind::kWith:
      return run_with(stmt, scope, out);
    case StmtKind::kScope: {
      auto inner = std::make_shared<Scope>();
      inner->parent = scope;
      return run_block(stmt.body, inner, out);
    }
    case StmtKind::kBreak:
      return Flow::kBreak;
    case StmtKind::kContinue:
      return Flow::kContinue;
  }
  return Flow::kNormal;
}

Result<Renderer::Flow> Renderer::run_if(const Stmt& stmt, const ScopePtr& scope, TextBuilder* out) {
  for (const auto& [condition, body] : stmt.arms) {
    CHAT_ASSIGN(const Value value, evaluate(*condition, scope));
    if (is_truthy(value)) return run_block(body, scope, out);
  }
  return run_block(stmt.other, scope, out);
}

Result<Value> Renderer::capture(const Block& block, const ScopePtr& scope,
                                const std::vector<const Expr*>& filters) {
  auto inner = std::make_shared<Scope>();
  inner->parent = scope;
  TextBuilder body(&budget_);
  CHAT_TRY(run_block(block, inner, &body));
  CHAT_ASSIGN(TextPtr text, body.finish());
  Value value(std::move(text));
  for (const Expr* filter : filters) {
    CHAT_ASSIGN(value, apply(*filter, value, inner));
  }
  return value;
}

Status Renderer::run_set(const Stmt& stmt, const ScopePtr& scope) {
  if (stmt.kind == StmtKind::kMacro) {
    auto* macro = make_object<Macro>();
    macro->stmt = &stmt;
    macro->scope = scope;
    scope->set(stmt.name, Value(macro));
    return Status();
  }
  if (stmt.kind == StmtKind::kSetBlock) {
    CHAT_ASSIGN(const Value value, capture(stmt.body, scope, stmt.filters));
    return assign(stmt.target, value, scope);
  }
  CHAT_ASSIGN(const Value value, evaluate(*stmt.value, scope));
  return assign(stmt.target, value, scope);
}

Status Renderer::assign(const Target& target, const Value& value, const ScopePtr& scope) {
  if (target.kind == Target::Kind::kName) {
    scope->set(target.name, value);
    return Status();
  }
  if (target.kind == Target::Kind::kField) {
    const Value owner = look_up(target.name, scope);
    if (!owner.is(Kind::kObject) || owner.object()->kind != ObjectKind::kNamespace) {
      return wrong("'" + target.name + "' is no namespace, its attributes cannot be set");
    }
    auto& fields = static_cast<Namespace*>(owner.object())->fields;
    const auto found = std::find_if(fields.begin(), fields.end(),
                                    [&](const auto& field) { return field.first == target.field; });
    if (found != fields.end()) {
      found->second = value;
    } else {
      CHAT_TRY(budget_.take_steps(fields.size()));
      fields.emplace_back(target.field, value);
    }
    return Status();
  }
  CHAT_ASSIGN(const std::vector<Value> items, items_of(value));
  if (items.size() != target.parts.size()) {
    return wrong("cannot unpack " + std::to_string(items.size()) + " values into " +
                 std::to_string(target.parts.size()) + " names");
  }
  for (std::size_t i = 0; i < items.size(); ++i) {
    CHAT_TRY(assign(target.parts[i], items[i], scope));
  }
  return Status();
}

Status Renderer::run_call_block(const Stmt& stmt, const ScopePtr& scope, TextBuilder* out) {
  auto* caller = make_object<Macro>();
  caller->stmt = &stmt;
  caller->scope = scope;
  CHAT_ASSIGN(const Value callee, evaluate(*stmt.value->children[0], scope));
  CHAT_ASSIGN(Arguments arguments, evaluate_arguments(stmt.value->call, scope));
  arguments.named.emplace_back("caller", Value(caller));
  CHAT_ASSIGN(const Value value, call(callee, std::move(arguments)));
  if (!value.is(Kind::kText)) return wrong("`call` needs a macro that gives text");
  out->append(value.text());
  return Status();
}

Result<Renderer::Flow> Renderer::run_with(const Stmt& stmt, const ScopePtr& scope,
                                          TextBuilder* out) {
  auto inner = std::make_shared<Scope>();
  inner->parent = scope;
  for (const auto& [target, expr] : stmt.bindings) {
    CHAT_ASSIGN(const Value value, evaluate(*expr, scope));
    CHAT_TRY(assign(target, value, inner));
  }
  return run_block(stmt.body, inner, out);
}

}  // namespace lockstep::chat
