// API keys as the HTTP interface asks for them: what a client sent, and whom it stands for.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "scheduler/priority.h"

namespace lockstep {

// What a key may be used for; bits.
enum KeyScope : std::uint32_t {
  kScopeInference = 1,  // Completions, tokenize, models, the events of a request.
  kScopeJobs = 2,       // /v1/jobs
  kScopeBatches = 4,    // /v1/files, /v1/batches
  kScopeStatus = 8,     // /metrics, /v1/lockstep/status
};
inline constexpr std::uint32_t kAllScopes = 15;

// Whom a key stands for.
struct Principal {
  std::string key_id;  // Names the key in logs; no secret.
  std::string tenant;
  std::uint32_t scopes = kAllScopes;
  std::int64_t expires_ms = 0;          // Unix time; 0: never.
  std::uint64_t tokens_per_minute = 0;  // Prompt and completion tokens; 0: no limit.
  PriorityClass highest_priority = PriorityClass::kInteractive;
};

class KeyChecker {
 public:
  virtual ~KeyChecker() = default;
  // The owner of the key that a client sent; nothing when it is unknown, revoked or expired. Takes
  // the same time whatever it shares with known ones. Thread-safe, does not block.
  virtual std::optional<Principal> find(std::string_view sent, std::int64_t unix_ms) const = 0;
};

}  // namespace lockstep
