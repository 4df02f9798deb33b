#include "scheduler/gateway/api/job_body.h"

#include <utility>

#include "scheduler/gateway/api/answer_body.h"
#include "scheduler/gateway/api/field_reader.h"

namespace lockstep {
namespace {

const char* state_text(JobState state) {
  switch (state) {
    case JobState::kAccepted:
      break;
    case JobState::kDone:
      return "completed";
    case JobState::kFailed:
      return "failed";
    case JobState::kCancelled:
      return "cancelled";
    case JobState::kExpired:
      return "expired";
  }
  return "in_progress";
}

}  // namespace

OrApiError<JobRequest> parse_job_request(std::string_view body) {
  auto json = parse_body(body);
  if (auto* error = std::get_if<ApiError>(&json)) return std::move(*error);
  FieldReader fields(std::get<OrderedJson>(json));
  JobRequest job;
  job.route = fields.text("url", 64).value_or("");
  if (job.route != kChatRoute && job.route != kCompletionsRoute) {
    fields.fail("url", "expected \"/v1/chat/completions\" or \"/v1/completions\"");
  }
  if (fields.text("method", 8).value_or("POST") != "POST") fields.fail("method", "only POST is");
  job.expires_in_s = fields.integer("expires_in_s", 1, kMaxJobLifetimeS).value_or(0);
  const OrderedJson* inner = fields.take("body");
  if (inner == nullptr) fields.fail("body", "is missing");
  fields.finish();
  if (fields.fault()) return *fields.fault();
  auto generation = read_generation_request(job.route, *inner);
  if (auto* error = std::get_if<ApiError>(&generation)) {
    error->param = error->param.empty() ? "body" : "body." + error->param;
    error->message = "body." + error->message;
    return std::move(*error);
  }
  job.generation = std::get<GenerationRequest>(std::move(generation));
  if (job.generation.answer.stream) {
    return field_error("body.stream",
                       "a job has no stream; its events are at /v1/requests/ID/events");
  }
  return job;
}

OrApiError<GenerationRequest> parse_record(const JobRecord& record) {
  if (record.kind != JobKind::kJob) {
    return parse_generation_request(record.route, record.request_json);
  }
  auto job = parse_job_request(record.request_json);
  if (auto* error = std::get_if<ApiError>(&job)) return std::move(*error);
  return std::get<JobRequest>(std::move(job)).generation;
}

OrderedJson job_body(const AnswerForm& form, const std::optional<JobOutcome>& outcome,
                     std::span<const ChoiceRecord> choices) {
  const JobRecord& record = *form.record;
  OrderedJson json;
  json["id"] = record.id.text();
  json["object"] = "job";
  json["status"] = state_text(outcome ? outcome->state : JobState::kAccepted);
  json["url"] = form.options.chat ? kChatRoute : kCompletionsRoute;
  json["created_at"] = record.created_ms / 1000;
  json["expires_at"] =
      record.expires_ms > 0 ? OrderedJson(record.expires_ms / 1000) : OrderedJson();
  json["ended_at"] = outcome ? OrderedJson(outcome->ended_ms / 1000) : OrderedJson();
  json["response"] = nullptr;
  json["error"] = nullptr;
  if (outcome && outcome->state == JobState::kDone) {
    json["response"] = answer_body(form, choices);
  } else if (outcome) {
    json["error"] = OrderedJson::parse(error_body(outcome_error(*outcome)))["error"];
  }
  return json;
}

std::string job_list_body(const Listed<JobSummary>& jobs) {
  OrderedJson json;
  json["object"] = "list";
  json["data"] = OrderedJson::array();
  for (const JobSummary& job : jobs.items) {
    OrderedJson one;
    one["id"] = job.id.text();
    one["object"] = "job";
    one["status"] = state_text(job.state);
    one["created_at"] = job.created_ms / 1000;
    one["ended_at"] = job.ended_ms > 0 ? OrderedJson(job.ended_ms / 1000) : OrderedJson();
    json["data"].push_back(std::move(one));
  }
  const bool is_empty = jobs.items.empty();
  json["first_id"] = is_empty ? OrderedJson() : json["data"].front()["id"];
  json["last_id"] = is_empty ? OrderedJson() : json["data"].back()["id"];
  json["has_more"] = jobs.has_more;
  return json.dump();
}

}  // namespace lockstep
