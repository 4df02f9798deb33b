#include "scheduler/batch_output.h"

#include <nlohmann/json.hpp>

#include "base/canonical_json.h"

namespace lockstep {
namespace {

using OrderedJson = nlohmann::ordered_json;

std::string dump(const OrderedJson& json) {
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

// Seconds; null when it has not come.
OrderedJson time_json(std::int64_t unix_ms) {
  return unix_ms == 0 ? OrderedJson() : OrderedJson(unix_ms / 1000);
}

OrderedJson file_id_json(const RequestId& id) {
  return id.is_zero() ? OrderedJson() : OrderedJson(file_id_text(id));
}

OrderedJson errors_json(const BatchRecord& batch) {
  if (batch.errors.empty()) return nullptr;
  OrderedJson list = OrderedJson::array();
  for (const BatchError& error : batch.errors) {
    list.push_back({{"code", error.code},
                    {"message", error.message},
                    {"param", error.param.empty() ? OrderedJson() : OrderedJson(error.param)},
                    {"line", error.line == 0 ? OrderedJson() : OrderedJson(error.line)}});
  }
  return {{"object", "list"}, {"data", std::move(list)}};
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

std::string batch_json(const BatchRecord& batch) {
  OrderedJson metadata;
  for (const auto& [name, value] : batch.metadata) metadata[name] = value;
  const OrderedJson json = {{"id", batch_id_text(batch.id)},
                            {"object", "batch"},
                            {"endpoint", batch.endpoint},
                            {"errors", errors_json(batch)},
                            {"input_file_id", file_id_text(batch.input_file)},
                            {"completion_window", batch.completion_window},
                            {"status", std::string(batch_state_name(batch.state))},
                            {"output_file_id", file_id_json(batch.output_file)},
                            {"error_file_id", file_id_json(batch.error_file)},
                            {"created_at", batch.created_ms / 1000},
                            {"in_progress_at", time_json(batch.in_progress_ms)},
                            {"expires_at", time_json(batch.expires_ms)},
                            {"finalizing_at", time_json(batch.finalizing_ms)},
                            {"completed_at", time_json(batch.completed_ms)},
                            {"failed_at", time_json(batch.failed_ms)},
                            {"expired_at", time_json(batch.expired_ms)},
                            {"cancelling_at", time_json(batch.cancelling_ms)},
                            {"cancelled_at", time_json(batch.cancelled_ms)},
                            {"request_counts",
                             {{"total", batch.counts.total},
                              {"completed", batch.counts.completed},
                              {"failed", batch.counts.failed}}},
                            {"metadata", metadata}};
  return dump(json);
}

std::string file_json(const FileRecord& file) {
  const OrderedJson json = {{"id", file_id_text(file.id)},
                            {"object", "file"},
                            {"bytes", file.bytes},
                            {"created_at", file.created_ms / 1000},
                            {"expires_at", time_json(file.expires_ms)},
                            {"filename", file.filename},
                            {"purpose", file.purpose},
                            {"status", "processed"}};
  return dump(json);
}

}  // namespace lockstep
