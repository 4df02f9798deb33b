#include "base/identifiers.h"

#include <gtest/gtest.h>

#include <numeric>

#include "base/canonical_json.h"
#include "base/file.h"
#include "tests/base/identifier_goldens.h"

namespace lockstep {
namespace {

Digest named(const std::string& name) { return keccak256(name); }

std::vector<float> ramp(std::size_t count) {
  std::vector<float> values(count);
  std::iota(values.begin(), values.end(), 0.0F);
  return values;
}

std::vector<TraceStep> steps(std::uint32_t count) {
  std::vector<TraceStep> out;
  for (std::uint32_t i = 0; i < count; ++i) {
    out.push_back({.position = 10 + i,
                   .input_token = 100 + i,
                   .logits_digest = named("logits-" + std::to_string(i)),
                   .output_token = 200 + i});
  }
  return out;
}

TEST(SamplingHash, EqualsTheIndependentImplementation) {
  EXPECT_EQ(sampling_hash(SamplingParams{}).hex(), golden::kSamplingDefault);
  const SamplingParams all{.temperature = 0.75F,
                           .top_k = 40,
                           .top_p = 0.9F,
                           .min_p = 0.05F,
                           .repetition_penalty = 1.25F,
                           .frequency_penalty = 0.5F,
                           .presence_penalty = -0.5F,
                           .seed = UINT64_MAX - 1,
                           .max_completion_tokens = 4096,
                           .stop = {"\n\n", "né"},
                           .logit_bias = {{7, -1.5F}, {11, 2.0F}},
                           .ignore_eos = true,
                           .context_limit = 8192,
                           .choice_index = 3,
                           .trace = TraceKind::kTokens};
  EXPECT_EQ(sampling_hash(all).hex(), golden::kSamplingAll);
}

TEST(PromptHash, EqualsTheIndependentImplementation) {
  EXPECT_EQ(prompt_hash({}, Digest{}).hex(), golden::kPrompt0);
  const std::vector<std::uint32_t> ids = {1, 49151, 2};
  EXPECT_EQ(prompt_hash(ids, named("salt")).hex(), golden::kPrompt3);
}

TEST(SpecHash, EqualsTheIndependentImplementation) {
  const JobSpec spec{.model_id = named("model"),
                     .sampling_hash = named("sampling"),
                     .prompt_hash = named("prompt"),
                     .prompt_tokens = 3,
                     .max_completion_tokens = 256,
                     .price_per_prompt_token = 5,
                     .price_per_completion_token = 6,
                     .deadline = 1700000000,
                     .provider = named("provider")};
  EXPECT_EQ(spec_hash(spec).hex(), golden::kSpec);
}

TEST(JobId, EqualsTheIndependentImplementation) {
  EXPECT_EQ(job_id({1, named("contract"), named("local"), 9}).hex(), golden::kJob);
  EXPECT_EQ(job_id({0, Digest{}, named("local"), 0}).hex(), golden::kJobLocal);
}

TEST(OutputHash, EqualsTheIndependentImplementation) {
  const std::vector<std::uint32_t> ids = {5, 6, 70000};
  EXPECT_EQ(output_hash({}, FinishReason::kStop).hex(), golden::kOutput0);
  EXPECT_EQ(output_hash(ids, FinishReason::kLength).hex(), golden::kOutput3);
}

TEST(LogitsDigest, EqualsTheIndependentImplementationAroundTheRunLength) {
  EXPECT_EQ(logits_digest(std::vector<float>{1.0F}).hex(), golden::kLogits1);
  EXPECT_EQ(logits_digest(ramp(1024)).hex(), golden::kLogits1024);
  EXPECT_EQ(logits_digest(ramp(1025)).hex(), golden::kLogits1025);
  EXPECT_EQ(logits_digest(ramp(3000)).hex(), golden::kLogits3000);
}

TEST(TraceRoot, EqualsTheIndependentImplementation) {
  EXPECT_EQ(trace_root(steps(0)).hex(), golden::kTrace0);
  EXPECT_EQ(trace_root(steps(1)).hex(), golden::kTrace1);
  EXPECT_EQ(trace_root(steps(5)).hex(), golden::kTrace5);
}

TEST(ResultHash, EqualsTheIndependentImplementation) {
  const Digest result =
      result_hash(named("job"), 1, named("spec"), named("output"), named("trace"));
  EXPECT_EQ(result.hex(), golden::kResult);
}

// The steps of one of the oracle's answers, as the chain design lays them out.
std::vector<TraceStep> steps_of(const Json& vector) {
  const auto prompt = vector["prompt_ids"].get<std::vector<std::uint32_t>>();
  const auto tokens = vector["token_ids"].get<std::vector<std::uint32_t>>();
  std::vector<TraceStep> out;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const auto digest = Digest::from_hex(vector["token_digests"][i].get<std::string>());
    out.push_back({.position = static_cast<std::uint32_t>(prompt.size() - 1 + i),
                   .input_token = i == 0 ? prompt.back() : tokens[i - 1],
                   .logits_digest = digest.value(),
                   .output_token = tokens[i]});
  }
  return out;
}

TEST(TraceRoot, EqualsTheOracleForEveryOfItsVectors) {
  const auto text = read_file(LOCKSTEP_SHARED_DIR "/oracle/vectors.json", 1 << 20);
  if (!text.ok()) GTEST_SKIP() << text.error().message;
  const Json oracle = parse_json(text.value()).value();
  ASSERT_FALSE(oracle["vectors"].empty());
  for (const Json& vector : oracle["vectors"]) {
    const auto tokens = vector["token_ids"].get<std::vector<std::uint32_t>>();
    EXPECT_EQ(trace_root(steps_of(vector)).hex(), vector["trace_root"].get<std::string>())
        << vector["name"];
    EXPECT_EQ(output_hash(tokens, FinishReason::kLength).hex(),
              vector["output_hash_if_length"].get<std::string>())
        << vector["name"];
  }
}

}  // namespace
}  // namespace lockstep
