#include <algorithm>

#include "sharding/chat/methods.h"
#include "sharding/chat/operators.h"
#include "sharding/chat/renderer.h"
#include "sharding/chat/try.h"

namespace lockstep::chat {
namespace {

Value no_attribute(const Value& self, std::string_view name) {
  return Value::undefined("'" + std::string(type_name(self)) + "' has no attribute '" +
                          std::string(name) + "'");
}

Value no_element(const Value& self) {
  return Value::undefined("a " + std::string(type_name(self)) + " has no such element");
}

bool is_indexable(const Value& self) {
  return self.is(Kind::kList) && self.list().shape < ListShape::kKeys;
}

// The place of `index` in something `size` long, negative ones from its end.
std::optional<std::size_t> place_of(std::int64_t index, std::size_t size) {
  const auto length = static_cast<std::int64_t>(size);
  if (index < -length || index >= length) return std::nullopt;
  return static_cast<std::size_t>(index < 0 ? index + length : index);
}

}  // namespace

Result<Value> Renderer::get_attribute(const Value& self, std::string_view name) {
  if (self.is_undefined()) return wrong(self.undefined_reason());
  if (self.is(Kind::kText)) {
    if (has_text_method(name)) return make_bound(self, std::string(name));
    return no_attribute(self, name);
  }
  if (self.is(Kind::kObject)) {
    Object* object = self.object();
    if (object->kind == ObjectKind::kLoop) {
      return loop_attribute(static_cast<Loop*>(object), name);
    }
    if (object->kind == ObjectKind::kNamespace) {
      const auto& fields = static_cast<Namespace*>(object)->fields;
      CHAT_TRY(budget_.take_steps(fields.size() / 16));
      for (const auto& [field, value] : fields) {
        if (field == name) return value;
      }
      return no_attribute(self, name);
    }
    if (object->kind == ObjectKind::kMacro && name == "name") {
      return Value::literal(static_cast<Macro*>(object)->stmt->name);
    }
    if (object->kind == ObjectKind::kCycler && name == "current") {
      const auto* cycler = static_cast<Cycler*>(object);
      return cycler->items[cycler->next];
    }
  }
  switch (container_method(self, name)) {
    case MethodAccess::kAllowed:
      return make_bound(self, std::string(name));
    case MethodAccess::kForbidden:
      return Value::undefined("the sandbox does not allow '" + std::string(name) + "' of a " +
                              std::string(type_name(self)));
    case MethodAccess::kNone:
      break;
  }
  if (self.is(Kind::kDict)) {
    if (const Value* value = self.dict().find(name)) return *value;
  }
  return no_attribute(self, name);
}

Result<Value> Renderer::get_item(const Value& self, const Value& key) {
  if (self.is_undefined()) return wrong(self.undefined_reason());
  if (self.is(Kind::kDict)) {
    CHAT_TRY(budget_.take_steps(key.weight() + self.dict().entries.size() / 64));
    if (const Value* value = self.dict().find(key)) return *value;
  }
  if (key.is_integral() && is_indexable(self)) {
    const auto& items = self.list().items;
    const auto place = place_of(key.integer(), items.size());
    return place ? items[*place] : no_element(self);
  }
  if (key.is_integral() && self.is(Kind::kText)) {
    const auto place = place_of(key.integer(), self.text().length());
    return place ? substring(budget_, self.text(), *place, *place + 1) : no_element(self);
  }
  if (!key.is(Kind::kText)) return no_element(self);
  return get_attribute(self, key.text().bytes());
}

}  // namespace lockstep::chat
