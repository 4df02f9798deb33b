#include "worker/rank_processes.h"

#include <algorithm>
#include <array>
#include <bit>

namespace lockstep {
namespace {

// What travels, as the bits of floats: see worker/README.md.
struct Card {
  std::array<char, kMaxWireTextBytes> host{};
  std::int64_t pid = 0;
  std::uint64_t start_ticks = 0;
};
constexpr std::size_t kFloats = sizeof(Card) / sizeof(float);
static_assert(sizeof(Card) % sizeof(float) == 0);

}  // namespace

Result<std::vector<RankProcess>> exchange_processes(Communicator& group, const RankProcess& mine) {
  Card card;
  std::copy_n(mine.host.begin(), std::min(mine.host.size(), card.host.size() - 1),
              card.host.begin());
  card.pid = mine.pid;
  card.start_ticks = mine.start_ticks;
  const auto sent = std::bit_cast<std::array<float, kFloats>>(card);
  const auto ranks = static_cast<std::size_t>(group.world_size());
  std::vector<float> all(ranks * kFloats);
  LOCKSTEP_TRY(group.gather(sent, std::vector<std::size_t>(ranks, kFloats), all, kAllRanks),
               "exchange processes");
  std::vector<RankProcess> processes;
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    std::array<float, kFloats> received{};
    std::copy_n(all.begin() + static_cast<std::ptrdiff_t>(rank * kFloats), kFloats,
                received.begin());
    card = std::bit_cast<Card>(received);
    card.host.back() = '\0';
    processes.push_back({card.host.data(), card.pid, card.start_ticks});
  }
  return processes;
}

}  // namespace lockstep
