// Tokens per second of prompts and generations, one sequence at a time: llama-bench's cases.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "cli/replica_session.h"

namespace lockstep {

struct SpeedOptions {
  ReplicaOptions replica;
  std::vector<int> prompt_sizes = {512};
  std::vector<int> completion_sizes = {128};
  std::vector<int> depths = {0};  // Tokens of context before the measured ones.
  std::vector<int> threads;
  int repetitions = 5;
  bool warm_up = true;
  std::string format = "md";
};

// Measures and prints; gives the exit status.
Result<int> run_speed(const SpeedOptions& options, bool json);

// The prompts of a bench: token ids that do not repeat soon, what they are does not change the
// work. Another salt gives others, from the first token on.
std::vector<std::uint32_t> made_up_prompt(int count, int vocab_size, int salt = 0);

}  // namespace lockstep
