#include "worker/sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <optional>
#include <string>

#include "base/check.h"
#include "base/philox.h"
#include "kernels/canonical_exp.h"

namespace lockstep {
namespace {

__extension__ using Wide = unsigned __int128;

Error out_of_range(const std::string& field, const std::string& expected) {
  return Error{ErrorCode::kInvalidArgument, field + ": expected " + expected};
}

// Ordered like the finite values; both zeros have the same.
std::int32_t order_of(float value) {
  const auto bits = std::bit_cast<std::int32_t>(value + 0.0F);
  return bits ^ ((bits >> 31) & 0x7FFFFFFF);
}

// The first of the largest values, or nothing if one is NaN or infinite. A block is one loop
// without a branch, which the compiler makes vectors of: every step does this for all of the
// vocabulary on one thread.
std::optional<std::size_t> first_largest(std::span<const float> values) {
  constexpr std::size_t kBlock = 1024;
  constexpr std::uint32_t kExponent = 0x7F800000;  // All ones: not finite.
  std::uint32_t seen = 0;                          // The highest bit: something is not finite.
  std::int32_t best = std::numeric_limits<std::int32_t>::min();
  std::span<const float> best_block;
  for (std::size_t begin = 0; begin < values.size(); begin += kBlock) {
    const auto block = values.subspan(begin, std::min(kBlock, values.size() - begin));
    std::int32_t largest = std::numeric_limits<std::int32_t>::min();
    for (const float value : block) {
      seen |= (std::bit_cast<std::uint32_t>(value) & kExponent) + 0x00800000;
      largest = std::max(largest, order_of(value));
    }
    if (largest <= best) continue;
    best = largest;
    best_block = block;
  }
  if (best_block.empty() || seen >> 31 != 0) return std::nullopt;
  const auto found = std::ranges::find(best_block, best, order_of);
  return static_cast<std::size_t>(&*found - values.data());
}

bool adjusts(const SamplingParams& params) {
  return !params.logit_bias.empty() || params.repetition_penalty != 1.0F ||
         params.frequency_penalty != 0.0F || params.presence_penalty != 0.0F;
}

// Biases and penalties, in the order of the page.
void adjust(std::span<float> logits, const SamplingParams& params, const TokenCounts& counts) {
  for (const auto& [id, bias] : params.logit_bias) logits[id] = logits[id] + bias;
  for (const TokenCounts::Count& count : counts.all()) {
    float& l = logits[count.token];
    if (params.repetition_penalty != 1.0F) {
      l = l > 0 ? l / params.repetition_penalty : l * params.repetition_penalty;
    }
    if (count.in_completion > 0) {
      if (params.frequency_penalty != 0.0F) {
        l = std::fma(-params.frequency_penalty, static_cast<float>(count.in_completion), l);
      }
      if (params.presence_penalty != 0.0F) l = l - params.presence_penalty;
    }
  }
}

// The first kept token, in increasing id, whose running sum of weights exceeds floor(x * W / 2^64).
std::uint32_t draw(std::span<const std::uint32_t> kept, std::span<const std::uint64_t> weights,
                   std::uint64_t x) {
  Wide total = 0;
  for (const std::uint32_t id : kept) total += weights[id];
  // W < 2^22 tokens * 2^30: the product fits 128 bits.
  const auto threshold = static_cast<std::uint64_t>((x * total) >> 64);
  std::uint64_t running = 0;
  for (const std::uint32_t id : kept) {
    running += weights[id];
    if (running > threshold) return id;
  }
  CHECK(false, "the running sum of weights never exceeded a share of itself");
  return 0;
}

}  // namespace

TokenCounts::TokenCounts(std::span<const std::uint32_t> prompt) {
  std::vector<std::uint32_t> tokens(prompt.begin(), prompt.end());
  std::ranges::sort(tokens);
  tokens.erase(std::unique(tokens.begin(), tokens.end()), tokens.end());
  for (const std::uint32_t token : tokens) counts_.push_back({token, 0});
}

void TokenCounts::add(std::uint32_t completion_token) {
  const auto at = std::ranges::lower_bound(counts_, completion_token, {}, &Count::token);
  if (at != counts_.end() && at->token == completion_token) {
    ++at->in_completion;
  } else {
    counts_.insert(at, {completion_token, 1});
  }
}

Status validate(const SamplingParams& p, std::uint32_t vocab_size) {
  if (!(p.temperature >= 0) || !std::isfinite(p.temperature)) {
    return out_of_range("temperature", "a number >= 0");
  }
  if (!(p.top_p > 0 && p.top_p <= 1)) return out_of_range("top-p", "a number in (0, 1]");
  if (!(p.min_p >= 0 && p.min_p <= 1)) return out_of_range("min-p", "a number in [0, 1]");
  if (!(p.repetition_penalty > 0) || !std::isfinite(p.repetition_penalty)) {
    return out_of_range("repetition-penalty", "a number > 0");
  }
  if (!std::isfinite(p.frequency_penalty)) return out_of_range("frequency-penalty", "a number");
  if (!std::isfinite(p.presence_penalty)) return out_of_range("presence-penalty", "a number");
  if (p.max_completion_tokens < 1) return out_of_range("max-tokens", "at least 1");
  std::int64_t last = -1;
  for (const auto& [id, bias] : p.logit_bias) {
    if (id >= vocab_size || id <= last || !std::isfinite(bias)) {
      return out_of_range("logit-bias", "ascending token ids below " + std::to_string(vocab_size) +
                                            " with finite biases");
    }
    last = id;
  }
  for (const std::string& stop : p.stop) {
    if (stop.empty()) return out_of_range("stop", "text that is not empty");
  }
  return {};
}

Result<std::uint32_t> Sampler::sample(std::span<const float> raw, const SamplingParams& params,
                                      const TokenCounts& counts, std::uint32_t token_index) {
  std::optional<std::size_t> best = first_largest(raw);  // Of equals the lower id.
  if (!best) return Error{ErrorCode::kCorrupt, "a logit is NaN or infinite"};
  if (params.temperature == 0.0F && !adjusts(params)) return static_cast<std::uint32_t>(*best);
  logits_.assign(raw.begin(), raw.end());
  if (adjusts(params)) {
    adjust(logits_, params, counts);
    best = first_largest(logits_);
  }
  if (!best) {
    return Error{ErrorCode::kCorrupt, "a logit is NaN or infinite after biases and penalties"};
  }
  if (params.temperature == 0.0F) return static_cast<std::uint32_t>(*best);

  const float max = logits_[*best];
  weights_.resize(logits_.size());
  for (std::size_t i = 0; i < logits_.size(); ++i) {
    const float e = kernels::canonical_exp((logits_[i] - max) / params.temperature);
    weights_[i] = static_cast<std::uint64_t>(std::rint(e * 0x1p30F));
  }
  const bool sorts = params.top_k > 0 || params.top_p < 1.0F;
  order_.resize(logits_.size());
  for (std::size_t i = 0; i < order_.size(); ++i) order_[i] = static_cast<std::uint32_t>(i);
  const auto before = [this](std::uint32_t a, std::uint32_t b) {
    return logits_[a] != logits_[b] ? logits_[a] > logits_[b] : a < b;
  };
  if (sorts) {
    const std::size_t k =
        params.top_k > 0 ? std::min<std::size_t>(params.top_k, order_.size()) : order_.size();
    std::partial_sort(order_.begin(), order_.begin() + static_cast<std::ptrdiff_t>(k), order_.end(),
                      before);
    order_.resize(k);
  }
  if (params.top_p < 1.0F) {
    std::uint64_t kept_sum = 0;
    for (const std::uint32_t id : order_) kept_sum += weights_[id];
    const double enough = static_cast<double>(params.top_p) * static_cast<double>(kept_sum);
    std::uint64_t running = 0;
    std::size_t length = 0;
    while (length < order_.size()) {
      running += weights_[order_[length++]];
      if (static_cast<double>(running) >= enough) break;
    }
    order_.resize(length);
  }
  if (params.min_p > 0.0F) {
    const auto first = sorts ? order_.front() : static_cast<std::uint32_t>(*best);
    const double least = static_cast<double>(params.min_p) * static_cast<double>(weights_[first]);
    std::erase_if(order_,
                  [&](std::uint32_t id) { return static_cast<double>(weights_[id]) < least; });
  }
  if (sorts) std::ranges::sort(order_);
  return draw(order_, weights_, token_draw(params.seed, token_index, params.choice_index));
}

}  // namespace lockstep
