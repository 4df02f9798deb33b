#include "scheduler/gateway/api/batch_body.h"

#include <utility>

#include "scheduler/gateway/api/field_reader.h"
#include "scheduler/gateway/api/generation_request.h"

namespace lockstep {
namespace {

constexpr std::size_t kMaxMetadata = 16;  // OpenAI's.
constexpr std::size_t kMaxMetadataKeyBytes = 64;
constexpr std::size_t kMaxMetadataValueBytes = 512;

OrderedJson seconds_or_null(std::int64_t ms) {
  return ms == 0 ? OrderedJson() : OrderedJson(ms / 1000);
}

std::string dump(const OrderedJson& json) {
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

OrderedJson errors_body(const BatchRecord& batch) {
  if (batch.errors.empty()) return nullptr;
  OrderedJson json;
  json["object"] = "list";
  json["data"] = OrderedJson::array();
  for (const BatchError& error : batch.errors) {
    OrderedJson one;
    one["code"] = error.code;
    one["message"] = error.message;
    one["param"] = error.param.empty() ? OrderedJson() : OrderedJson(error.param);
    one["line"] = error.line == 0 ? OrderedJson() : OrderedJson(error.line);
    json["data"].push_back(std::move(one));
  }
  return json;
}

template <typename T>
std::string list_body(const Listed<T>& listed, OrderedJson (*body)(const T&)) {
  OrderedJson json;
  json["object"] = "list";
  json["data"] = OrderedJson::array();
  for (const T& one : listed.items) json["data"].push_back(body(one));
  const bool is_empty = listed.items.empty();
  json["first_id"] = is_empty ? OrderedJson() : json["data"].front()["id"];
  json["last_id"] = is_empty ? OrderedJson() : json["data"].back()["id"];
  json["has_more"] = listed.has_more;
  return dump(json);
}

void read_metadata(FieldReader& fields, BatchRecord& batch) {
  const OrderedJson* metadata = fields.take("metadata");
  if (metadata == nullptr) return;
  if (!metadata->is_object() || metadata->size() > kMaxMetadata) {
    return fields.fail("metadata", "expected an object of at most 16 strings");
  }
  for (const auto& [key, value] : metadata->items()) {
    if (!value.is_string() || key.size() > kMaxMetadataKeyBytes ||
        value.get_ref<const std::string&>().size() > kMaxMetadataValueBytes) {
      return fields.fail("metadata",
                         "expected keys of at most 64 and strings of at most 512 bytes");
    }
    batch.metadata.emplace_back(key, value.get<std::string>());
  }
}

}  // namespace

OrderedJson file_body(const FileRecord& file) {
  OrderedJson json;
  json["id"] = file_id_text(file.id);
  json["object"] = "file";
  json["bytes"] = file.bytes;
  json["created_at"] = file.created_ms / 1000;
  json["expires_at"] = seconds_or_null(file.expires_ms);
  json["filename"] = file.filename;
  json["purpose"] = file.purpose;
  json["status"] = "processed";
  return json;
}

OrderedJson batch_body(const BatchRecord& batch) {
  const auto file_or_null = [](RequestId id) {
    return id.is_zero() ? OrderedJson() : OrderedJson(file_id_text(id));
  };
  // Known from the time they are chosen, there from the time the batch has ended.
  const bool has_files = is_terminal(batch.state);
  OrderedJson json;
  json["id"] = batch_id_text(batch.id);
  json["object"] = "batch";
  json["endpoint"] = batch.endpoint;
  json["errors"] = errors_body(batch);
  json["input_file_id"] = file_id_text(batch.input_file);
  json["completion_window"] = batch.completion_window;
  json["status"] = batch_state_name(batch.state);
  json["output_file_id"] = has_files ? file_or_null(batch.output_file) : OrderedJson();
  json["error_file_id"] = has_files ? file_or_null(batch.error_file) : OrderedJson();
  json["created_at"] = batch.created_ms / 1000;
  json["in_progress_at"] = seconds_or_null(batch.in_progress_ms);
  json["expires_at"] = seconds_or_null(batch.expires_ms);
  json["finalizing_at"] = seconds_or_null(batch.finalizing_ms);
  json["completed_at"] = seconds_or_null(batch.completed_ms);
  json["failed_at"] = seconds_or_null(batch.failed_ms);
  json["expired_at"] = seconds_or_null(batch.expired_ms);
  json["cancelling_at"] = seconds_or_null(batch.cancelling_ms);
  json["cancelled_at"] = seconds_or_null(batch.cancelled_ms);
  json["request_counts"]["total"] = batch.counts.total;
  json["request_counts"]["completed"] = batch.counts.completed;
  // At the end those that were never fed have failed, too.
  const bool has_run = is_terminal(batch.state) && batch.state != BatchState::kFailed;
  json["request_counts"]["failed"] =
      has_run ? batch.counts.total - batch.counts.completed : batch.counts.failed;
  json["metadata"] = nullptr;
  for (const auto& [key, value] : batch.metadata) json["metadata"][key] = value;
  return json;
}

std::string file_list_body(const Listed<FileRecord>& files) { return list_body(files, &file_body); }

std::string batch_list_body(const Listed<BatchRecord>& batches) {
  return list_body(batches, &batch_body);
}

std::string deleted_file_body(RequestId id) {
  OrderedJson json;
  json["id"] = file_id_text(id);
  json["object"] = "file";
  json["deleted"] = true;
  return dump(json);
}

OrApiError<BatchRecord> parse_batch_request(std::string_view body) {
  auto json = parse_body(body);
  if (auto* error = std::get_if<ApiError>(&json)) return std::move(*error);
  FieldReader fields(std::get<OrderedJson>(json));
  BatchRecord batch;
  batch.endpoint = fields.text("endpoint", 64).value_or("");
  if (batch.endpoint != kChatRoute && batch.endpoint != kCompletionsRoute) {
    fields.fail("endpoint", "expected \"/v1/chat/completions\" or \"/v1/completions\"");
  }
  const auto file = parse_file_id(fields.text("input_file_id", 64).value_or(""));
  if (file.ok()) {
    batch.input_file = file.value();
  } else {
    fields.fail("input_file_id", file.error().message);
  }
  batch.completion_window = fields.text("completion_window", 16).value_or("");
  const auto window = parse_completion_window(batch.completion_window);
  if (!window.ok()) fields.fail("completion_window", window.error().message);
  read_metadata(fields, batch);
  fields.finish();
  if (fields.fault()) return *fields.fault();
  return batch;
}

}  // namespace lockstep
