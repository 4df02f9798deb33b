#include "worker/runner/step_batch.h"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

using Table = std::vector<std::int32_t>;

ScheduledSequence entry(std::uint64_t id, std::uint32_t first, std::vector<std::uint32_t> tokens,
                        std::uint32_t known, const Table& blocks, std::uint32_t num_logits = 0) {
  ScheduledSequence out;
  out.sequence = SequenceId{id};
  out.first_position = first;
  out.tokens = std::move(tokens);
  out.known_blocks = known;
  for (const std::int32_t block : blocks) out.new_blocks.push_back(BlockId{block});
  out.num_logits = num_logits;
  return out;
}

StepPlan plan_of(std::vector<ScheduledSequence> decodes, std::vector<ScheduledSequence> prefills) {
  StepPlan plan;
  plan.decodes = std::move(decodes);
  plan.prefills = std::move(prefills);
  return plan;
}

std::string refusal(BlockTables& tables, const ScheduledSequence& of) {
  const auto batch = tables.apply(plan_of({}, {of}));
  if (batch.ok()) return "accepted";
  EXPECT_EQ(batch.error().code, ErrorCode::kInvalidArgument);
  return batch.error().message;
}

TEST(BlockTablesApply, FlattensDecodesBeforePrefills) {
  BlockTables tables(10, 100);
  ASSERT_TRUE(tables.apply(plan_of({}, {entry(1, 0, {5, 6}, 0, {3}, 1)})).ok());
  const auto batch =
      tables.apply(plan_of({entry(1, 2, {7}, 1, {}, 1)}, {entry(2, 16, {8, 9, 10}, 0, {4, 2}, 2)}));
  ASSERT_TRUE(batch.ok()) << batch.error().message;
  const StepBatch& got = batch.value();
  ASSERT_EQ(got.tokens.size(), 4U);
  const BatchToken expected[] = {{7, 2, 0}, {8, 16, 1}, {9, 17, 1}, {10, 18, 1}};
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(got.tokens[i].token, expected[i].token);
    EXPECT_EQ(got.tokens[i].position, expected[i].position);
    EXPECT_EQ(got.tokens[i].sequence, expected[i].sequence);
  }
  ASSERT_EQ(got.tables.size(), 2U);
  EXPECT_EQ(*got.tables[0], Table{3});
  EXPECT_EQ(*got.tables[1], (Table{4, 2}));
  EXPECT_EQ(got.logit_tokens, (std::vector<int>{0, 2, 3}));
  EXPECT_EQ(got.traced_token, 3);
}

TEST(BlockTablesApply, AppendsNewBlocks) {
  BlockTables tables(10, 100);
  ASSERT_TRUE(
      tables.apply(plan_of({}, {entry(1, 0, std::vector<std::uint32_t>(16), 0, {7})})).ok());
  const auto batch = tables.apply(plan_of({entry(1, 16, {1}, 1, {9})}, {}));
  ASSERT_TRUE(batch.ok());
  EXPECT_EQ(*batch.value().tables[0], (Table{7, 9}));
}

TEST(BlockTablesApply, StartsANewTableForAnIdOfAnotherLeader) {
  BlockTables tables(10, 100);
  ASSERT_TRUE(tables.apply(plan_of({}, {entry(1, 0, {1}, 0, {7, 8})})).ok());
  const auto batch = tables.apply(plan_of({}, {entry(1, 0, {1}, 0, {2})}));
  ASSERT_TRUE(batch.ok());
  EXPECT_EQ(*batch.value().tables[0], Table{2});
}

TEST(BlockTablesApply, ForgetsWhatHasFinished) {
  BlockTables tables(10, 100);
  ASSERT_TRUE(tables.apply(plan_of({}, {entry(1, 0, {1}, 0, {7})})).ok());
  StepPlan plan = plan_of({entry(1, 1, {1}, 1, {})}, {});
  plan.finished = {SequenceId{1}};
  EXPECT_FALSE(tables.apply(plan).ok());
}

TEST(BlockTablesApply, RefusesWhatDoesNotFit) {
  BlockTables tables(10, 100);
  using Tokens = std::vector<std::uint32_t>;
  EXPECT_NE(refusal(tables, entry(1, 0, {1}, 1, {3})).find("another length"), std::string::npos);
  EXPECT_NE(refusal(tables, entry(1, 0, {1}, 0, {10})).find("no KV block 10"), std::string::npos);
  EXPECT_NE(refusal(tables, entry(1, 0, {1}, 0, {-1})).find("no KV block -1"), std::string::npos);
  EXPECT_NE(refusal(tables, entry(1, 0, {100}, 0, {3})).find("token 100"), std::string::npos);
  EXPECT_NE(refusal(tables, entry(1, 0, {}, 0, {3})).find("none at all"), std::string::npos);
  EXPECT_NE(refusal(tables, entry(1, 0, Tokens(17), 0, {3})).find("without KV blocks"),
            std::string::npos);
  EXPECT_NE(refusal(tables, entry(1, UINT32_MAX, {1}, 0, {3})).find("without KV blocks"),
            std::string::npos);
  EXPECT_NE(refusal(tables, entry(1, 0, {1}, 0, {3}, 2)).find("more logits"), std::string::npos);
  EXPECT_EQ(refusal(tables, entry(1, 0, Tokens(16), 0, {9}, 16)), "accepted");
}

}  // namespace
}  // namespace lockstep
