// The first promise: one answer. One factor at a time from a base case, then seeded combinations of
// all of them; every answer equals the base case's, and the base cases equal golden values.
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "kernels/backend.h"
#include "tests/model/model_store_support.h"
#include "tests/support/one_answer.h"
#include "worker/local_replica.h"

namespace lockstep {
namespace {

// The scalar reference is slow: its answers are short.
constexpr std::uint32_t kTokens = 8;

struct Case {
  int activation_bits = 16;
  int kv_bits = 16;
  int ranks = 1;
  int threads = 1;
  int chunk = 512;
  std::string device = "cpu";
  Circumstances how;
};

std::string name_of(const Case& c) {
  return "activations " + std::to_string(c.activation_bits) + ", kv " + std::to_string(c.kv_bits) +
         ", ranks " + std::to_string(c.ranks) + ", threads " + std::to_string(c.threads) +
         ", chunk " + std::to_string(c.chunk) + ", " + c.device +
         (c.how.sampled ? ", sampled" : "") + (c.how.batched ? ", batched" : "") +
         (c.how.cached ? ", cached" : "");
}

std::unique_ptr<LocalReplica> start(const Case& c) {
  ReplicaConfig config;
  config.device = c.device;
  config.threads = c.threads;
  config.chunk_tokens = c.chunk;
  config.context_tokens = 512;
  config.num_blocks = 8 * 512 / kBlockTokens;
  auto replica = LocalReplica::start(smollm2_store(c.activation_bits, c.kv_bits), config, c.ranks);
  CHECK(replica.ok(), replica.ok() ? "" : replica.error().message.c_str());
  return std::move(replica).value();
}

Answer answer(const Case& c) {
  const auto replica = start(c);
  auto result = answer_once(replica->leader(), nullptr, c.how, kTokens);
  CHECK(result.ok(), result.ok() ? "" : result.error().message.c_str());
  return std::move(result).value();
}

// The undisturbed answer, computed once: one rank, one thread, the fastest device, alone.
const Answer& base_answer(int activation_bits, int kv_bits, bool sampled) {
  static std::map<std::tuple<int, int, bool>, Answer> answers;
  const auto [found, inserted] = answers.try_emplace({activation_bits, kv_bits, sampled});
  if (inserted) {
    Case base;
    base.activation_bits = activation_bits;
    base.kv_bits = kv_bits;
    base.how.sampled = sampled;
    found->second = answer(base);
  }
  return found->second;
}

void expect_one_answer(const Case& c) {
  SCOPED_TRACE(name_of(c));
  const Answer got = answer(c);
  const Answer& base = base_answer(c.activation_bits, c.kv_bits, c.how.sampled);
  EXPECT_EQ(got.completion.token_ids, base.completion.token_ids);
  EXPECT_EQ(got.hashes.trace_root.hex(), base.hashes.trace_root.hex());
  EXPECT_EQ(got.hashes.result_hash.hex(), base.hashes.result_hash.hex());
  EXPECT_EQ(got.completion.cached_tokens, c.how.cached ? 32U : 0U);
}

// Both ways of choosing tokens.
void expect_one_answer_greedy_and_sampled(Case c) {
  for (const bool sampled : {false, true}) {
    c.how.sampled = sampled;
    expect_one_answer(c);
  }
}

std::vector<std::string> devices() {
  std::vector<std::string> names;
  for (const kernels::Backend* backend : kernels::all_backends()) {
    if (backend->available()) names.emplace_back(backend->name);
  }
  return names;
}

// Golden values of the oracle for this prompt, greedy, 8 tokens: vectors a1 to a4.
TEST(OneAnswer, EqualsItsGoldenValueInEveryProfile) {
  EXPECT_EQ(base_answer(16, 16, false).hashes.trace_root.hex(),
            "3195e16141da9e5b9db6cee333d8f0ac9d434de64aa3e9ee4f28deecd9cb41f3");
  EXPECT_EQ(base_answer(16, 8, false).hashes.trace_root.hex(),
            "4082888c010c17b35e55ae4bf55ff3d88a93e8a9981a875f8f959c239103a7a3");
  EXPECT_EQ(base_answer(8, 16, false).hashes.trace_root.hex(),
            "9781494db87610df5e221d83bd03a2887aafe52765ac1958730eb03df1c6742e");
  EXPECT_EQ(base_answer(8, 8, false).hashes.trace_root.hex(),
            "a5304e730cd6aa7df0d5e345b2fa700244eae1bcf652d0d8717be95ad0f84bcc");
}

TEST(OneAnswer, DoesNotDependOnTheNumberOfRanks) {
  for (int ranks = 2; ranks <= 9; ++ranks) {
    Case c;
    c.ranks = ranks;
    expect_one_answer_greedy_and_sampled(c);
  }
}

TEST(OneAnswer, DoesNotDependOnThreads) {
  Case c;
  c.threads = 2;
  expect_one_answer_greedy_and_sampled(c);
}

// Threads share the blocks of a long context, not its heads.
TEST(OneAnswer, DoesNotDependOnThreadsInALongContext) {
  for (const int kv_bits : {16, 8}) {
    Case c;
    c.kv_bits = kv_bits;
    c.how.longer = 340;
    const Answer alone = answer(c);
    for (const auto& [threads, batched] : {std::pair{2, false}, {2, true}, {5, false}}) {
      c.threads = threads;
      c.how.batched = batched;
      EXPECT_EQ(answer(c), alone) << name_of(c);
    }
  }
}

TEST(OneAnswer, DoesNotDependOnChunks) {
  for (const int chunk : {1, 7, 64}) {
    Case c;
    c.chunk = chunk;
    expect_one_answer_greedy_and_sampled(c);
  }
}

TEST(OneAnswer, DoesNotDependOnTheBatch) {
  Case c;
  c.how.batched = true;
  expect_one_answer_greedy_and_sampled(c);
}

TEST(OneAnswer, DoesNotDependOnCachedPrefixes) {
  Case c;
  c.how.cached = true;
  expect_one_answer_greedy_and_sampled(c);
}

TEST(OneAnswer, DoesNotDependOnTheDevice) {
  for (const std::string& device : devices()) {
    Case c;
    c.device = device;
    expect_one_answer(c);
  }
}

// Everything at once, drawn from a seed. The reference is drawn seldom: it is slow.
void expect_one_answer_in_combinations(std::uint64_t seed) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  const auto draw = [&random](std::uint64_t bound) { return static_cast<int>(random() % bound); };
  constexpr int kCombinations = 10;
  constexpr int kChunks[] = {1, 7, 64, 512};
  const std::vector<std::string> names = devices();
  for (int i = 0; i < kCombinations; ++i) {
    Case c;
    c.activation_bits = draw(2) == 0 ? 16 : 8;
    c.kv_bits = draw(2) == 0 ? 16 : 8;
    c.ranks = 1 + draw(9);
    c.threads = 1 + draw(2);
    c.chunk = kChunks[draw(4)];
    const int device = draw(10);
    c.device = device == 0 ? "cpu:reference"
                           : names[1 + static_cast<std::size_t>(device) % (names.size() - 1)];
    c.how = {draw(2) == 0, draw(2) == 0 && device != 0, draw(2) == 0 && device != 0};
    expect_one_answer(c);
  }
}

TEST(OneAnswer, DoesNotDependOnTheFirstTenCombinations) { expect_one_answer_in_combinations(1); }
TEST(OneAnswer, DoesNotDependOnTheSecondTenCombinations) { expect_one_answer_in_combinations(2); }
TEST(OneAnswer, DoesNotDependOnTheThirdTenCombinations) { expect_one_answer_in_combinations(3); }

// The full product; hours. `make test-long`.
TEST(OneAnswer, DISABLED_DoesNotDependOnAnything) {
  for (const std::string& device : devices()) {
    for (int i = 0; i < 4 * 9 * 2 * 4; ++i) {
      Case c;
      c.device = device;
      c.activation_bits = i % 2 == 0 ? 16 : 8;
      c.kv_bits = i / 2 % 2 == 0 ? 16 : 8;
      c.ranks = 1 + i / 4 % 9;
      c.threads = 1 + i / 36 % 2;
      c.chunk = std::array{1, 7, 64, 512}[static_cast<std::size_t>(i / 72)];
      for (int how = 0; how < 8; ++how) {
        c.how = {(how & 1) != 0, (how & 2) != 0, (how & 4) != 0};
        expect_one_answer(c);
      }
    }
  }
}

}  // namespace
}  // namespace lockstep
