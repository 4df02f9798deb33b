#include "scheduler/batch_lines.h"

#include <algorithm>
#include <utility>

#include "scheduler/gateway/api/answer_body.h"
#include "scheduler/gateway/api/model_text.h"

namespace lockstep {
namespace {

bool is_route(std::string_view url) { return url == kChatRoute || url == kCompletionsRoute; }

BatchError field_fault(const ApiError& error) {
  return {.code = error.code.empty() ? "invalid_value" : error.code,
          .message = "body." + error.message,
          .param = error.param.empty() ? "body" : "body." + error.param};
}

void set_error(const ApiError& error, BatchLineResult& result) {
  result.status_code = error.status;
  result.body_json = error_body(error);
}

void set_code(std::string_view code, std::string_view message, BatchLineResult& result) {
  result.error_code = code;
  result.error_message = message;
}

bool has_ended(const ChoiceRecord& choice) { return choice.end && choice.end->status.ok(); }

std::uint64_t seed_of(std::string_view salt, const std::string& custom_id) {
  const Digest digest = sha256(as_bytes(std::string(salt).append("\n").append(custom_id)));
  return load_le<std::uint64_t>(digest.bytes.data());
}

}  // namespace

Result<BatchLines> BatchLines::open(const Store& model, std::string name,
                                    std::uint32_t context_tokens) {
  LOCKSTEP_TRY_ASSIGN(
      auto text, ModelText::open(model, std::move(name), context_tokens, /*created_s=*/0), "model");
  return BatchLines(std::move(text));
}

Digest BatchLines::model_id() const { return text_->identity().model_id; }

std::uint32_t BatchLines::numerics_version() const { return text_->identity().numerics_version; }

std::string BatchLines::fingerprint() const { return text_->fingerprint(); }

BatchError BatchLines::check(const BatchLine& line) const {
  if (!is_route(line.url)) {
    return {.code = "invalid_value",
            .message = "\"url\": expected \"/v1/chat/completions\" or \"/v1/completions\"",
            .param = "url"};
  }
  const auto parsed = parse_generation_request(line.url, line.body);
  if (const auto* error = std::get_if<ApiError>(&parsed)) return field_fault(*error);
  const auto& request = std::get<GenerationRequest>(parsed);
  if (request.answer.stream) {
    return field_fault(field_error("stream", "a line of a batch has no stream"));
  }
  if (request.priority.value_or(PriorityClass::kBatch) != PriorityClass::kBatch) {
    return field_fault(
        field_error("lockstep.priority", "a line of a batch has the class \"batch\""));
  }
  if (const auto error = text_->check_name(request.model)) return field_fault(*error);
  return {};
}

LineJob BatchLines::make_job(const BatchLine& line, std::string_view salt,
                             std::int64_t unix_ms) const {
  const auto parsed = parse_generation_request(line.url, line.body);
  auto made = std::holds_alternative<ApiError>(parsed)
                  ? OrApiError<JobRecord>(std::get<ApiError>(parsed))
                  : text_->make_job(std::get<GenerationRequest>(parsed),
                                    seed_of(salt, line.custom_id), unix_ms);
  LineJob job;
  if (const auto* error = std::get_if<ApiError>(&made)) {
    job.status = Error{ErrorCode::kInvalidArgument, error->message};
    job.record.model_id = model_id();
    job.record.numerics_version = numerics_version();
    job.record.created_ms = unix_ms;
  } else {
    job.record = std::get<JobRecord>(std::move(made));
  }
  job.record.kind = JobKind::kBatchLine;
  job.record.priority = PriorityClass::kBatch;
  job.record.route = line.url;
  job.record.keep_without_client = true;
  job.record.body_digest = sha256(as_bytes(line.body));
  job.record.request_json = line.body;
  job.record.custom_id = line.custom_id;
  return job;
}

BatchLineResult BatchLines::result_of(const StoredJob& job, const BatchRecord& batch) const {
  const JobRecord& record = job.record;
  BatchLineResult result;
  result.id = record.id;
  result.custom_id = record.custom_id;
  ApiError failure;
  failure.status = 500;
  failure.type = "server_error";
  const auto request = parse_generation_request(record.route, record.request_json);
  const bool is_ours =
      record.model_id == model_id() && record.numerics_version == numerics_version();
  if (job.state == JobState::kDone && !is_ours) {
    failure.message = "answered by model " + record.model_id.hex() + ", which is no longer served";
    set_error(failure, result);
  } else if (job.state == JobState::kDone) {
    if (!std::ranges::all_of(job.choices, has_ended) ||
        !std::holds_alternative<GenerationRequest>(request)) {
      failure.message = "the stored answer is not understood by this version";
      set_error(failure, result);
      return result;
    }
    const AnswerForm form{std::get<GenerationRequest>(request).answer, &record, text_.get()};
    result.body_json = answer_body(form, job.choices).dump();
  } else if (job.state == JobState::kExpired ||
             (job.state == JobState::kCancelled && batch.is_expired)) {
    set_code(kBatchExpiredCode, kBatchExpiredMessage, result);
  } else if (job.state == JobState::kCancelled && batch.is_cancelled) {
    set_code(kBatchCancelledCode, kBatchCancelledMessage, result);
  } else {
    // What the model could not take is found again; everything else happened on the way.
    ApiError error = outcome_error(job.outcome);
    if (record.prompt.empty() && is_ours) {
      const auto made =
          std::holds_alternative<ApiError>(request)
              ? OrApiError<JobRecord>(std::get<ApiError>(request))
              : text_->make_job(std::get<GenerationRequest>(request), 0, record.created_ms);
      if (const auto* again = std::get_if<ApiError>(&made)) error = *again;
    }
    set_error(error, result);
  }
  return result;
}

BatchLineResult unfed_result(RequestId id, std::string custom_id, const BatchRecord& batch) {
  BatchLineResult result;
  result.id = id;
  result.custom_id = std::move(custom_id);
  if (batch.is_expired) {
    set_code(kBatchExpiredCode, kBatchExpiredMessage, result);
  } else {
    set_code(kBatchCancelledCode, kBatchCancelledMessage, result);
  }
  return result;
}

}  // namespace lockstep
