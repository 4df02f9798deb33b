#include <algorithm>

#include "sharding/chat/argument_reader.h"
#include "sharding/chat/renderer.h"
#include "sharding/chat/try.h"

namespace lockstep::chat {
namespace {

Value count(std::int64_t value) { return Value(Integer{value}); }

}  // namespace

Result<Renderer::Flow> Renderer::run_for(const Stmt& stmt, const ScopePtr& scope,
                                         TextBuilder* out) {
  CHAT_ASSIGN(const Value iterable, evaluate(*stmt.value, scope));
  auto* loop = make_object<Loop>();
  loop->stmt = &stmt;
  loop->scope = scope;
  return run_loop(loop, iterable, out);
}

Result<Renderer::Flow> Renderer::run_loop(Loop* loop, const Value& iterable, TextBuilder* out) {
  CHAT_ASSIGN(loop->items, items_of(iterable));
  bool is_complete = false;  // Whether a turn went through to its end, as Jinja asks for `else`.
  while (true) {
    CHAT_ASSIGN(std::optional<Value> item, take_item(loop));
    if (!item) break;
    loop->previous = std::move(loop->current);
    loop->current = std::move(item);
    ++loop->index0;
    auto scope = std::make_shared<Scope>();
    scope->parent = loop->scope;
    scope->set("loop", Value(loop));
    CHAT_TRY(assign(loop->stmt->target, *loop->current, scope));
    CHAT_ASSIGN(const Flow flow, run_block(loop->stmt->body, scope, out));
    if (flow == Flow::kBreak) break;
    is_complete = is_complete || flow == Flow::kNormal;
  }
  if (is_complete || loop->stmt->other.empty()) return Flow::kNormal;
  auto scope = std::make_shared<Scope>();
  scope->parent = loop->scope;
  return run_block(loop->stmt->other, scope, out);
}

Result<std::optional<Value>> Renderer::filter_next(Loop* loop) {
  while (loop->next < loop->items.size()) {
    const Value& item = loop->items[loop->next++];
    if (loop->stmt->condition == nullptr) return std::optional<Value>(item);
    auto scope = std::make_shared<Scope>();
    scope->parent = loop->scope;
    CHAT_TRY(assign(loop->stmt->target, item, scope));
    CHAT_ASSIGN(const Value passes, evaluate(*loop->stmt->condition, scope));
    if (is_truthy(passes)) return std::optional<Value>(item);
  }
  return std::optional<Value>();
}

Result<std::optional<Value>> Renderer::take_item(Loop* loop) {
  if (loop->ready.empty()) return filter_next(loop);
  std::optional<Value> item(std::move(loop->ready.front()));
  loop->ready.pop_front();
  return item;
}

Result<const Value*> Renderer::peek(Loop* loop) {
  if (loop->ready.empty()) {
    CHAT_ASSIGN(std::optional<Value> item, filter_next(loop));
    if (!item) return static_cast<const Value*>(nullptr);
    loop->ready.push_back(std::move(*item));
  }
  return static_cast<const Value*>(&loop->ready.front());
}

Result<std::int64_t> Renderer::loop_length(Loop* loop) {
  std::size_t rest = loop->ready.size();
  if (loop->stmt->condition == nullptr) {
    rest += loop->items.size() - loop->next;
  } else {
    while (true) {
      CHAT_ASSIGN(std::optional<Value> item, filter_next(loop));
      if (!item) break;
      loop->ready.push_back(std::move(*item));
    }
    rest = loop->ready.size();
  }
  return loop->index0 + 1 + static_cast<std::int64_t>(rest);
}

Result<Value> Renderer::loop_attribute(Loop* loop, std::string_view name) {
  if (name == "index") return count(loop->index0 + 1);
  if (name == "index0") return count(loop->index0);
  if (name == "first") return Value(loop->index0 == 0);
  if (name == "depth") return count(loop->depth0 + 1);
  if (name == "depth0") return count(loop->depth0);
  if (name == "previtem") {
    return loop->previous ? *loop->previous : Value::undefined("there is no previous item");
  }
  if (name == "last" || name == "nextitem") {
    CHAT_ASSIGN(const Value* next, peek(loop));
    if (name == "last") return Value(next == nullptr);
    return next != nullptr ? *next : Value::undefined("there is no next item");
  }
  if (name == "length" || name == "revindex" || name == "revindex0") {
    CHAT_ASSIGN(const std::int64_t length, loop_length(loop));
    if (name == "length") return count(length);
    return count(length - loop->index0 - (name == "revindex" ? 0 : 1));
  }
  if (name == "cycle" || name == "changed") return make_bound(Value(loop), std::string(name));
  return Value::undefined("'loop' has no attribute '" + std::string(name) + "'");
}

Result<Value> Renderer::call_loop_method(Loop* loop, std::string_view name,
                                         const Arguments& arguments) {
  const auto& items = arguments.positional;
  if (!arguments.named.empty()) return wrong("loop." + std::string(name) + " takes no names");
  if (name == "cycle") {
    if (items.empty()) return wrong("loop.cycle needs something to cycle through");
    return items[static_cast<std::size_t>(loop->index0) % items.size()];
  }
  bool is_changed = !loop->last_changed || loop->last_changed->size() != items.size();
  for (std::size_t i = 0; i < items.size() && !is_changed; ++i) {
    CHAT_TRY(budget_.take_steps(items[i].weight()));
    is_changed = !are_equal(items[i], (*loop->last_changed)[i]);
  }
  if (is_changed) loop->last_changed = items;
  return Value(is_changed);
}

Result<Value> Renderer::call_loop(Loop* loop, const Arguments& arguments) {
  if (!loop->stmt->is_recursive) {
    return wrong("'loop' can be called only in a loop with the word 'recursive'");
  }
  if (arguments.positional.size() != 1 || !arguments.named.empty()) {
    return wrong("loop() takes one argument");
  }
  auto* inner = make_object<Loop>();
  inner->stmt = loop->stmt;
  inner->scope = loop->scope;
  inner->depth0 = loop->depth0 + 1;
  TextBuilder out(&budget_);
  CHAT_TRY(run_loop(inner, arguments.positional[0], &out));
  CHAT_ASSIGN(TextPtr text, out.finish());
  return Value(std::move(text));
}

}  // namespace lockstep::chat
