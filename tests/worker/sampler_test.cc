#include "worker/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <random>
#include <set>

#include "base/philox.h"
#include "kernels/canonical_exp.h"

namespace lockstep {
namespace {

__extension__ using Wide = unsigned __int128;
using Logits = std::vector<float>;
using Tokens = std::vector<std::uint32_t>;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::uint32_t sample(const Logits& logits, const SamplingParams& params,
                     const TokenCounts& counts = TokenCounts({}), std::uint32_t index = 0) {
  const auto token = Sampler().sample(logits, params, counts, index);
  EXPECT_TRUE(token.ok()) << token.error().message;
  return token.ok() ? token.value() : UINT32_MAX;
}

TokenCounts counts_of(const Tokens& prompt, const Tokens& completion) {
  TokenCounts counts(prompt);
  for (const std::uint32_t token : completion) counts.add(token);
  return counts;
}

// All tokens that 300 draws give.
std::set<std::uint32_t> support(const Logits& logits, SamplingParams params) {
  std::set<std::uint32_t> out;
  Sampler sampler;
  for (std::uint32_t i = 0; i < 300; ++i) {
    out.insert(sampler.sample(logits, params, TokenCounts({}), i).value());
  }
  return out;
}

SamplingParams at_temperature(float temperature, std::uint64_t seed = 3) {
  SamplingParams params;
  params.temperature = temperature;
  params.seed = seed;
  return params;
}

using Ids = std::set<std::uint32_t>;

TEST(TokenCounts, CountsCompletionTokensAndRemembersThePrompt) {
  const TokenCounts counts = counts_of({9, 2, 9}, {5, 2, 5, 5});
  const std::vector<std::pair<std::uint32_t, std::uint32_t>> wanted = {{2, 1}, {5, 3}, {9, 0}};
  std::vector<std::pair<std::uint32_t, std::uint32_t>> got;
  for (const auto& count : counts.all()) got.emplace_back(count.token, count.in_completion);
  EXPECT_EQ(got, wanted);
}

TEST(SamplerSample, TakesTheLowerIdOfEqualLogitsWhenGreedy) {
  EXPECT_EQ(sample({1, 3, 2, 3, 3}, {}), 1U);
  EXPECT_EQ(sample({-0.0F, 0.0F}, {}), 0U);
  EXPECT_EQ(sample({-5}, {}), 0U);
}

TEST(SamplerSample, RefusesNanAndInfinity) {
  for (const float bad : {std::nanf(""), kInfinity, -kInfinity}) {
    for (const float temperature : {0.0F, 1.0F}) {
      const auto token =
          Sampler().sample(Logits{1, bad, 2}, at_temperature(temperature), TokenCounts({}), 0);
      ASSERT_FALSE(token.ok());
      EXPECT_EQ(token.error().code, ErrorCode::kCorrupt);
    }
  }
}

TEST(SamplerSample, RefusesWhatBiasesMakeInfinite) {
  SamplingParams params;
  params.logit_bias = {{1, 3e38F}};
  const auto token = Sampler().sample(Logits{1, 3e38F}, params, TokenCounts({}), 0);
  ASSERT_FALSE(token.ok());
  EXPECT_NE(token.error().message.find("after biases"), std::string::npos);
}

TEST(SamplerSample, LeavesTheLogitsAsTheyAre) {
  const Logits logits = {1, 2, 3};
  SamplingParams params;
  params.logit_bias = {{0, 9.0F}};
  Logits copy = logits;
  EXPECT_EQ(sample(copy, params), 0U);
  EXPECT_EQ(copy, logits);
}

TEST(SamplerSample, AddsBiases) {
  SamplingParams params;
  params.logit_bias = {{0, 2.5F}, {2, -8.0F}};
  EXPECT_EQ(sample({1, 3, 9}, params), 0U);  // 3.5, 3, 1
}

TEST(SamplerSample, PenalizesRepetitionOfPromptAndCompletion) {
  SamplingParams params;
  params.repetition_penalty = 2.0F;
  EXPECT_EQ(sample({4, 3}, params, counts_of({0}, {})), 1U);     // 2, 3
  EXPECT_EQ(sample({4, 3}, params, counts_of({}, {0, 0})), 1U);  // Once, however often.
  EXPECT_EQ(sample({4, 1.5F}, params, counts_of({}, {0, 0})), 0U);
  EXPECT_EQ(sample({-2, -3}, params, counts_of({0}, {})), 1U);  // -4, -3
}

TEST(SamplerSample, PenalizesFrequencyAndPresenceInTheCompletionAlone) {
  SamplingParams params;
  params.frequency_penalty = 1.0F;
  EXPECT_EQ(sample({4, 2.5F}, params, counts_of({0, 0, 0}, {})), 0U);
  EXPECT_EQ(sample({4, 2.5F}, params, counts_of({}, {0})), 0U);     // 3, 2.5
  EXPECT_EQ(sample({4, 2.5F}, params, counts_of({}, {0, 0})), 1U);  // 2, 2.5
  params.frequency_penalty = 0.0F;
  params.presence_penalty = 1.0F;
  EXPECT_EQ(sample({4, 2.5F}, params, counts_of({}, {0, 0})), 0U);  // 3, 2.5
  EXPECT_EQ(sample({4, 3.5F}, params, counts_of({}, {0, 0})), 1U);
  EXPECT_EQ(sample({4, 3.5F}, params, counts_of({0}, {})), 0U);
}

TEST(SamplerSample, PenalizesRepetitionBeforeFrequencyAndBehindBias) {
  SamplingParams params;
  params.logit_bias = {{0, -2.0F}};
  params.repetition_penalty = 2.0F;
  params.frequency_penalty = 1.0F;
  // (6 - 2) / 2 - 1 = 1; another order would give 6 / 2 - 2 - 1 = 0 or (6 - 2 - 1) / 2 = 1.5.
  EXPECT_EQ(sample({6, 0.75F}, params, counts_of({}, {0})), 0U);
  EXPECT_EQ(sample({6, 1.25F}, params, counts_of({}, {0})), 1U);
}

TEST(SamplerSample, KeepsTheFirstK) {
  SamplingParams params = at_temperature(100);
  params.top_k = 2;
  EXPECT_EQ(support({1, 5, 5, 5, 2}, params), (Ids{1, 2}));  // Ties by lower id.
  params.top_k = 1;
  EXPECT_EQ(support({1, 5, 5, 5, 2}, params), Ids{1});
  params.top_k = 99;
  EXPECT_EQ(support({1, 5, 5, 5, 2}, params), (Ids{0, 1, 2, 3, 4}));
}

TEST(SamplerSample, KeepsTheShortestPrefixOfTopP) {
  // Weights 4 : 2 : 1 : 1 (in eighths of the sum).
  const float log2 = 0.69314718F;
  const Logits logits = {0, 2 * log2, 0, log2};
  SamplingParams params = at_temperature(1);
  params.top_p = 0.4F;
  EXPECT_EQ(support(logits, params), Ids{1});
  params.top_p = 0.6F;
  EXPECT_EQ(support(logits, params), (Ids{1, 3}));
  params.top_p = 0.8F;
  EXPECT_EQ(support(logits, params), (Ids{0, 1, 3}));  // Of the equal ones the lower id.
  params.top_p = 1e-9F;
  EXPECT_EQ(support(logits, params), Ids{1});  // At least one.
}

TEST(SamplerSample, TakesTopPOfWhatTopKKept) {
  const Logits logits = {1, 1, 1, 1};  // A quarter each; half of what is left of two is one.
  SamplingParams params = at_temperature(1);
  params.top_k = 2;
  params.top_p = 0.5F;
  EXPECT_EQ(support(logits, params), Ids{0});
}

TEST(SamplerSample, KeepsWhatReachesMinP) {
  const float log2 = 0.69314718F;
  const Logits logits = {0, 2 * log2, 1.9F * log2, 0.5F * log2};
  SamplingParams params = at_temperature(1);
  params.min_p = 0.4F;
  EXPECT_EQ(support(logits, params), (Ids{1, 2}));
  params.min_p = 1.0F;
  EXPECT_EQ(support(logits, params), Ids{1});
}

TEST(SamplerSample, DrawsBySeedIndexAndChoiceAlone) {
  const Logits logits(1000, 0.0F);
  const SamplingParams params = at_temperature(1, 42);
  const std::uint32_t first = sample(logits, params, TokenCounts({}), 5);
  Sampler used;
  for (std::uint32_t i = 0; i < 5; ++i) {
    (void)used.sample(Logits(7, 1.0F), at_temperature(2, 9), TokenCounts({}), i);
  }
  EXPECT_EQ(used.sample(logits, params, TokenCounts({}), 5).value(), first);
  // Equal weights: token = high word of draw * 1000, within a token (t is taken of W = 1000 *
  // 2^30).
  const std::uint64_t x = token_draw(42, 5, 0);
  EXPECT_EQ(first, static_cast<std::uint32_t>((static_cast<Wide>(x) * 1000) >> 64));

  std::set<std::uint32_t> others;
  SamplingParams other = params;
  other.seed = 43;
  others.insert(sample(logits, other, TokenCounts({}), 5));
  others.insert(sample(logits, params, TokenCounts({}), 6));
  other = params;
  other.choice_index = 1;
  others.insert(sample(logits, other, TokenCounts({}), 5));
  EXPECT_FALSE(others.contains(first));
}

TEST(SamplerSample, NeverDrawsATokenWithoutWeight) {
  constexpr std::uint64_t kSeed =
      293046734;  // The least whose first draw begins with 30 zero bits.
  ASSERT_EQ(token_draw(kSeed, 0, 0) >> 34, 0U);
  EXPECT_EQ(sample({-1000, 0}, at_temperature(1, kSeed)), 1U);
}

// Numerics, "Sampling", word for word: everything is sorted, nothing is shared with the code under
// test but exp and the draw.
class Reference {
 public:
  Reference(Logits logits, const SamplingParams& params)
      : logits_(std::move(logits)), params_(params) {}

  std::uint32_t sample(const Tokens& prompt, const Tokens& completion, std::uint32_t index) {
    adjust(prompt, completion);
    std::vector<std::uint32_t> order(logits_.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::uint32_t>(i);
    std::stable_sort(order.begin(), order.end(),
                     [this](auto a, auto b) { return logits_[a] > logits_[b]; });
    if (params_.temperature == 0) return order[0];
    std::map<std::uint32_t, std::uint64_t> weight;
    for (const std::uint32_t id : order) {
      const float e =
          kernels::canonical_exp((logits_[id] - logits_[order[0]]) / params_.temperature);
      weight[id] = static_cast<std::uint64_t>(std::rint(static_cast<double>(e) * 1073741824.0));
    }
    if (params_.top_k > 0 && params_.top_k < order.size()) order.resize(params_.top_k);
    std::uint64_t all = 0;
    for (const std::uint32_t id : order) all += weight[id];
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < order.size(); ++i) {
      sum += weight[order[i]];
      if (static_cast<double>(sum) >=
          static_cast<double>(params_.top_p) * static_cast<double>(all)) {
        order.resize(i + 1);
      }
    }
    const double least = static_cast<double>(params_.min_p) * static_cast<double>(weight[order[0]]);
    std::set<std::uint32_t> kept;
    std::uint64_t total = 0;
    for (const std::uint32_t id : order) {
      if (static_cast<double>(weight[id]) < least) continue;
      kept.insert(id);
      total += weight[id];
    }
    const std::uint64_t x = token_draw(params_.seed, index, params_.choice_index);
    const auto t = static_cast<std::uint64_t>((static_cast<Wide>(x) * total) >> 64);
    std::uint64_t running = 0;
    for (const std::uint32_t id : kept) {
      running += weight[id];
      if (running > t) return id;
    }
    return UINT32_MAX;
  }

 private:
  void adjust(const Tokens& prompt, const Tokens& completion) {
    std::map<std::uint32_t, float> bias(params_.logit_bias.begin(), params_.logit_bias.end());
    for (std::uint32_t id = 0; id < logits_.size(); ++id) {
      float& l = logits_[id];
      const auto count = std::ranges::count(completion, id);
      if (bias.contains(id)) l = l + bias[id];
      if (count > 0 || std::ranges::count(prompt, id) > 0) {
        l = l > 0 ? l / params_.repetition_penalty : l * params_.repetition_penalty;
      }
      if (count > 0) {
        l = std::fma(-params_.frequency_penalty, static_cast<float>(count), l);
        l = l - params_.presence_penalty;
      }
    }
  }

  Logits logits_;
  SamplingParams params_;
};

TEST(SamplerSample, EqualsTheDefinitionOnRandomLogitsWithTies) {
  std::mt19937_64 random(7);
  const auto unit = [&] { return static_cast<float>(random() % 1000) / 1000.0F; };
  const auto coin = [&] { return random() % 2 == 0; };
  Sampler sampler;
  for (int i = 0; i < 2000; ++i) {
    Logits logits(1 + random() % 60);
    const std::uint64_t levels = 2 + random() % 40;  // Few: many ties.
    for (float& l : logits) l = static_cast<float>(random() % levels) * 0.37F - 4.0F;
    const auto vocab = static_cast<std::uint32_t>(logits.size());
    SamplingParams params = at_temperature(random() % 5 == 0 ? 0.0F : 0.05F + 2 * unit(), random());
    if (coin()) params.top_k = static_cast<std::uint32_t>(random() % 70);
    if (coin()) params.top_p = 0.001F + 0.999F * unit();
    if (coin()) params.min_p = unit();
    if (coin()) params.repetition_penalty = 0.5F + unit();
    if (coin()) params.frequency_penalty = 2 * unit() - 1;
    if (coin()) params.presence_penalty = 2 * unit() - 1;
    for (std::uint32_t id = 0; coin() && id < vocab; ++id)
      params.logit_bias.emplace_back(id, unit());
    Tokens prompt, completion;
    for (std::uint64_t n = random() % 9; n > 0; --n) {
      prompt.push_back(static_cast<std::uint32_t>(random() % vocab));
      completion.push_back(static_cast<std::uint32_t>(random() % vocab));
    }
    ASSERT_TRUE(validate(params, vocab).ok());
    const auto index = static_cast<std::uint32_t>(random() % 100);
    const auto got = sampler.sample(logits, params, counts_of(prompt, completion), index);
    ASSERT_TRUE(got.ok());
    ASSERT_EQ(got.value(), Reference(logits, params).sample(prompt, completion, index))
        << "seed 7, case " << i;
  }
}

std::string refusal(const std::function<void(SamplingParams&)>& spoil) {
  SamplingParams params;
  spoil(params);
  const Status status = validate(params, 100);
  if (status.ok()) return "accepted";
  EXPECT_EQ(status.error().code, ErrorCode::kInvalidArgument);
  return status.error().message;
}

TEST(Validate, AcceptsTheDefaultsAndTheBounds) {
  EXPECT_EQ(refusal([](SamplingParams&) {}), "accepted");
  EXPECT_EQ(refusal([](SamplingParams& p) {
              p.min_p = 1;
              p.frequency_penalty = -2;
              p.presence_penalty = -2;
              p.logit_bias = {{0, -100.0F}, {99, 100.0F}};
              p.stop = {"x"};
              p.max_completion_tokens = 1;
            }),
            "accepted");
}

TEST(Validate, NamesTheField) {
  const float nan = std::nanf("");
  using P = SamplingParams;
  const auto expect = [](const std::string& field, const std::function<void(P&)>& spoil) {
    EXPECT_TRUE(refusal(spoil).starts_with(field + ": expected ")) << refusal(spoil);
  };
  for (const float bad : {-1.0F, nan, kInfinity}) {
    expect("temperature", [=](P& p) { p.temperature = bad; });
  }
  for (const float bad : {0.0F, 1.01F, nan}) expect("top-p", [=](P& p) { p.top_p = bad; });
  for (const float bad : {-0.1F, 1.01F, nan}) expect("min-p", [=](P& p) { p.min_p = bad; });
  for (const float bad : {0.0F, -1.0F, nan, kInfinity}) {
    expect("repetition-penalty", [=](P& p) { p.repetition_penalty = bad; });
  }
  for (const float bad : {nan, kInfinity}) {
    expect("frequency-penalty", [=](P& p) { p.frequency_penalty = bad; });
    expect("presence-penalty", [=](P& p) { p.presence_penalty = bad; });
    expect("logit-bias", [=](P& p) { p.logit_bias = {{1, bad}}; });
  }
  expect("max-tokens", [](P& p) { p.max_completion_tokens = 0; });
  expect("logit-bias", [](P& p) { p.logit_bias = {{100, 1.0F}}; });
  expect("logit-bias", [](P& p) { p.logit_bias = {{2, 1.0F}, {2, 1.0F}}; });
  expect("logit-bias", [](P& p) { p.logit_bias = {{2, 1.0F}, {1, 1.0F}}; });
  expect("stop", [](P& p) { p.stop = {"a", ""}; });
}

}  // namespace
}  // namespace lockstep
