// Tokens per second of several sequences at once: llama-batched-bench's cases, through the leader
// and its scheduler.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "cli/replica_session.h"

namespace lockstep {

struct BatchOptions {
  ReplicaOptions replica;
  int prompt_size = 128;     // Tokens of each prompt; no two prompts share a prefix.
  int completion_size = 64;  // Tokens generated for each.
  std::vector<int> sequences = {8, 32};
  std::vector<int> threads;
  std::string format = "md";
};

// Measures and prints; gives the exit status.
Result<int> run_batch(const BatchOptions& options, bool json);

}  // namespace lockstep
