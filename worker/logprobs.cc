#include "worker/logprobs.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "kernels/canonical_exp.h"

namespace lockstep {
namespace {

// ln(x) for finite x >= 1, from operations that IEEE 754 rounds alike everywhere (a library's log
// may differ from machine to machine): x = m 2^e with m in [sqrt(1/2), sqrt(2)), and
// ln(m) = 2 (s + s^3/3 + s^5/5 + ...) with s = (m - 1) / (m + 1), |s| < 0.172.
double canonical_log(double x) {
  constexpr double kLn2 = 0x1.62e42fefa39efp-1;
  constexpr double kHalfRoot = 0x1.6a09e667f3bcdp-1;
  constexpr int kTerms = 11;  // The next is below 2^-60.
  int exponent = 0;
  double m = std::frexp(x, &exponent);
  if (m < kHalfRoot) {
    m *= 2;
    --exponent;
  }
  const double s = (m - 1) / (m + 1);
  const double square = s * s;
  double sum = 0;
  for (int i = kTerms - 1; i >= 0; --i) sum = sum * square + 1.0 / (2 * i + 1);
  return exponent * kLn2 + 2 * s * sum;
}

}  // namespace

TokenLogprobs token_logprobs(std::span<const float> logits, std::uint32_t token, int num_top) {
  CHECK(token < logits.size(), "a token outside of the vocabulary");
  CHECK(num_top >= 0 && num_top <= kMaxTopLogprobs, "too many top log probabilities");
  const float max = *std::ranges::max_element(logits);
  double sum = 0;  // In order of id.
  for (const float logit : logits) sum += double{kernels::canonical_exp(logit - max)};
  const double log_sum = canonical_log(sum);
  const auto logprob = [&](float logit) {
    return static_cast<float>(double{logit} - double{max} - log_sum);
  };

  TokenLogprobs out;
  out.chosen = logprob(logits[token]);
  const std::size_t count = std::min(static_cast<std::size_t>(num_top), logits.size());
  if (count == 0) return out;
  std::vector<TokenLogprob>& top = out.top;  // Holds logits until the end.
  for (std::uint32_t id = 0; id < logits.size(); ++id) {
    if (top.size() == count && logits[id] <= top.back().logprob) continue;
    if (top.size() == count) top.pop_back();
    const auto smaller = [&](const TokenLogprob& other) { return other.logprob < logits[id]; };
    top.insert(std::ranges::find_if(top, smaller), {id, logits[id]});
  }
  for (TokenLogprob& entry : top) entry.logprob = logprob(entry.logprob);
  return out;
}

}  // namespace lockstep
