// Which route a request is for. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lockstep {

enum class RouteId : std::uint8_t {
  kDashboard,
  kHealth,
  kMetrics,
  kStatus,
  kModels,
  kModel,
  kCompletions,
  kChat,
  kTokenize,
  kDetokenize,
  kCreateJob,
  kListJobs,
  kGetJob,
  kCancelJob,
  kRequestEvents,
  kCreateFile,
  kListFiles,
  kGetFile,
  kDeleteFile,
  kFileContent,
  kCreateBatch,
  kListBatches,
  kGetBatch,
  kCancelBatch,
};

struct Route {
  RouteId id;
  std::string_view method;
  std::string_view pattern;  // "*" stands for one segment.
  std::uint32_t scope;       // KeyScope; 0: no key is needed.
};

struct RouteMatch {
  const Route* route = nullptr;
  std::string parameter;  // The segment that "*" stood for.
  std::string allow;      // Without a route: the methods of the path; empty: there is no such path.
};

// HEAD goes where GET goes.
RouteMatch match_route(std::string_view method, std::string_view path);

}  // namespace lockstep
