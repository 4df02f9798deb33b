// The keys of a state directory, as the HTTP interface asks for them.
#pragma once

#include <string>

#include "scheduler/api_key.h"
#include "scheduler/gateway/key_checker.h"

namespace lockstep {

// What the scopes of a key open. Jobs are for whoever may ask at all.
inline std::uint32_t scope_bits(const ApiKey& key) {
  std::uint32_t bits = 0;
  for (const std::string& scope : key.scopes) {
    if (scope == "inference") bits |= kScopeInference | kScopeJobs;
    if (scope == "batch") bits |= kScopeBatches | kScopeJobs;
    if (scope == "admin") bits |= kScopeStatus;
  }
  return bits;
}

class RingKeyChecker final : public KeyChecker {
 public:
  // `ring` must outlive this; whoever owns it refreshes it.
  explicit RingKeyChecker(const ApiKeyRing& ring) : ring_(ring) {}

  std::optional<Principal> find(std::string_view sent, std::int64_t unix_ms) const override {
    const std::shared_ptr<const ApiKey> key = ring_.check(sent, unix_ms);
    if (key == nullptr) return std::nullopt;
    Principal principal;
    principal.key_id = key->id;
    principal.tenant = key->tenant;
    principal.scopes = scope_bits(*key);
    principal.expires_ms = key->expires_ms;
    principal.tokens_per_minute = key->tokens_per_minute;
    principal.highest_priority = key->best_priority;
    return principal;
  }

 private:
  const ApiKeyRing& ring_;
};

}  // namespace lockstep
