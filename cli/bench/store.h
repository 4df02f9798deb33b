// `lockstep bench store`: how many jobs a second become durable on a disk.
#pragma once

#include <string>

#include "base/result.h"

namespace lockstep {

struct StoreOptions {
  std::string directory;
  int producers = 256;  // Clients, each with one commit at a time.
  int jobs = 20'000;
  int repetitions = 5;
};

// Prints the figures. The state directory must not be there yet; it is removed at the end.
Result<int> run_store(const StoreOptions& options, bool as_json);

}  // namespace lockstep
