// The model of a simulated world. What a token leaves in the KV cache is a hash of the token, its
// position and its tenant; the next token is a hash of everything that lies in the cache below it.
// So a block that holds anything else gives another answer, which the checker sees.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/sampling.h"

namespace lockstep::simulation {

constexpr std::uint64_t mix(std::uint64_t hash, std::uint64_t value) {
  hash = (hash ^ value) * 0x9E3779B97F4A7C15U;
  return hash ^ (hash >> 29);
}

std::uint64_t salt_of(std::string_view tenant);

// What a token at a position writes.
inline std::uint64_t kv_of(std::uint32_t token, std::uint32_t position, std::uint64_t salt) {
  return mix(mix(salt, token), position);
}

// The token at `index` of a completion, behind a cache whose contents add up to `context`.
std::uint32_t next_token(std::uint64_t context, std::uint64_t seed, std::uint32_t choice,
                         std::uint32_t index);

// One token in 64 ends an answer.
inline bool is_end(std::uint32_t token) { return token % 64 == 0; }

struct Answer {
  std::vector<std::uint32_t> tokens;
  FinishReason reason = FinishReason::kLength;
};

// The one answer, computed without any of the machinery that is tested.
Answer answer_of(std::string_view tenant, std::span<const std::uint32_t> prompt, std::uint64_t seed,
                 std::uint32_t choice, std::uint32_t max_tokens);

}  // namespace lockstep::simulation
