#include "worker/runner/embedding_exchange.h"

#include <algorithm>

namespace lockstep {

EmbeddingExchange::EmbeddingExchange(const StepBatch& batch, std::span<const Range> runs,
                                     std::span<const Part> parts, int rank)
    : per_rank_(runs.size(), 0) {
  for (const BatchToken& token : batch.tokens) {
    const auto id = static_cast<int>(token.token);
    const auto owner =
        std::ranges::find_if(runs, [&](Range run) { return vocab_of(parts, run).contains(id); });
    owners_.push_back(static_cast<int>(owner - runs.begin()));
    ++per_rank_[static_cast<std::size_t>(owners_.back())];
    if (owners_.back() == rank) own_tokens_.push_back(id);
  }
}

Status EmbeddingExchange::exchange(Communicator& group, std::span<const float> mine, int dim,
                                   std::span<float> hidden) const {
  const auto width = static_cast<std::size_t>(dim);
  std::vector<std::size_t> counts;
  for (const std::size_t tokens : per_rank_) counts.push_back(tokens * width);
  std::vector<float> all(hidden.size());
  LOCKSTEP_TRY(group.gather(mine, counts, all, kAllRanks), "gather");
  // Rows arrive by rank, each rank's in the order of the batch.
  std::vector<std::size_t> next(counts.size(), 0);
  for (std::size_t r = 1; r < next.size(); ++r) next[r] = next[r - 1] + counts[r - 1];
  for (std::size_t t = 0; t < owners_.size(); ++t) {
    std::size_t& from = next[static_cast<std::size_t>(owners_[t])];
    std::copy_n(all.data() + from, width, hidden.data() + t * width);
    from += width;
  }
  return {};
}

}  // namespace lockstep
