#include "scheduler/gateway/http/api_service.h"

#include <utility>

#include "scheduler/gateway/api/report_body.h"
#include "scheduler/gateway/api/tokenize_body.h"
#include "scheduler/gateway/http/batch_routes.h"
#include "scheduler/gateway/http/body_exchange.h"
#include "scheduler/gateway/http/dashboard.h"
#include "scheduler/gateway/http/generation_routes.h"
#include "scheduler/gateway/http/router.h"

namespace lockstep {
namespace {

Response answer_or_error(OrApiError<std::string> answer) {
  if (auto* error = std::get_if<ApiError>(&answer)) return error_response(*error);
  return json_response(std::get<std::string>(std::move(answer)));
}

Response health_response(const ApiParts& parts) {
  const bool is_ready = parts.backend->report()->ready;
  Response response = json_response(is_ready ? R"({"status":"ok"})" : R"({"status":"no replica"})");
  response.status = is_ready ? 200 : 503;
  return response;
}

Response metrics_response(const ApiParts& parts) {
  const HttpCounts counts{parts.counters->connections.load(), parts.counters->requests.load(),
                          parts.counters->refused.load()};
  Response response =
      json_response(metrics_body(*parts.backend->report(), parts.latencies, counts));
  response.content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
  return response;
}

// What can be answered from the head alone.
Response read_response(RouteId route, const RouteCall& call) {
  const ApiParts& parts = *call.parts;
  switch (route) {
    case RouteId::kDashboard:
      return dashboard_response();
    case RouteId::kHealth:
      return health_response(parts);
    case RouteId::kMetrics:
      return metrics_response(parts);
    case RouteId::kStatus:
      return json_response(status_body(*parts.backend->report(), parts.latencies, call.unix_ms()));
    case RouteId::kModels:
      return json_response(models_body(*parts.model));
    default:
      return answer_or_error(model_body(*parts.model, call.parameter));
  }
}

std::unique_ptr<Exchange> text_exchange(RouteCall call, RouteId route) {
  auto counters = call.parts->counters;
  return std::make_unique<BodyExchange>(
      std::move(counters), kMaxBodyBytes,
      [call = std::move(call), route](const std::string& body, const Respond& respond) {
        const ModelText& model = *call.parts->model;
        respond(answer_or_error(route == RouteId::kTokenize
                                    ? answer_tokenize(model, body, call.unix_ms() / 1000)
                                    : answer_detokenize(model, body)));
      });
}

bool is_batch_route(RouteId route) {
  return route >= RouteId::kCreateFile && route <= RouteId::kCancelBatch;
}

std::variant<Response, std::unique_ptr<Exchange>> begin_route(RouteId route, RouteCall call) {
  switch (route) {
    case RouteId::kCompletions:
    case RouteId::kChat:
      return generate_exchange(std::move(call));
    case RouteId::kRequestEvents:
      return events_exchange(std::move(call));
    case RouteId::kCreateJob:
      return create_job_exchange(std::move(call));
    case RouteId::kListJobs:
      return list_jobs_exchange(std::move(call));
    case RouteId::kGetJob:
      return get_job_exchange(std::move(call));
    case RouteId::kCancelJob:
      return cancel_job_exchange(std::move(call));
    case RouteId::kTokenize:
    case RouteId::kDetokenize:
      return text_exchange(std::move(call), route);
    case RouteId::kCreateFile:
      return upload_exchange(std::move(call));
    default:
      break;
  }
  if (is_batch_route(route)) return batch_exchange(route, std::move(call));
  return read_response(route, call);
}

class DeferredResponse final : public LaterResponse {
 public:
  explicit DeferredResponse(std::function<Response()> make) : make_(std::move(make)) {}
  std::optional<Response> poll() override { return make_(); }
  void wait(std::function<void()> wake) override { wake(); }

 private:
  std::function<Response()> make_;
};

class ApiService final : public HttpService {
 public:
  explicit ApiService(std::shared_ptr<ApiParts> parts) : parts_(std::move(parts)) {}

  std::variant<Response, std::unique_ptr<Exchange>> begin(const RequestHead& head) override {
    RouteMatch match = match_route(head.method, head.path);
    const std::uint32_t scope = match.route != nullptr ? match.route->scope : kAllScopes;
    auto principal = parts_->access->check(head, scope, head.id.unix_ms());
    if (auto* error = std::get_if<ApiError>(&principal)) return error_response(*error);
    const bool has_batches = parts_->files != nullptr && parts_->batches != nullptr;
    if (match.route != nullptr && is_batch_route(match.route->id) && !has_batches) match = {};
    if (match.route == nullptr) return unrouted(head, match);
    RouteCall call{parts_, head, std::get<Principal>(std::move(principal)),
                   std::move(match.parameter)};
    return begin_route(match.route->id, std::move(call));
  }

 private:
  static Response unrouted(const RequestHead& head, const RouteMatch& match) {
    ApiError error;
    error.status = match.allow.empty() ? 404 : 405;
    error.message = head.method.substr(0, 20) + " " + head.path.substr(0, 200) +
                    (match.allow.empty() ? ": there is no such path" : ": allowed: " + match.allow);
    error.code = match.allow.empty() ? "not_found" : "method_not_allowed";
    Response response = error_response(error);
    if (!match.allow.empty()) response.fields.push_back({"allow", match.allow});
    return response;
  }

  std::shared_ptr<ApiParts> parts_;
};

}  // namespace

Response defer(std::function<Response()> make) {
  Response response;
  response.later = std::make_unique<DeferredResponse>(std::move(make));
  return response;
}

std::shared_ptr<HttpService> make_api_service(const ApiServiceOptions& options) {
  auto parts = std::make_shared<ApiParts>();
  parts->model = options.model;
  parts->backend = options.backend;
  parts->files = options.files;
  parts->batches = options.batches;
  parts->clock = options.clock;
  parts->random = options.random;
  parts->counters = options.counters;
  parts->access = std::make_unique<Access>(options.access, options.keys);
  return std::make_shared<ApiService>(std::move(parts));
}

}  // namespace lockstep
