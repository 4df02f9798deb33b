// Reads leaves of a store's files into place with several threads and checks each while it is in
// the cache.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <string>

#include "sharding/store.h"

namespace lockstep {

// One leaf that is wanted, and where its bytes go.
struct LeafTarget {
  int file = 0;  // Index into Manifest::files.
  std::uint64_t leaf = 0;
  std::span<std::uint8_t> bytes;  // As long as the leaf.
};

// Fills the targets with `num_threads` threads, the caller among them. The first leaf, in the order
// of the targets, that cannot be read or has another hash is the error, whatever the threads do.
// kAborted when `stopped` became true before all was read.
Status read_leaves(const std::string& directory, const Manifest& manifest,
                   std::span<const LeafTarget> targets, int num_threads,
                   const std::atomic<bool>& stopped);

}  // namespace lockstep
