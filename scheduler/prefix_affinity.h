// Remembers which replica computed a prompt that began alike, so that the next one finds its keys
// and values in the cache. A hint: forgetting costs time, never an answer. Pure; bounded.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>

#include "scheduler/replica_id.h"

namespace lockstep {

class PrefixAffinity {
 public:
  // How many beginnings are remembered; the oldest are forgotten first.
  explicit PrefixAffinity(std::size_t capacity = 4096) : capacity_(capacity) {}

  std::optional<ReplicaId> find(std::string_view tenant,
                                std::span<const std::uint32_t> prompt) const;
  void remember(std::string_view tenant, std::span<const std::uint32_t> prompt, ReplicaId replica);

 private:
  std::size_t capacity_;
  std::unordered_map<std::uint64_t, ReplicaId> known_;
  std::deque<std::uint64_t> order_;
};

}  // namespace lockstep
