// Log probabilities of tokens, as clients ask for them: the natural logarithm of the softmax of the
// raw logits, before biases, penalties and temperature. Pure; the same bits everywhere.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/wire.h"

namespace lockstep {

inline constexpr std::int32_t kMaxTopLogprobs = 20;

struct TokenLogprobs {
  float chosen = 0;
  std::vector<TokenLogprob> top;  // Best first; of equals the lower id.
};

// Requires: finite logits, `token` among them, 0 <= num_top <= kMaxTopLogprobs. Where the
// vocabulary is smaller, `top` is.
TokenLogprobs token_logprobs(std::span<const float> logits, std::uint32_t token, int num_top);

}  // namespace lockstep
