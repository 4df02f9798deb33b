// The results of several runs of one batch, in one file.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace lockstep {

struct MergeFigures {
  std::uint32_t lines = 0;     // That were written.
  std::uint32_t missing = 0;   // Of the input, without a result.
  std::uint32_t repeated = 0;  // Results of lines that had one.
  std::uint32_t files = 0;
};

// Reads `folder`/out-*.jsonl and writes `out`, in the order of `input`, by renaming a new file. A
// line that was answered twice is written once; kCorrupt when its answers differ, or for a result
// of a line that `input` has not.
Result<MergeFigures> merge_results(const std::string& input, const std::string& folder,
                                   const std::string& out);

}  // namespace lockstep
