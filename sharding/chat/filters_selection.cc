#include <array>

#include "sharding/chat/argument_reader.h"
#include "sharding/chat/filter_tables.h"
#include "sharding/chat/methods.h"
#include "sharding/chat/predicates.h"
#include "sharding/chat/renderer.h"
#include "sharding/chat/try.h"

namespace lockstep::chat {
namespace {

// The arguments behind the first `count`.
Arguments rest_of(const Arguments& arguments, std::size_t count) {
  Arguments out;
  out.positional.assign(arguments.positional.begin() + static_cast<std::ptrdiff_t>(count),
                        arguments.positional.end());
  out.named = arguments.named;
  return out;
}

// select, reject, selectattr and rejectattr.
struct Selection {
  std::string_view name;
  bool by_attribute;
  bool wanted;
};

Result<Value> select(Renderer& renderer, const Value& self, const Arguments& arguments,
                     const Selection& selection) {
  if (!is_truthy(self)) return renderer.make_generator({});
  const std::size_t skipped = selection.by_attribute ? 1 : 0;
  if (arguments.positional.size() < skipped) {
    return wrong(std::string(selection.name) + " needs the name of an attribute");
  }
  const bool has_test = arguments.positional.size() > skipped;
  const Value test = has_test ? arguments.positional[skipped] : Value();
  if (has_test && !test.is(Kind::kText)) {
    return wrong(std::string(selection.name) + " needs the name of a test");
  }
  CHAT_ASSIGN(const std::vector<Value> items, renderer.items_of(self));
  const Arguments rest = rest_of(arguments, has_test ? skipped + 1 : skipped);
  std::vector<Value> out;
  for (const Value& item : items) {
    Value subject = item;
    if (selection.by_attribute) {
      CHAT_ASSIGN(subject, value_at_path(renderer, item, arguments.positional[0]));
    }
    bool holds = is_truthy(subject);
    if (has_test) {
      CHAT_ASSIGN(holds, apply_predicate(renderer, test.text().bytes(), subject, rest));
    }
    if (holds == selection.wanted) out.push_back(item);
  }
  return renderer.make_generator(std::move(out));
}

Result<Value> do_select(Renderer& renderer, const Value& self, const Arguments& arguments) {
  return select(renderer, self, arguments, {"select", false, true});
}
Result<Value> do_reject(Renderer& renderer, const Value& self, const Arguments& arguments) {
  return select(renderer, self, arguments, {"reject", false, false});
}
Result<Value> do_selectattr(Renderer& renderer, const Value& self, const Arguments& arguments) {
  return select(renderer, self, arguments, {"selectattr", true, true});
}
Result<Value> do_rejectattr(Renderer& renderer, const Value& self, const Arguments& arguments) {
  return select(renderer, self, arguments, {"rejectattr", true, false});
}

Result<Value> map_attribute(Renderer& renderer, const Value& self, const Arguments& arguments) {
  CHAT_ASSIGN(const auto reader, ArgumentReader::match("map", arguments, {"attribute", "default"}));
  CHAT_ASSIGN(const std::vector<Value> items, renderer.items_of(self));
  std::vector<Value> out;
  for (const Value& item : items) {
    CHAT_ASSIGN(Value value, value_at_path(renderer, item, *reader.get(0)));
    if (value.is_undefined() && reader.has(1)) value = *reader.get(1);
    out.push_back(std::move(value));
  }
  return renderer.make_generator(std::move(out));
}

Result<Value> do_map(Renderer& renderer, const Value& self, const Arguments& arguments) {
  if (!is_truthy(self)) return renderer.make_generator({});
  if (arguments.positional.empty()) {
    for (const auto& [name, value] : arguments.named) {
      if (name == "attribute") return map_attribute(renderer, self, arguments);
    }
    return wrong("map needs a filter or attribute=");
  }
  const Value& filter = arguments.positional[0];
  if (!filter.is(Kind::kText)) return wrong("map needs the name of a filter");
  const Arguments rest = rest_of(arguments, 1);
  CHAT_ASSIGN(const std::vector<Value> items, renderer.items_of(self));
  std::vector<Value> out;
  for (const Value& item : items) {
    CHAT_ASSIGN(Value value, apply_filter(renderer, filter.text().bytes(), item, rest));
    out.push_back(std::move(value));
  }
  return renderer.make_generator(std::move(out));
}

Result<Value> do_attr(Renderer& renderer, const Value& self, const Arguments& arguments) {
  CHAT_ASSIGN(const auto reader, ArgumentReader::match("attr", arguments, {"name"}));
  CHAT_ASSIGN(const Value name, reader.require(0));
  CHAT_ASSIGN(const TextPtr text, renderer.to_text(name));
  if (self.is(Kind::kDict) && container_method(self, text->bytes()) == MethodAccess::kNone) {
    return Value::undefined("a dict has no attribute '" + text->bytes() + "'");
  }
  return renderer.get_attribute(self, text->bytes());
}

}  // namespace

std::span<const FilterEntry> selection_filters() {
  static constexpr std::array<FilterEntry, 6> kFilters = {{{"select", do_select, true},
                                                           {"reject", do_reject, true},
                                                           {"selectattr", do_selectattr, true},
                                                           {"rejectattr", do_rejectattr, true},
                                                           {"map", do_map, true},
                                                           {"attr", do_attr}}};
  return kFilters;
}

}  // namespace lockstep::chat
