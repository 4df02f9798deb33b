#include "base/canonical_json.h"

#include <set>
#include <vector>

namespace lockstep {
namespace {

bool has_float(const Json& value) {
  if (value.is_number_float()) return true;
  if (!value.is_structured()) return false;
  for (const Json& child : value) {
    if (has_float(child)) return true;
  }
  return false;
}

// Watches the parser: depth and duplicate keys.
class Guard {
 public:
  explicit Guard(int max_depth) : max_depth_(max_depth) {}

  bool operator()(int depth, Json::parse_event_t event, const Json& value) {
    using Event = Json::parse_event_t;
    if (event == Event::object_start || event == Event::array_start) {
      if (depth >= max_depth_) fail("more than " + std::to_string(max_depth_) + " levels");
      if (event == Event::object_start) keys_.emplace_back();
    } else if (event == Event::object_end) {
      keys_.pop_back();
    } else if (event == Event::key) {
      const auto& key = value.get_ref<const std::string&>();
      if (!keys_.back().insert(key).second) fail("key \"" + key + "\" twice");
    }
    return true;
  }

 private:
  [[noreturn]] static void fail(const std::string& reason) { throw std::runtime_error(reason); }

  int max_depth_;
  std::vector<std::set<std::string>> keys_;
};

Error wrong(const char* key, const char* expected) {
  return Error{ErrorCode::kCorrupt, "\"" + std::string(key) + "\": expected " + expected};
}

}  // namespace

Result<std::string> canonical_dump(const Json& value) {
  if (has_float(value)) {
    return Error{ErrorCode::kInvalidArgument, "canonical JSON holds no floating-point numbers"};
  }
  try {
    return value.dump();
  } catch (const Json::exception& e) {
    return Error{ErrorCode::kInvalidArgument, e.what()};
  }
}

Result<Json> parse_json(std::string_view text, int max_depth) {
  try {
    Guard guard(max_depth);
    return Json::parse(text.begin(), text.end(), [&guard](int depth, auto event, Json& value) {
      return guard(depth, event, value);
    });
  } catch (const std::exception& e) {  // Of the parser, or of the guard.
    return Error{ErrorCode::kCorrupt, std::string("JSON: ") + e.what()};
  }
}

Result<const Json*> json_member(const Json& object, const char* key) {
  if (!object.is_object()) return wrong(key, "an object around it");
  const auto found = object.find(key);
  if (found == object.end()) {
    return Error{ErrorCode::kCorrupt, "\"" + std::string(key) + "\" is missing"};
  }
  return &*found;
}

Result<std::int64_t> json_integer(const Json& object, const char* key, std::int64_t min,
                                  std::int64_t max) {
  LOCKSTEP_TRY_ASSIGN(const Json* member, json_member(object, key), "JSON");
  const bool in_type = member->is_number_integer() &&
                       (!member->is_number_unsigned() ||
                        member->get<std::uint64_t>() <= static_cast<std::uint64_t>(INT64_MAX));
  if (!in_type) return wrong(key, "an integer");
  const auto value = member->get<std::int64_t>();
  if (value < min || value > max) {
    return Error{ErrorCode::kCorrupt, "\"" + std::string(key) + "\": " + std::to_string(value) +
                                          " is not in [" + std::to_string(min) + ", " +
                                          std::to_string(max) + "]"};
  }
  return value;
}

Result<std::string> json_text(const Json& object, const char* key) {
  LOCKSTEP_TRY_ASSIGN(const Json* member, json_member(object, key), "JSON");
  if (!member->is_string()) return wrong(key, "text");
  return member->get<std::string>();
}

Result<bool> json_flag(const Json& object, const char* key) {
  LOCKSTEP_TRY_ASSIGN(const Json* member, json_member(object, key), "JSON");
  if (!member->is_boolean()) return wrong(key, "true or false");
  return member->get<bool>();
}

}  // namespace lockstep
