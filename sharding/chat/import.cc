#include "sharding/chat/import.h"

#include <algorithm>
#include <array>
#include <limits>

#include "sharding/chat/try.h"

namespace lockstep::chat {
namespace {

using Json = nlohmann::ordered_json;

// Words that templates write into markers such as "<|user|>". The caller of the API chooses among
// them, but cannot write text of its own that way.
constexpr std::array<std::string_view, 9> kRoles = {"system", "user",     "assistant",
                                                    "tool",   "function", "developer",
                                                    "model",  "ipython",  "environment"};

Value import_text(const std::string& text, bool trusted) {
  return Value(TextPtr(std::make_shared<const Text>(to_utf8(text), trusted)));
}

Result<Value> import_value(const Json& json, int depth);

Result<Value> import_object(const Json& json, int depth) {
  std::vector<Dict::Entry> entries;
  entries.reserve(json.size());
  for (auto item = json.begin(); item != json.end(); ++item) {
    CHAT_ASSIGN(Value value, import_value(item.value(), depth + 1));
    entries.emplace_back(import_text(item.key(), false), std::move(value));
  }
  return make_dict(std::move(entries));
}

Result<Value> import_array(const Json& json, int depth) {
  std::vector<Value> items;
  items.reserve(json.size());
  for (const Json& item : json) {
    CHAT_ASSIGN(Value value, import_value(item, depth + 1));
    items.push_back(std::move(value));
  }
  return make_list(std::move(items));
}

Result<Value> import_value(const Json& json, int depth) {
  if (depth >= kMaxValueDepth) {
    return Error{ErrorCode::kExhausted, "the variables are nested deeper than " +
                                            std::to_string(kMaxValueDepth) + " levels"};
  }
  switch (json.type()) {
    case Json::value_t::boolean:
      return Value(json.get<bool>());
    case Json::value_t::number_unsigned:
      if (json.get<std::uint64_t>() >
          static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
        return wrong("an integer in the variables does not fit 64 bits");
      }
      [[fallthrough]];
    case Json::value_t::number_integer:
      return Value(Integer{json.get<std::int64_t>(), false});
    case Json::value_t::number_float:
      return Value(Float{json.get<double>(), false});
    case Json::value_t::string:
      return import_text(json.get_ref<const std::string&>(), false);
    case Json::value_t::array:
      return import_array(json, depth);
    case Json::value_t::object:
      return import_object(json, depth);
    case Json::value_t::null:
      return Value();
    default:
      return wrong("the variables hold a value that JSON has not");
  }
}

bool is_known_role(const Dict::Entry& entry) {
  return entry.first.is(Kind::kText) && entry.first.text().bytes() == "role" &&
         entry.second.is(Kind::kText) &&
         std::find(kRoles.begin(), kRoles.end(), entry.second.text().bytes()) != kRoles.end();
}

// The same messages, with trusted roles where they are known words.
Result<Value> trust_roles(const Value& messages) {
  std::vector<Value> items = messages.list().items;
  for (Value& item : items) {
    if (!item.is(Kind::kDict)) continue;
    std::vector<Dict::Entry> entries = item.dict().entries;
    for (Dict::Entry& entry : entries) {
      if (is_known_role(entry)) entry.second = Value::literal(entry.second.text().bytes());
    }
    CHAT_ASSIGN(item, make_dict(std::move(entries)));
  }
  return make_list(std::move(items));
}

}  // namespace

Result<DictPtr> import_variables(const Json& variables) {
  if (!variables.is_object()) return wrong("the variables of a template are a JSON object");
  CHAT_ASSIGN(const Value imported, import_value(variables, 0));
  std::vector<Dict::Entry> entries = imported.dict().entries;
  for (auto& [key, value] : entries) {
    const std::string& name = key.text().bytes();
    if ((name == "bos_token" || name == "eos_token") && value.is(Kind::kText)) {
      value = Value::literal(value.text().bytes());
    }
    if (name == "messages" && value.is(Kind::kList)) {
      CHAT_ASSIGN(value, trust_roles(value));
    }
  }
  CHAT_ASSIGN(const Value out, make_dict(std::move(entries)));
  return out.dict_ptr();
}

}  // namespace lockstep::chat
