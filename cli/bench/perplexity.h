// Perplexity of a text under a stored model.
#pragma once

#include <string>

#include "base/result.h"
#include "cli/replica_session.h"

namespace lockstep {

struct PerplexityOptions {
  ReplicaOptions replica;
  std::string text;
  int window = 512;  // Tokens; each window predicts all but its first.
  int windows = 4;
  std::string dump_logits;
};

// Scores and prints; gives the exit status.
Result<int> run_perplexity(const PerplexityOptions& options, bool json);

}  // namespace lockstep
