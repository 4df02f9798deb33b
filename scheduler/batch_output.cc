#include "scheduler/batch_output.h"

#include <nlohmann/json.hpp>

#include "base/canonical_json.h"

namespace lockstep {
namespace {

using OrderedJson = nlohmann::ordered_json;

std::string dump(const OrderedJson& json) {
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

}  // namespace

std::string batch_output_line(const BatchLineResult& result) {
  // The body is put in as it is, so that it keeps its bytes.
  std::string line = "{\"id\":" + dump("batch_req_" + result.id.text());
  line += ",\"custom_id\":" + dump(result.custom_id);
  if (result.body_json.empty()) {
    const OrderedJson error = {{"code", result.error_code}, {"message", result.error_message}};
    return line + ",\"response\":null,\"error\":" + dump(error) + "}\n";
  }
  line += ",\"response\":{\"status_code\":" + std::to_string(result.status_code);
  line += ",\"request_id\":" + dump(result.id.text()) + ",\"body\":" + result.body_json;
  return line + "},\"error\":null}\n";
}

Result<WrittenLine> parse_output_line(std::string_view text) {
  constexpr int kMaxDepth = 64;
  LOCKSTEP_TRY_ASSIGN(const Json json, parse_json(text, kMaxDepth), "output line");
  const Json none;
  const auto member = [&none](const Json& object, const char* name) -> const Json& {
    return object.is_object() && object.contains(name) ? object[name] : none;
  };
  const Json& custom_id = member(json, "custom_id");
  if (!custom_id.is_string() || !json.contains("response")) {
    return Error{ErrorCode::kCorrupt, "expected \"custom_id\" and \"response\""};
  }
  WrittenLine line;
  line.custom_id = custom_id.get<std::string>();
  const Json& fingerprint = member(member(member(json, "response"), "body"), "system_fingerprint");
  if (fingerprint.is_string()) line.fingerprint = fingerprint.get<std::string>();
  return line;
}

bool is_output(const BatchLineResult& result) {
  return !result.body_json.empty() && result.status_code == 200;
}

}  // namespace lockstep
