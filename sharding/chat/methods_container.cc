#include <algorithm>
#include <array>

#include "sharding/chat/argument_reader.h"
#include "sharding/chat/methods.h"
#include "sharding/chat/operators.h"
#include "sharding/chat/renderer.h"
#include "sharding/chat/try.h"

namespace lockstep::chat {
namespace {

template <std::size_t N>
bool is_one_of(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

constexpr std::array<std::string_view, 8> kListChanges = {"append", "clear", "pop",    "reverse",
                                                          "insert", "sort",  "extend", "remove"};
constexpr std::array<std::string_view, 5> kDictChanges = {"clear", "pop", "popitem", "setdefault",
                                                          "update"};

Result<Value> call_dict(Renderer& renderer, const DictPtr& self, std::string_view name,
                        const Arguments& arguments) {
  const auto& entries = self->entries;
  CHAT_TRY(renderer.budget().take_steps(name == "get" ? entries.size() / 64 : entries.size()));
  if (!arguments.named.empty()) return wrong("dict." + std::string(name) + " takes no names");
  if (name == "get") {
    CHAT_ASSIGN(const auto reader, ArgumentReader::match("get", arguments, {"key", "default"}));
    CHAT_ASSIGN(const Value key, reader.require(0));
    CHAT_ASSIGN(const bool found, contains(renderer.budget(), Value(self), key));
    return found ? *self->find(key) : reader.get_or(1, Value());
  }
  if (!arguments.positional.empty()) {
    return wrong("dict." + std::string(name) + " takes no arguments");
  }
  if (name == "copy") return make_dict(entries);
  std::vector<Value> out;
  out.reserve(entries.size());
  for (const auto& [key, value] : entries) {
    if (name == "keys") {
      out.push_back(key);
    } else if (name == "values") {
      out.push_back(value);
    } else {
      CHAT_ASSIGN(Value pair, make_list({key, value}, ListShape::kTuple));
      out.push_back(std::move(pair));
    }
  }
  return make_list(std::move(out), name == "keys"     ? ListShape::kKeys
                                   : name == "values" ? ListShape::kValues
                                                      : ListShape::kItems);
}

Result<Value> call_list(Renderer& renderer, const ListPtr& self, std::string_view name,
                        const Arguments& arguments) {
  const auto& items = self->items;
  CHAT_TRY(renderer.budget().take_steps(self->weight));
  if (name == "copy") {
    if (!arguments.positional.empty()) return wrong("list.copy takes no arguments");
    return make_list(items, self->shape);
  }
  CHAT_ASSIGN(const auto reader, ArgumentReader::match(name, arguments, {"value"}));
  CHAT_ASSIGN(const Value wanted, reader.require(0));
  const auto equal = [&](const Value& item) { return are_equal(item, wanted); };
  if (name == "count") {
    return Value(Integer{std::count_if(items.begin(), items.end(), equal)});
  }
  const auto found = std::find_if(items.begin(), items.end(), equal);
  if (found == items.end()) return wrong("the value is not in the list");
  return Value(Integer{found - items.begin()});
}

Result<Value> call_cycler(Cycler* self, std::string_view name) {
  if (name == "reset") {
    self->next = 0;
    return Value();
  }
  const Value item = self->items[self->next];
  self->next = (self->next + 1) % self->items.size();
  return item;
}

}  // namespace

MethodAccess container_method(const Value& self, std::string_view name) {
  static constexpr std::array<std::string_view, 5> kDict = {"get", "items", "keys", "values",
                                                            "copy"};
  static constexpr std::array<std::string_view, 2> kList = {"index", "count"};
  static constexpr std::array<std::string_view, 2> kCycler = {"next", "reset"};
  bool allowed = false;
  bool forbidden = false;
  if (self.is(Kind::kDict)) {
    allowed = is_one_of(kDict, name);
    forbidden = is_one_of(kDictChanges, name);
  } else if (self.is(Kind::kList) && self.list().shape < ListShape::kKeys) {
    const bool is_list = self.list().shape == ListShape::kList;
    allowed = is_one_of(kList, name) || (is_list && name == "copy");
    forbidden = is_list && is_one_of(kListChanges, name);
  } else if (self.is(Kind::kObject) && self.object()->kind == ObjectKind::kCycler) {
    allowed = is_one_of(kCycler, name);
  }
  if (allowed) return MethodAccess::kAllowed;
  return forbidden ? MethodAccess::kForbidden : MethodAccess::kNone;
}

Result<Value> call_container_method(Renderer& renderer, const Value& self, std::string_view name,
                                    const Arguments& arguments) {
  if (self.is(Kind::kDict)) return call_dict(renderer, self.dict_ptr(), name, arguments);
  if (self.is(Kind::kList)) return call_list(renderer, self.list_ptr(), name, arguments);
  return call_cycler(static_cast<Cycler*>(self.object()), name);
}

}  // namespace lockstep::chat
