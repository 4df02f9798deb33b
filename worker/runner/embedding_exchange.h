// Who looks up which token of a step in the embedding, and how the hidden states reach every rank.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "sharding/part.h"
#include "worker/communicator.h"
#include "worker/runner/step_batch.h"

namespace lockstep {

class EmbeddingExchange {
 public:
  // `runs` are the parts of each rank. All tokens are in the vocabulary.
  EmbeddingExchange(const StepBatch& batch, std::span<const Range> runs,
                    std::span<const Part> parts, int rank);

  // The tokens that this rank looks up, in the order of the batch.
  const std::vector<std::int32_t>& own_tokens() const { return own_tokens_; }

  // `hidden` receives the hidden state of every token. `mine`: [own_tokens().size(), dim];
  // `hidden`: [tokens, dim].
  Status exchange(Communicator& group, std::span<const float> mine, int dim,
                  std::span<float> hidden) const;

 private:
  std::vector<int> owners_;            // Rank of each token.
  std::vector<std::size_t> per_rank_;  // Tokens of each rank.
  std::vector<std::int32_t> own_tokens_;
};

}  // namespace lockstep
