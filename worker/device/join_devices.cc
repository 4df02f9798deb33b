#include "worker/device/join_devices.h"

#include <bit>
#include <cstdint>
#include <vector>

#include "base/log.h"
#include "worker/device/device_memory.h"

namespace lockstep {
namespace {

// What a rank tells the others of its device.
struct Identity {
  std::uint32_t has_device = 0;
  std::uint32_t low = 0;
  std::uint32_t high = 0;

  bool operator==(const Identity&) const = default;
};
constexpr std::size_t kWords = 3;

Result<Identity> identity_of(const DeviceTarget& device) {
  if (device.table == nullptr) return Identity{};
  cuda::DeviceProperties properties{};
  LOCKSTEP_TRY(
      device_status(*device.table, device.table->runtime.properties(device.index, &properties),
                    "ask which device it is"),
      "identity");
  return Identity{1, static_cast<std::uint32_t>(properties.identity),
                  static_cast<std::uint32_t>(properties.identity >> 32)};
}

// Of every rank, in order. Words travel as the bits of floats.
Result<std::vector<Identity>> gather_identities(const Identity& mine, Communicator& group) {
  const auto ranks = static_cast<std::size_t>(group.world_size());
  const std::vector<float> words = {std::bit_cast<float>(mine.has_device),
                                    std::bit_cast<float>(mine.low),
                                    std::bit_cast<float>(mine.high)};
  const std::vector<std::size_t> counts(ranks, kWords);
  std::vector<float> all(ranks * kWords);
  LOCKSTEP_TRY(group.gather(words, counts, all, kAllRanks), "devices of all ranks");
  std::vector<Identity> identities;
  for (std::size_t at = 0; at < all.size(); at += kWords) {
    identities.push_back({std::bit_cast<std::uint32_t>(all[at]),
                          std::bit_cast<std::uint32_t>(all[at + 1]),
                          std::bit_cast<std::uint32_t>(all[at + 2])});
  }
  return identities;
}

Status apart(const std::vector<Identity>& identities) {
  for (std::size_t a = 0; a < identities.size(); ++a) {
    if (identities[a].has_device == 0) {
      return Error{ErrorCode::kUnavailable, "rank " + std::to_string(a) + " has no device"};
    }
    for (std::size_t b = 0; b < a; ++b) {
      if (identities[a] != identities[b]) continue;
      return Error{ErrorCode::kUnavailable,
                   "ranks " + std::to_string(b) + " and " + std::to_string(a) + " share a device"};
    }
  }
  return {};
}

Result<std::shared_ptr<NcclExchange>> join(const JoinOptions& options, Communicator& group,
                                           bool* some_device) {
  const Result<Identity> mine = identity_of(options.device);
  LOCKSTEP_TRY(agree(group, mine.ok() ? Status() : mine.error()), "join");
  LOCKSTEP_TRY_ASSIGN(const std::vector<Identity> identities,
                      gather_identities(mine.value(), group), "join");
  for (const Identity& identity : identities) *some_device |= identity.has_device != 0;
  LOCKSTEP_TRY(apart(identities), "join");
  Status wanted;
  if (options.nccl == "off") wanted = Error{ErrorCode::kUnavailable, "NCCL is switched off"};
  LOCKSTEP_TRY(agree(group, wanted), "join");
  LOCKSTEP_TRY_ASSIGN(std::unique_ptr<NcclExchange> made,
                      NcclExchange::create(options.nccl, options.device, group, options.deadline),
                      "join");
  return std::shared_ptr<NcclExchange>(std::move(made));
}

}  // namespace

std::shared_ptr<NcclExchange> join_devices(const JoinOptions& options, Communicator& group) {
  if (group.world_size() == 1) return nullptr;
  bool some_device = false;
  Result<std::shared_ptr<NcclExchange>> joined = join(options, group, &some_device);
  if (group.rank() == 0 && some_device) {
    log_event(LogLevel::kInfo, "device_exchange",
              {{"by", joined.ok() ? "nccl " + joined.value()->version() : "host"},
               {"reason", joined.ok() ? "" : joined.error().message}});
  }
  return joined.ok() ? joined.value() : nullptr;
}

}  // namespace lockstep
