// The whole engine on the emulated device: the same answers as the processor's, and refusals before
// anything is loaded.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include <fstream>

#include "tests/model/model_store_support.h"
#include "tests/worker/replica_support.h"

namespace lockstep {
namespace {

ReplicaConfig on_device(ReplicaConfig config = {}) {
  config.device = "cuda";
  config.cuda_plugin = LOCKSTEP_EMULATED_PLUGIN;
  return config;
}

// On the processor alone, and on devices: ranks, a batch, chunks.
void expect_one_answer(const Store& store, const std::vector<int>& world_sizes) {
  const std::vector<Request> requests = {request_of(21, 4), request_of(70, 5, 0.9F),
                                         request_of(1, 6, 2.0F)};
  std::vector<ReplicaAnswer> wanted;
  for (const Request& request : requests) {
    wanted.push_back(answers(*start(store, 1), {request})[0]);
  }
  for (const int ranks : world_sizes) {
    for (const int chunk : {5, 512}) {
      ReplicaConfig config = on_device();
      config.chunk_tokens = chunk;
      const auto replica = start(store, ranks, config);
      EXPECT_EQ(replica->leader().device(), "cuda");
      const std::vector<ReplicaAnswer> got = answers(*replica, requests);
      for (std::size_t i = 0; i < requests.size(); ++i) {
        expect_equal(got[i], wanted[i],
                     std::to_string(ranks) + " ranks, request " + std::to_string(i));
      }
    }
  }
}

TEST(DeviceReplica, GivesTheProcessorsAnswer) {
  expect_one_answer(plain_store(), {1, 3});
  expect_one_answer(imported(tiny_llama(shape()), 8), {1, 4});
}

// Contexts that grow over blocks of 128 keys while others join and leave: every shape of step is
// met more than once, with and without padding.
TEST(DeviceReplica, GraphsChangeNoBit) {
  TinyLlama longer = shape();
  longer.context = 512;
  const Store store = imported(tiny_llama(longer));
  const std::vector<Request> requests = {request_of(121, 24), request_of(250, 12, 0.9F),
                                         request_of(3, 9), request_of(60, 3, 1.5F)};
  std::vector<ReplicaAnswer> wanted;
  for (const Request& request : requests) {
    wanted.push_back(answers(*start(store, 1), {request})[0]);
  }
  for (const bool graphs : {true, false}) {
    ReplicaConfig config = on_device();
    config.cuda_graphs = graphs;
    config.chunk_tokens = 40;
    const auto replica = start(store, 1, config);
    const std::vector<ReplicaAnswer> got = answers(*replica, requests);
    for (std::size_t i = 0; i < requests.size(); ++i) {
      expect_equal(got[i], wanted[i],
                   std::string(graphs ? "with" : "without") + " graphs, " + std::to_string(i));
    }
  }
}

TEST(DeviceReplica, TakesMatricesOfSeveralFormatsApart) {
  TinyLlama mixed = shape();
  mixed.tied = false;
  mixed.dim = 96;
  mixed.ffn = 160;
  mixed.value = GgufTensorType::kQ8_0;
  mixed.up = GgufTensorType::kQ8_0;
  mixed.embedding = GgufTensorType::kQ4_0;
  expect_one_answer(imported(tiny_llama(mixed)), {1, 2});
}

TEST(DeviceReplica, EndsASequenceThatOverflowsAndNoOther) {
  const Store store = imported(overflowing_model());
  Request bad = request_of(20, 4);
  for (std::uint32_t& token : bad.prompt) token = token == kOverflowingToken ? 8 : token;
  const Request good = bad;
  bad.prompt[3] = kOverflowingToken;
  const ReplicaAnswer wanted = answers(*start(store, 1), {good})[0];
  for (const int ranks : {1, 2}) {
    const auto replica = start(store, ranks, on_device());
    const std::vector<ReplicaAnswer> got = answers(*replica, {good, bad, good});
    expect_equal(got[0], wanted, "in front");
    expect_equal(got[2], wanted, "behind");
    ASSERT_FALSE(got[1].status.ok());
    EXPECT_EQ(got[1].status.error().message,
              "a value is NaN or infinite in layer 1, feed-forward input");
  }
}

std::string refusal(const ReplicaConfig& config, ErrorCode code) {
  const auto replica = LocalReplica::start(plain_store(), config, 1);
  if (replica.ok()) return "started";
  EXPECT_EQ(replica.error().code, code);
  return replica.error().message;
}

TEST(DeviceReplica, RefusesWhatDoesNotFitWithFigures) {
  ReplicaConfig config = on_device();
  config.num_blocks = 1 << 20;
  const std::string message = refusal(config, ErrorCode::kExhausted);
  EXPECT_NE(message.find("device 0 (emulated): the rank needs "), std::string::npos) << message;
  EXPECT_NE(message.find("KV cache of 1048576 blocks "), std::string::npos) << message;
  EXPECT_NE(message.find("may use 4.0 GiB"), std::string::npos) << message;
}

TEST(DeviceReplica, SaysWhichPluginIsMissing) {
  ReplicaConfig config = on_device();
  config.num_blocks = 8;
  config.cuda_plugin = "/nowhere/lockstep-cuda.so";
  const std::string message = refusal(config, ErrorCode::kUnavailable);
  EXPECT_NE(message.find("no CUDA plug-in: /nowhere/lockstep-cuda.so"), std::string::npos)
      << message;
}

TEST(DeviceReplica, AutoTakesTheProcessorWithoutAPlugin) {
  ReplicaConfig config;
  config.cuda_plugin = "/nowhere/lockstep-cuda.so";
  EXPECT_EQ(start(plain_store(), 1, config)->leader().device().substr(0, 4), "cpu:");
}

// One prefill chunk of 37 tokens and a decode step of the real model give the oracle's digests.
void expect_golden(const std::string& name, std::size_t tokens, int ranks) {
  std::ifstream file(LOCKSTEP_SOURCE_DIR "/tests/model/golden/smollm2.json");
  const nlohmann::json golden = nlohmann::json::parse(file);
  for (const auto& vector : golden["vectors"]) {
    if (vector["name"] != name) continue;
    const Store store = smollm2_store(vector["activation_bits"], vector["kv_bits"]);
    ReplicaConfig config = on_device();
    config.context_tokens = 512;
    config.num_blocks = 8;
    config.max_step_tokens = 64;
    config.chunk_tokens = 64;
    const auto replica = start(store, ranks, config);
    Request request;
    request.prompt = vector["prompt_ids"].get<std::vector<std::uint32_t>>();
    request.sampling.max_completion_tokens = static_cast<std::uint32_t>(tokens);
    request.sampling.ignore_eos = true;
    const ReplicaAnswer got = answers(*replica, {request})[0];
    ASSERT_TRUE(got.status.ok()) << got.status.error().message;
    ASSERT_EQ(got.completion.trace.size(), tokens);
    for (std::size_t i = 0; i < tokens; ++i) {
      EXPECT_EQ(got.completion.token_ids[i], vector["token_ids"][i]);
      EXPECT_EQ(got.completion.trace[i].logits_digest.hex(),
                vector["token_digests"][i].get<std::string>())
          << name << ", token " << i;
    }
    return;
  }
  FAIL() << "no vector " << name;
}

TEST(DeviceReplica, GivesTheGoldenDigestsOfTheRealModel) { expect_golden("a1", 2, 1); }

// `make test-long`: every profile, and ranks.
TEST(DeviceReplica, DISABLED_GivesTheGoldenDigestsOfEveryProfile) {
  for (const char* name : {"a1", "a2", "a3", "a4"}) expect_golden(name, 8, 1);
  expect_golden("a1", 2, 3);
}

}  // namespace
}  // namespace lockstep
