// Chooses one token from its logits. Numerics, "Sampling": integers decide, so the same (logits,
// parameters, seed, position) give the same token everywhere. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/sampling.h"

namespace lockstep {

// How often each token has occurred, kept by the caller.
class TokenCounts {
 public:
  explicit TokenCounts(std::span<const std::uint32_t> prompt);
  void add(std::uint32_t completion_token);

  // Tokens that occurred, ascending, with their counts in the completion (0: in the prompt only).
  struct Count {
    std::uint32_t token = 0;
    std::uint32_t in_completion = 0;
  };
  const std::vector<Count>& all() const { return counts_; }

 private:
  std::vector<Count> counts_;
};

// kInvalidArgument names the field that is out of range.
Status validate(const SamplingParams& params, std::uint32_t vocab_size);

class Sampler {
 public:
  // The token for completion position `token_index`, or kCorrupt when a logit is NaN or infinite.
  // `raw` stays as it is.
  Result<std::uint32_t> sample(std::span<const float> raw, const SamplingParams& params,
                               const TokenCounts& counts, std::uint32_t token_index);

 private:
  std::vector<float> logits_;
  std::vector<std::uint64_t> weights_;
  std::vector<std::uint32_t> order_;
};

}  // namespace lockstep
