// Runs a program of the system and takes what it prints: sbatch, scontrol, squeue.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace lockstep {

struct ProgramOutput {
  int status = 0;   // Its exit status; 128 + N when signal N ended it.
  std::string out;  // At most kMaxProgramOutput bytes; the rest is dropped.
  std::string error;
};

inline constexpr std::size_t kMaxProgramOutput = std::size_t{1} << 20;

// arguments[0] is looked up in PATH; `input` is its stdin. kNotFound when there is none, kTimeout
// when it did not end in time (it is killed then).
Result<ProgramOutput> run_program(const std::vector<std::string>& arguments,
                                  const std::string& input, int timeout_ms);

}  // namespace lockstep
