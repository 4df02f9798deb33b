// Against values of the npm packages: golden/rollup.json, written by merkle_vectors.cjs.
#include "chainbridge/rollup.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "base/canonical_json.h"
#include "chainbridge/standard_merkle_tree.h"

namespace lockstep {
namespace {

Digest name(const char* prefix, std::uint64_t i) {
  return keccak256(prefix + std::string("-") + std::to_string(i));
}

// The leaves of the chain design's golden vector.
std::vector<RollupLeaf> design_leaves(std::uint64_t count) {
  std::vector<RollupLeaf> leaves(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    leaves[i] = {.version = 1,
                 .index = i,
                 .job_id = name("job", i),
                 .spec_hash = name("spec", i),
                 .result_hash = name("result", i),
                 .trace_root = name("trace", i),
                 .price = {.high = 0, .low = 1000 + i},
                 .completed_at = 1700000000 + i};
  }
  return leaves;
}

std::vector<Receipt> design_receipts(std::uint64_t count) {
  std::vector<Receipt> receipts(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    receipts[i] = {.job_id = name("job", i),
                   .result_hash = name("result", i),
                   .output_hash = name("output", i),
                   .price = {.high = 0, .low = 1000 + i}};
  }
  return receipts;
}

const Json& golden() {
  static const Json json =
      Json::parse(std::ifstream(LOCKSTEP_SOURCE_DIR "/tests/chainbridge/golden/rollup.json"));
  return json;
}

TEST(RollupRoot, IsTheGoldenRootOfTheDesign) {
  EXPECT_EQ(rollup_root(design_leaves(3)).hex(),
            "69a57c625de3bf7af0c4a6512a6cd0c353524d7fd471b48c69168a865658ae5a");
}

TEST(RollupRoot, EqualsThePackageForOneToSeventyLeaves) {
  const Json& roots = golden().at("roots");
  ASSERT_EQ(roots.size(), 70U);
  for (std::uint64_t count = 1; count <= roots.size(); ++count) {
    EXPECT_EQ("0x" + rollup_root(design_leaves(count)).hex(), roots[count - 1].get<std::string>())
        << count;
  }
}

TEST(RollupRoot, DoesNotDependOnTheOrderOfTheLeaves) {
  std::vector<RollupLeaf> leaves = design_leaves(7);
  const Digest root = rollup_root(leaves);
  std::swap(leaves[1], leaves[5]);
  EXPECT_EQ(rollup_root(leaves), root);
}

TEST(ReceiptDigests, EqualThePackages) {
  const Json& digests = golden().at("rollup_of_5").at("receipt_digests");
  const std::vector<Digest> ours = receipt_digests(design_receipts(5));
  ASSERT_EQ(digests.size(), ours.size());
  for (std::size_t i = 0; i < ours.size(); ++i)
    EXPECT_EQ("0x" + ours[i].hex(), digests[i].get<std::string>());
}

TEST(RollupDataCommitment, EqualsThatComputedInJavaScript) {
  EXPECT_EQ("0x" + rollup_data_commitment(design_receipts(5)).hex(),
            golden().at("rollup_of_5").at("data_commitment").get<std::string>());
}

TEST(RollupHeaderHash, EqualsThatComputedInJavaScript) {
  const RollupHeader header = {.chain_id = 31337,
                               .contract = keccak256("contract"),
                               .operator_id = keccak256("operator"),
                               .sequence = 7,
                               .previous = keccak256("previous"),
                               .root = rollup_root(design_leaves(5)),
                               .count = 5,
                               .data_commitment = rollup_data_commitment(design_receipts(5))};
  EXPECT_EQ("0x" + rollup_header_hash(header).hex(),
            golden().at("rollup_of_5").at("header_hash").get<std::string>());
}

TEST(RollupLeafHash, DependsOnEveryField) {
  const RollupLeaf leaf = design_leaves(1)[0];
  for (int field = 0; field < 8; ++field) {
    RollupLeaf changed = leaf;
    if (field == 0) changed.version ^= 2;
    if (field == 1) changed.index ^= 1;
    if (field == 2) changed.job_id.bytes[0] ^= 1;
    if (field == 3) changed.spec_hash.bytes[0] ^= 1;
    if (field == 4) changed.result_hash.bytes[0] ^= 1;
    if (field == 5) changed.trace_root.bytes[0] ^= 1;
    if (field == 6) changed.price.high ^= 1;
    if (field == 7) changed.completed_at ^= 1;
    EXPECT_NE(rollup_leaf_hash(changed), rollup_leaf_hash(leaf)) << field;
  }
}

}  // namespace
}  // namespace lockstep
