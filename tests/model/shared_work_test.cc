// That the work is really shared: what each rank reads and multiplies, how many steps and calls a
// request takes, and whom a corrupt part concerns.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/model/model_store_support.h"
#include "tests/support/one_answer.h"
#include "tests/support/scratch_directory.h"
#include "worker/local_replica.h"
#include "worker/model_shard.h"

namespace lockstep {
namespace {

std::unique_ptr<LocalReplica> start(int ranks, int chunk = 512) {
  ReplicaConfig config;
  config.chunk_tokens = chunk;
  config.context_tokens = 512;
  config.num_blocks = 8 * 512 / kBlockTokens;
  auto replica = LocalReplica::start(smollm2_store(), config, ranks);
  CHECK(replica.ok(), replica.ok() ? "" : replica.error().message.c_str());
  return std::move(replica).value();
}

std::vector<RankReport> reports_of(int ranks) {
  const auto replica = start(ranks);
  CHECK(answer_once(replica->leader(), nullptr, {}, 4).ok(), "the request failed");
  auto reports = replica->leader().lead_report();
  CHECK(reports.ok(), "no reports");
  return std::move(reports).value();
}

// Multiply-adds of one token through the matrices of a part, its shared key/value head computed by
// each of its users.
std::uint64_t part_multiply_adds(const Manifest& manifest, int p) {
  const Part& part = manifest.parts[static_cast<std::size_t>(p)];
  const auto d = static_cast<std::uint64_t>(manifest.config.hidden_dim);
  const auto head = static_cast<std::uint64_t>(manifest.config.head_size);
  const auto heads = static_cast<std::uint64_t>(part.heads.size());
  const auto kv = static_cast<std::uint64_t>(part.kv_heads.size());
  const auto ffn = static_cast<std::uint64_t>(part.ffn.size());
  return static_cast<std::uint64_t>(manifest.config.num_layers) *
         (d * head * (2 * heads + 2 * kv) + 3 * d * ffn);
}

TEST(SharedWork, NineRanksReadTheirPartsAlone) {
  const Store store = smollm2_store();
  const std::vector<RankReport> reports = reports_of(9);
  ASSERT_EQ(reports.size(), 9U);
  for (int rank = 0; rank < 9; ++rank) {
    std::uint64_t needed = 0;
    for (const StoredTensor& tensor : store.manifest().tensors) {
      const bool blob =
          tensor.kind == TensorKind::kTokenizer || tensor.kind == TensorKind::kChatTemplate;
      const bool shared = tensor.kind == TensorKind::kSharedKv && tensor.part == rank / 3 * 3;
      if ((tensor.part == rank && tensor.kind != TensorKind::kSharedKv) || shared ||
          (tensor.part == -1 && !blob)) {
        needed += tensor.bytes;
      }
    }
    const RankReport& report = reports[static_cast<std::size_t>(rank)];
    EXPECT_EQ(report.parts, (Range{rank, rank + 1}));
    EXPECT_EQ(report.weight_bytes, needed) << "rank " << rank;
    // Its part, the shared heads and /common: three ranges, each rounded out by less than a leaf at
    // both ends; datasets are aligned to 4 KiB.
    const std::uint64_t slack = 6 * kLeafBytes + 4096 * store.manifest().tensors.size() / 9;
    EXPECT_LE(report.bytes_read, needed + slack) << "rank " << rank;
  }
}

TEST(SharedWork, MultiplyAddsAreWhatThePartsImply) {
  const Store store = smollm2_store();
  const Manifest& manifest = store.manifest();
  const std::vector<RankReport> reports = reports_of(9);
  const std::uint64_t tokens = chat_prompt().size() + 4 - 1;
  for (int rank = 0; rank < 9; ++rank) {
    const auto vocab =
        static_cast<std::uint64_t>(manifest.parts[static_cast<std::size_t>(rank)].vocab.size());
    const std::uint64_t implied =
        tokens * part_multiply_adds(manifest, rank) +
        4 * vocab * static_cast<std::uint64_t>(manifest.config.hidden_dim);
    const std::uint64_t done = reports[static_cast<std::size_t>(rank)].multiply_adds;
    EXPECT_GE(done * 10, implied * 9) << "rank " << rank;
    EXPECT_LE(done * 10, implied * 11) << "rank " << rank;
  }
}

TEST(SharedWork, StepsAreChunksAndDecodes) {
  for (const int chunk : {1, 7, 64, 512}) {
    const auto replica = start(1, chunk);
    const auto got = answer_once(replica->leader(), nullptr, {}, 5);
    ASSERT_TRUE(got.ok());
    const auto chunks =
        (37 + static_cast<std::uint32_t>(chunk) - 1) / static_cast<std::uint32_t>(chunk);
    EXPECT_EQ(got.value().completion.steps, chunks + 4) << "chunk " << chunk;
    EXPECT_EQ(got.value().completion.computed_tokens, 37U + 4) << "chunk " << chunk;
  }
}

TEST(SharedWork, EightSequencesDecodeInOneStepWithOneCallEach) {
  const auto replica = start(1);
  Rank& rank = replica->leader();
  // Linear calls of one decode step of `count` sequences.
  const auto calls_of_decode = [&rank](std::uint32_t count) {
    Leader leader(rank, nullptr);
    for (std::uint32_t i = 0; i < count; ++i) {
      Request request;
      request.prompt = {i + 1, i + 2, i + 3};
      request.sampling.max_completion_tokens = 3;
      CHECK(leader.add(std::move(request)).ok(), "refused");
    }
    CHECK(leader.step().ok(), "prefill failed");
    const RunnerCounts before = rank.runner().counts();
    const auto events = leader.step();
    CHECK(events.ok() && events.value().size() == count, "not all sequences got a token");
    const RunnerCounts after = rank.runner().counts();
    EXPECT_EQ(after.steps - before.steps, 1U);
    CHECK(run_until_idle(leader).ok(), "run failed");
    return std::pair{after.linear_calls - before.linear_calls,
                     after.multiply_adds - before.multiply_adds};
  };
  const auto one = calls_of_decode(1);
  const auto eight = calls_of_decode(8);
  EXPECT_EQ(eight.first, one.first);
  EXPECT_EQ(eight.second, 8 * one.second);
}

TEST(SharedWork, CachedTokensAreNotComputedAgain) {
  const auto replica = start(2);
  const auto got = answer_once(replica->leader(), nullptr, {.cached = true}, 4);
  ASSERT_TRUE(got.ok());
  EXPECT_EQ(got.value().completion.cached_tokens, 32U);  // Two full blocks of 37 tokens.
  EXPECT_EQ(got.value().completion.computed_tokens, 37U - 32 + 3);
}

TEST(SharedWork, ACorruptPartConcernsItsOwnerAlone) {
  const Store whole = smollm2_store();
  const ScratchDirectory scratch;
  const std::string copy = scratch.file("store");
  std::filesystem::copy(whole.directory(), copy, std::filesystem::copy_options::recursive);
  const StoredTensor* victim = whole.manifest().find(TensorKind::kFfnDown, 4, 17);
  ASSERT_NE(victim, nullptr);
  const std::string name = whole.manifest().files[static_cast<std::size_t>(victim->file)].name;
  {
    std::fstream file(copy + "/" + name, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(victim->offset + 100));
    const int byte = file.get();
    file.seekp(static_cast<std::streamoff>(victim->offset + 100));
    file.put(static_cast<char>(byte ^ 1));
  }
  const auto store = Store::open(copy);
  ASSERT_TRUE(store.ok());
  const std::string leaf = "leaf " + std::to_string((victim->offset + 100) / kLeafBytes);
  for (int part = 0; part < 9; ++part) {
    const auto shard = ModelShard::load(store.value(), {part, part + 1});
    EXPECT_EQ(shard.ok(), part != 4) << "part " << part;
    if (shard.ok()) continue;
    EXPECT_NE(shard.error().message.find(name), std::string::npos) << shard.error().message;
    EXPECT_NE(shard.error().message.find(leaf), std::string::npos) << shard.error().message;
  }
  ReplicaConfig config;
  config.context_tokens = 64;
  const auto replica = LocalReplica::start(store.value(), config, 3);
  ASSERT_FALSE(replica.ok());
  EXPECT_EQ(replica.error().code, ErrorCode::kCorrupt);
  EXPECT_NE(replica.error().message.find("rank 1: "), std::string::npos) << replica.error().message;
}

}  // namespace
}  // namespace lockstep
