#include "scheduler/prefix_affinity.h"

#include <algorithm>

namespace lockstep {

namespace {

// Tokens that name a beginning: four KV blocks. A system prompt is longer, two chats part sooner.
constexpr std::size_t kNamedTokens = 64;

// FNV-1a. A collision costs a cache hit.
std::uint64_t name_of(std::string_view tenant, std::span<const std::uint32_t> prompt) {
  std::uint64_t name = 14695981039346656037ULL;
  const auto mix = [&name](std::uint64_t value) { name = (name ^ value) * 1099511628211ULL; };
  for (const char c : tenant) mix(static_cast<unsigned char>(c));
  mix(256);
  for (const std::uint32_t token : prompt.first(std::min(kNamedTokens, prompt.size()))) mix(token);
  return name;
}

}  // namespace

std::optional<ReplicaId> PrefixAffinity::find(std::string_view tenant,
                                              std::span<const std::uint32_t> prompt) const {
  const auto found = known_.find(name_of(tenant, prompt));
  return found == known_.end() ? std::nullopt : std::optional(found->second);
}

void PrefixAffinity::remember(std::string_view tenant, std::span<const std::uint32_t> prompt,
                              ReplicaId replica) {
  const std::uint64_t name = name_of(tenant, prompt);
  if (!known_.insert_or_assign(name, replica).second) return;
  order_.push_back(name);
  if (order_.size() > capacity_) {
    known_.erase(order_.front());
    order_.pop_front();
  }
}

}  // namespace lockstep
