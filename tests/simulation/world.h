// Runs a scenario: first with its faults, then without, until everything has ended or the time is
// up.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "tests/simulation/scenario.h"

namespace lockstep::simulation {

struct Report {
  std::uint64_t seed = 0;
  std::uint64_t dropped = 0;  // As the options said.
  std::uint64_t trace_hash = 0;
  std::uint64_t num_events = 0;
  std::uint64_t num_delivered = 0;
  std::uint64_t num_accepted = 0;
  std::uint64_t num_done = 0;
  std::uint64_t num_preemptions = 0;
  std::uint64_t num_prefix_hits = 0;
  Dispatcher::Counts counts;
  std::vector<std::string> wrong;  // What the checker found; empty when all is well.

  // The counts of another world on top of these.
  void add(const Report& other);
  // All counts, in one line.
  std::string totals() const;
  // One line per finding, with the seed, and how to see it again; nothing when all is well.
  std::string text() const;
};

struct RunOptions {
  std::uint64_t drop_delivery = 0;  // This message (from 1 on) does not arrive. 0: all do.
  std::FILE* print_to = nullptr;    // What happens, a line each.
};

Report run_world(std::uint64_t seed, const RunOptions& options = {});

}  // namespace lockstep::simulation
