// What a rank must find before a model is loaded in a Slurm job: each check takes seconds at most,
// and says what to do. Some compare what all ranks of the MPI world have found.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/doctor/check.h"

namespace lockstep {

struct SlurmCheckOptions {
  std::string model;  // Empty: not looked at.
  std::string state;  // Empty: not looked at.
};

// What one rank says of itself; compared by judge().
struct RankFinding {
  std::string node;
  std::string devices;             // GPUs that Slurm gave to this rank, by number; empty: none.
  std::string store;               // The manifest's hash, or "" when it cannot be opened ...
  std::string fault;               // ... and why.
  std::uint64_t locked_bytes = 0;  // That it may lock; UINT64_MAX: any.
  std::uint64_t shared_memory_free = 0;  // Of /dev/shm on its node.
  std::string scratch;                   // TMPDIR, or what stands for it.
  std::uint64_t scratch_free = 0;        // 0: it cannot be written at all.
  int lock = 0;                          // 1: another node's lock held it off, -1: it did not.
};

std::string encode_finding(const RankFinding& finding);
// kCorrupt names the field.
Result<RankFinding> parse_finding(const std::string& text);

// Pure. By rank; `promised_tasks` is SLURM_NTASKS, 0 when Slurm says nothing.
std::vector<Check> judge(const std::vector<RankFinding>& findings, int promised_tasks);

// "1-02:03:04", "03:04" as squeue prints a job's time left, in seconds; -1: no limit or no time.
std::int64_t seconds_left(std::string_view text);

// Runs all checks; starts MPI where a launcher's environment says that this is a rank. The result
// is rank 0's alone, other ranks get nothing. Collective.
Result<std::vector<Check>> slurm_checks(const SlurmCheckOptions& options);

}  // namespace lockstep
