#include "scheduler/gateway/http/router.h"

#include <algorithm>
#include <array>
#include <optional>

#include "scheduler/gateway/key_checker.h"

namespace lockstep {
namespace {

constexpr std::array kRoutes = {
    Route{RouteId::kDashboard, "GET", "/", 0},
    Route{RouteId::kHealth, "GET", "/healthz", 0},
    Route{RouteId::kMetrics, "GET", "/metrics", kScopeStatus},
    Route{RouteId::kStatus, "GET", "/v1/lockstep/status", kScopeStatus},
    Route{RouteId::kModels, "GET", "/v1/models", kScopeInference},
    Route{RouteId::kModel, "GET", "/v1/models/*", kScopeInference},
    Route{RouteId::kCompletions, "POST", "/v1/completions", kScopeInference},
    Route{RouteId::kChat, "POST", "/v1/chat/completions", kScopeInference},
    Route{RouteId::kTokenize, "POST", "/tokenize", kScopeInference},
    Route{RouteId::kDetokenize, "POST", "/detokenize", kScopeInference},
    Route{RouteId::kCreateJob, "POST", "/v1/jobs", kScopeJobs},
    Route{RouteId::kListJobs, "GET", "/v1/jobs", kScopeJobs},
    Route{RouteId::kGetJob, "GET", "/v1/jobs/*", kScopeJobs},
    Route{RouteId::kCancelJob, "DELETE", "/v1/jobs/*", kScopeJobs},
    Route{RouteId::kRequestEvents, "GET", "/v1/requests/*/events", kScopeInference},
    Route{RouteId::kCreateFile, "POST", "/v1/files", kScopeBatches},
    Route{RouteId::kListFiles, "GET", "/v1/files", kScopeBatches},
    Route{RouteId::kGetFile, "GET", "/v1/files/*", kScopeBatches},
    Route{RouteId::kDeleteFile, "DELETE", "/v1/files/*", kScopeBatches},
    Route{RouteId::kFileContent, "GET", "/v1/files/*/content", kScopeBatches},
    Route{RouteId::kCreateBatch, "POST", "/v1/batches", kScopeBatches},
    Route{RouteId::kListBatches, "GET", "/v1/batches", kScopeBatches},
    Route{RouteId::kGetBatch, "GET", "/v1/batches/*", kScopeBatches},
    Route{RouteId::kCancelBatch, "POST", "/v1/batches/*/cancel", kScopeBatches},
};

// The parameter (empty when the pattern has none); nothing when the path does not fit.
std::optional<std::string> fit(std::string_view pattern, std::string_view path) {
  const std::size_t star = pattern.find('*');
  if (star == pattern.npos) {
    return pattern == path ? std::optional<std::string>(std::string()) : std::nullopt;
  }
  const std::string_view before = pattern.substr(0, star);
  const std::string_view behind = pattern.substr(star + 1);
  if (path.size() <= before.size() + behind.size() || !path.starts_with(before) ||
      !path.ends_with(behind)) {
    return std::nullopt;
  }
  path.remove_prefix(before.size());
  path.remove_suffix(behind.size());
  if (path.find('/') != path.npos) return std::nullopt;
  return std::string(path);
}

}  // namespace

RouteMatch match_route(std::string_view method, std::string_view path) {
  RouteMatch match;
  for (const Route& route : kRoutes) {
    auto parameter = fit(route.pattern, path);
    if (!parameter) continue;
    const bool is_read = route.method == "GET";
    if (route.method == method || (is_read && method == "HEAD")) {
      match.route = &route;
      match.parameter = std::move(*parameter);
      return match;
    }
    if (!match.allow.empty()) match.allow += ", ";
    match.allow += route.method;
    if (is_read) match.allow += ", HEAD";
  }
  return match;
}

}  // namespace lockstep
