// Results of `lockstep bench` in llama-bench's output formats: the same column and key names, ours
// after them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/bench/model_figures.h"

namespace lockstep {

// One case: a prompt of n_prompt tokens, or n_gen tokens generated one by one.
struct BenchRow {
  std::string model_filename;
  ModelFigures figures;
  std::string cpu;
  std::string device;
  int n_batch = 0;
  int n_threads = 0;  // Per rank.
  int n_prompt = 0;
  int n_gen = 0;
  int n_depth = 0;  // Tokens of context before.
  int ranks = 1;
  int activation_bits = 16;
  int kv_bits = 16;
  std::string test_time;  // UTC, "2026-11-21T06:00:00Z".
  std::vector<std::uint64_t> samples_ns;

  std::string test_name() const;           // "pp512", "tg128", "tg128 @ d2000".
  std::vector<double> samples_ts() const;  // Tokens per second.
};

// `format`: "md", "csv", "json" or "jsonl".
Status print_rows(const std::vector<BenchRow>& rows, const std::string& format);

}  // namespace lockstep
