// What the ledger's tests share: a directory that goes away, a clock and a random source that obey,
// jobs to record.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "chainbridge/ledger.h"

namespace lockstep {

class FixedClock final : public Clock {
 public:
  std::int64_t monotonic_ns() const override { return 0; }
  std::int64_t unix_ms() const override { return seconds * 1000; }
  std::int64_t seconds = 1'700'000'000;
};

// Bytes 0, 1, 2, ... on and on.
class CountingRandom final : public Random {
 public:
  void fill(std::span<std::uint8_t> out) override {
    for (std::uint8_t& byte : out) byte = next_++;
  }

 private:
  std::uint8_t next_ = 0;
};

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    // In memory where that is possible: the tests open and sync some thousand times.
    std::error_code missing;
    const bool memory = std::filesystem::is_directory("/dev/shm", missing);
    const std::filesystem::path parent =
        memory ? "/dev/shm" : std::filesystem::temp_directory_path();
    std::string pattern = parent / "lockstep_ledger_XXXXXX";
    CHECK(mkdtemp(pattern.data()) != nullptr, "no temporary directory");
    path_ = pattern;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

inline std::string read_bytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

inline void write_bytes(const std::string& path, std::string_view bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  CHECK(out.good(), "cannot write a test's file");
}

inline Digest model_of(std::uint8_t name) {
  Digest model;
  model.bytes[0] = name;
  return model;
}

// Prompt (n, 5, 6), a sampling with every field used, two ranks.
inline Assignment sample_assignment(std::uint32_t n = 4) {
  Assignment assignment;
  assignment.model_id = model_of(7);
  assignment.prompt_ids = {n, 5, 6};
  assignment.salt.bytes[31] = 9;
  assignment.sampling = {.temperature = 0.7F,
                         .top_k = 40,
                         .top_p = 0.9F,
                         .min_p = 0.05F,
                         .repetition_penalty = 1.1F,
                         .frequency_penalty = -0.5F,
                         .presence_penalty = 0.25F,
                         .seed = 0xFFFF'FFFF'FFFF'FFFF,
                         .max_completion_tokens = 8,
                         .stop = {"\n\n", "Ende \xE2\x80\x94"},
                         .logit_bias = {{3, -100.0F}, {9, 1.5F}},
                         .ignore_eos = true,
                         .context_limit = 4096,
                         .choice_index = 1,
                         .trace = TraceKind::kLogits};
  assignment.ranks = {{0, 5, "cpu:avx2"}, {5, 4, "cpu:avx512vnni"}};
  return assignment;
}

// Tokens (n, n+1, n+2) with a digest each.
inline JobResult sample_result(std::uint64_t assignment, std::uint32_t n = 100) {
  JobResult result;
  result.assignment = assignment;
  for (std::uint32_t i = 0; i < 3; ++i) {
    result.completion_ids.push_back(n + i);
    Digest digest;
    digest.bytes[0] = static_cast<std::uint8_t>(n + i);
    result.token_digests.push_back(digest);
  }
  result.finish_reason = FinishReason::kLength;
  return result;
}

// A ledger with a fixed clock in a directory of its own.
class LedgerFixture : public ::testing::Test {
 protected:
  Result<Ledger> open(const LedgerOptions& options = {.rollup_size = 64, .lock_timeout_ms = 0}) {
    return Ledger::open(directory_, options, random_, clock_);
  }

  // Appends `jobs` finished jobs and ends cleanly.
  void record_jobs(std::uint32_t jobs, std::uint32_t rollup_size = 64) {
    auto ledger = open({.rollup_size = rollup_size, .lock_timeout_ms = 0});
    ASSERT_TRUE(ledger.ok()) << ledger.error().message;
    for (std::uint32_t i = 0; i < jobs; ++i) {
      const auto job = ledger.value().append_assignment(sample_assignment(i));
      ASSERT_TRUE(job.ok()) << job.error().message;
      const auto done = ledger.value().append_result(sample_result(job.value().sequence, 100 + i));
      ASSERT_TRUE(done.ok()) << done.error().message;
    }
    const Status closed = ledger.value().close();
    ASSERT_TRUE(closed.ok()) << closed.error().message;
  }

  std::string bytes() const { return read_bytes(ledger_file(directory_)); }
  void replace_bytes(std::string_view bytes) const { write_bytes(ledger_file(directory_), bytes); }

  TemporaryDirectory temporary_;
  std::string directory_ = temporary_ / "ledger";
  CountingRandom random_;
  FixedClock clock_;
};

}  // namespace lockstep
