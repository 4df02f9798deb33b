// The API as an HttpService: access first, then the route.
#pragma once

#include <memory>

#include "scheduler/gateway/api_backend.h"
#include "scheduler/gateway/batch_backend.h"
#include "scheduler/gateway/http/access.h"
#include "scheduler/gateway/http/service.h"

namespace lockstep {

class Clock;
class ModelText;
class Random;

struct ApiServiceOptions {
  std::shared_ptr<const ModelText> model;
  ApiBackend* backend = nullptr;     // The pointers outlive the service.
  FileBackend* files = nullptr;      // Null: no routes of files and batches.
  BatchBackend* batches = nullptr;   // As files.
  const KeyChecker* keys = nullptr;  // Null with access.no_auth only.
  const Clock* clock = nullptr;
  Random* random = nullptr;  // Thread-safe.
  AccessOptions access;
  std::shared_ptr<HttpCounters> counters;  // The server's.
};

std::shared_ptr<HttpService> make_api_service(const ApiServiceOptions& options);

}  // namespace lockstep
