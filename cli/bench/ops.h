// Times of the single operations of a device, by Google Benchmark: one thread, shapes of a model.
#pragma once

#include <string>

#include "base/result.h"

namespace lockstep {

struct OpsOptions {
  std::string model;  // Whose shapes; "": those of SmolLM2-135M.
  std::string device = "auto";
  std::string filter = ".";  // A regular expression over the names.
  double min_time_s = 0.1;   // Of each operation.
};

// Measures and prints; gives the exit status.
Result<int> run_ops(const OpsOptions& options, bool json);

}  // namespace lockstep
