#include "scheduler/gateway/http/submission.h"

#include <algorithm>
#include <utility>

namespace lockstep {
namespace {

constexpr std::size_t kMaxKeyBytes = 255;

PriorityClass default_priority(const RequestHead& head) {
  return head.path == "/v1/jobs" ? PriorityClass::kNormal : PriorityClass::kInteractive;
}

}  // namespace

OrApiError<std::string> idempotency_key(const RequestHead& head) {
  const std::string* key = head.find("Idempotency-Key");
  if (key == nullptr) return std::string();
  const bool is_visible =
      std::all_of(key->begin(), key->end(), [](char c) { return c > ' ' && c < '\x7F'; });
  if (key->empty() || key->size() > kMaxKeyBytes || !is_visible) {
    return field_error("Idempotency-Key", "expected 1 to 255 visible ASCII characters");
  }
  return *key;
}

OrApiError<JobRecord> make_record(const RouteCall& call, const GenerationRequest& request,
                                  std::string body) {
  auto key = idempotency_key(call.head);
  if (auto* error = std::get_if<ApiError>(&key)) return std::move(*error);
  // Smaller goes first.
  if (request.priority && *request.priority < call.principal.highest_priority) {
    ApiError error = field_error("lockstep.priority", "is better than the API key allows");
    error.status = 403;
    error.type = "permission_error";
    return error;
  }
  std::array<std::uint8_t, 8> seed{};
  if (!request.has_seed) call.parts->random->fill(seed);
  auto made =
      call.parts->model->make_job(request, load_le<std::uint64_t>(seed.data()), call.unix_ms());
  if (auto* error = std::get_if<ApiError>(&made)) return std::move(*error);
  JobRecord record = std::get<JobRecord>(std::move(made));
  record.id = call.head.id;
  record.tenant = call.principal.tenant;
  record.priority = std::max(request.priority.value_or(default_priority(call.head)),
                             call.principal.highest_priority);
  record.route = call.head.path;
  record.idempotency_key = std::get<std::string>(std::move(key));
  record.keep_without_client = !record.idempotency_key.empty();
  record.body_digest = sha256(as_bytes(body));
  record.request_json = std::move(body);
  return record;
}

void submit(const RouteCall& call, JobRecord record, Respond respond,
            std::function<Response(Accepted)> answer) {
  const auto prompt_tokens = record.prompt.size();
  call.parts->backend->submit(
      std::move(record), [call, prompt_tokens, respond = std::move(respond),
                          answer = std::move(answer)](Result<Accepted> accepted) {
        if (!accepted.ok()) {
          ApiError error = to_api_error(accepted.error());
          if (accepted.error().code == ErrorCode::kInvalidArgument) error.status = 422;
          return respond(error_response(error));
        }
        if (!accepted.value().replayed) {
          call.parts->access->charge(call.principal, prompt_tokens, call.unix_ms());
        }
        respond(answer(std::move(accepted).value()));
      });
}

OrApiError<RequestId> parse_request_id(const std::string& text) {
  std::string_view digits = text;
  for (const std::string_view prefix : {"chatcmpl-", "cmpl-"}) {
    if (digits.starts_with(prefix)) digits.remove_prefix(prefix.size());
  }
  const auto id = RequestId::parse(digits);
  if (id.ok()) return id.value();
  ApiError error;
  error.status = 404;
  error.message = "there is no request of this name";
  error.code = "not_found";
  return error;
}

Response unreadable_record(const ApiError& error) {
  ApiError api;
  api.status = 500;
  api.type = "server_error";
  api.message = "the stored request is not understood by this version: " + error.message;
  return error_response(api);
}

}  // namespace lockstep
