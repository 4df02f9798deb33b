#include <algorithm>

#include "sharding/chat/argument_reader.h"
#include "sharding/chat/methods.h"
#include "sharding/chat/renderer.h"
#include "sharding/chat/try.h"

namespace lockstep::chat {
namespace {

Value missing_parameter(std::string_view name) {
  return Value::undefined("parameter '" + std::string(name) + "' was not provided");
}

// A parameter of the macro with this name exists.
bool has_parameter(const Stmt& stmt, std::string_view name) {
  return std::any_of(stmt.parameters.begin(), stmt.parameters.end(),
                     [&](const Parameter& parameter) { return parameter.name == name; });
}

}  // namespace

Result<Value> Renderer::call(const Value& callee, Arguments arguments) {
  if (callee.is_undefined()) return wrong(callee.undefined_reason());
  if (callee.is(Kind::kBound)) {
    const Bound& bound = callee.bound();
    if (bound.self.is(Kind::kText)) {
      return call_text_method(*this, bound.self.text_ptr(), bound.name, arguments);
    }
    if (bound.self.is(Kind::kObject) && bound.self.object()->kind == ObjectKind::kLoop) {
      return call_loop_method(static_cast<Loop*>(bound.self.object()), bound.name, arguments);
    }
    return call_container_method(*this, bound.self, bound.name, arguments);
  }
  if (callee.is(Kind::kObject)) {
    Object* object = callee.object();
    if (object->kind == ObjectKind::kMacro) {
      return call_macro(*static_cast<Macro*>(object), std::move(arguments));
    }
    if (object->kind == ObjectKind::kFunction) {
      return static_cast<Function*>(object)->body(*this, arguments);
    }
    if (object->kind == ObjectKind::kLoop) {
      return call_loop(static_cast<Loop*>(object), arguments);
    }
    if (object->kind == ObjectKind::kJoiner) {
      auto* joiner = static_cast<Joiner*>(object);
      if (joiner->used) return joiner->separator;
      joiner->used = true;
      return Value::literal("");
    }
  }
  return wrong("a " + std::string(type_name(callee)) + " cannot be called");
}

Result<Value> Renderer::call_macro(const Macro& macro, Arguments arguments) {
  if (++calls_ > max_depth_) {
    return Error{ErrorCode::kExhausted,
                 "macros call each other deeper than max_depth = " + std::to_string(max_depth_)};
  }
  auto scope = std::make_shared<Scope>();
  scope->parent = macro.scope;
  CHAT_TRY(bind_parameters(macro, &arguments, scope));
  TextBuilder out(&budget_);
  CHAT_TRY(run_block(macro.stmt->body, scope, &out));
  --calls_;
  CHAT_ASSIGN(TextPtr text, out.finish());
  return Value(std::move(text));
}

Status Renderer::bind_parameters(const Macro& macro, Arguments* arguments, const ScopePtr& scope) {
  const Stmt& stmt = *macro.stmt;
  auto& positional = arguments->positional;
  auto& named = arguments->named;
  const std::string name = "macro '" + stmt.name + "'";
  std::vector<const Parameter*> open;  // Not given.
  for (std::size_t i = 0; i < stmt.parameters.size(); ++i) {
    const Parameter& parameter = stmt.parameters[i];
    if (i < positional.size()) {
      scope->set(parameter.name, std::move(positional[i]));
      continue;
    }
    const auto given = std::find_if(named.begin(), named.end(), [&](const auto& argument) {
      return argument.first == parameter.name;
    });
    if (given == named.end()) {
      open.push_back(&parameter);
      continue;
    }
    scope->set(parameter.name, std::move(given->second));
    named.erase(given);
  }
  if (stmt.uses_caller && !has_parameter(stmt, "caller")) {
    const auto caller = std::find_if(named.begin(), named.end(),
                                     [](const auto& given) { return given.first == "caller"; });
    scope->set("caller",
               caller == named.end() ? Value::undefined("No caller defined") : caller->second);
    if (caller != named.end()) named.erase(caller);
  }
  if (stmt.uses_kwargs && !has_parameter(stmt, "kwargs")) {
    std::vector<Dict::Entry> entries;
    for (auto& [key, value] : named) entries.emplace_back(Value::literal(key), std::move(value));
    CHAT_ASSIGN(Value dict, make_dict(std::move(entries)));
    scope->set("kwargs", std::move(dict));
  } else if (!named.empty()) {
    return wrong(name + " takes no keyword argument '" + named[0].first + "'");
  }
  const std::size_t taken = std::min(positional.size(), stmt.parameters.size());
  positional.erase(positional.begin(), positional.begin() + static_cast<std::ptrdiff_t>(taken));
  if (stmt.uses_varargs && !has_parameter(stmt, "varargs")) {
    CHAT_ASSIGN(Value rest, make_list(std::move(positional), ListShape::kTuple));
    scope->set("varargs", std::move(rest));
  } else if (!positional.empty()) {
    return wrong(name + " takes no more than " + std::to_string(stmt.parameters.size()) +
                 " argument(s)");
  }
  // Defaults see the parameters in front of them.
  for (const Parameter* parameter : open)
    scope->set(parameter->name, missing_parameter(parameter->name));
  for (const Parameter* parameter : open) {
    if (parameter->fallback == nullptr) continue;
    CHAT_ASSIGN(Value value, evaluate(*parameter->fallback, scope));
    scope->set(parameter->name, std::move(value));
  }
  return Status();
}

}  // namespace lockstep::chat
