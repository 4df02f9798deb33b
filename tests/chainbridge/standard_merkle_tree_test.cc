#include "chainbridge/standard_merkle_tree.h"

#include <gtest/gtest.h>

#include <bit>
#include <cstdlib>
#include <fstream>
#include <random>
#include <string>

#include "base/canonical_json.h"
#include "chainbridge/rollup.h"

namespace lockstep {
namespace {

std::vector<Digest> some_leaves(std::size_t count) {
  std::vector<Digest> leaves(count);
  for (std::size_t i = 0; i < count; ++i) leaves[i] = keccak256(std::to_string(i));
  return leaves;
}

Digest pair_hash(const Digest& a, const Digest& b) {
  const Digest& low = a < b ? a : b;
  const Digest& high = a < b ? b : a;
  Bytes bytes(low.bytes.begin(), low.bytes.end());
  bytes.insert(bytes.end(), high.bytes.begin(), high.bytes.end());
  return keccak256(bytes);
}

TEST(StandardMerkleTree, OfOneLeafIsTheLeaf) {
  const std::vector<Digest> leaves = some_leaves(1);
  const StandardMerkleTree tree(leaves);
  EXPECT_EQ(tree.root(), leaves[0]);
  EXPECT_TRUE(tree.proof(0).empty());
}

TEST(StandardMerkleTree, OfTwoLeavesHashesTheSmallerFirst) {
  std::vector<Digest> leaves = some_leaves(2);
  const Digest root = pair_hash(leaves[0], leaves[1]);
  EXPECT_EQ(StandardMerkleTree(leaves).root(), root);
  std::swap(leaves[0], leaves[1]);
  EXPECT_EQ(StandardMerkleTree(leaves).root(), root);
}

// Array of three leaves: root, inner node, and the leaves from large to small.
TEST(StandardMerkleTree, OfThreeLeavesHasTheLargestAlone) {
  std::vector<Digest> sorted = some_leaves(3);
  const StandardMerkleTree tree(sorted);
  std::sort(sorted.begin(), sorted.end());
  ASSERT_EQ(tree.nodes().size(), 5U);
  EXPECT_EQ(tree.nodes()[2], sorted[2]);
  EXPECT_EQ(tree.nodes()[3], sorted[1]);
  EXPECT_EQ(tree.nodes()[4], sorted[0]);
  EXPECT_EQ(tree.nodes()[1], pair_hash(sorted[0], sorted[1]));
  EXPECT_EQ(tree.root(), pair_hash(tree.nodes()[1], sorted[2]));
}

TEST(StandardMerkleTree, ProvesEveryLeafOfEverySize) {
  for (std::size_t count = 1; count <= 70; ++count) {
    const std::vector<Digest> leaves = some_leaves(count);
    const StandardMerkleTree tree(leaves);
    for (std::size_t i = 0; i < count; ++i) {
      ASSERT_TRUE(verify_standard_proof(tree.root(), count, i, leaves[i], tree.proof(i)))
          << count << " " << i;
    }
  }
}

TEST(VerifyStandardProof, RefusesAnotherLeafRootOrSibling) {
  const std::vector<Digest> leaves = some_leaves(13);
  const StandardMerkleTree tree(leaves);
  std::vector<Digest> proof = tree.proof(4);
  EXPECT_FALSE(verify_standard_proof(tree.root(), 13, 4, leaves[5], proof));
  EXPECT_FALSE(verify_standard_proof(leaves[0], 13, 4, leaves[4], proof));
  for (Digest& sibling : proof) {
    sibling.bytes[7] ^= 0x40;
    EXPECT_FALSE(verify_standard_proof(tree.root(), 13, 4, leaves[4], proof));
    sibling.bytes[7] ^= 0x40;
  }
  proof.pop_back();
  EXPECT_FALSE(verify_standard_proof(tree.root(), 13, 4, leaves[4], proof));
}

TEST(VerifyStandardProof, RefusesNoLeavesAndAnIndexBeyondThem) {
  const Digest leaf = keccak256("leaf");
  EXPECT_TRUE(verify_standard_proof(leaf, 1, 0, leaf, {}));
  EXPECT_FALSE(verify_standard_proof(leaf, 0, 0, leaf, {}));
  EXPECT_FALSE(verify_standard_proof(leaf, 1, 1, leaf, {}));
}

// A proof that hashes to the root, but is deeper than a tree of `count` leaves.
TEST(VerifyStandardProof, RefusesAProofLongerThanTheTreeIsDeep) {
  const std::vector<Digest> leaves = some_leaves(8);
  const StandardMerkleTree tree(leaves);
  for (std::uint64_t count = 5; count <= 8; ++count) {
    EXPECT_TRUE(verify_standard_proof(tree.root(), count, 0, leaves[0], tree.proof(0))) << count;
  }
  for (std::uint64_t count = 1; count <= 4; ++count) {
    EXPECT_FALSE(verify_standard_proof(tree.root(), count, 0, leaves[0], tree.proof(0))) << count;
  }
}

std::uint64_t hex_number(const std::string& text) { return std::stoull(text, nullptr, 16); }

Price hex_price(const std::string& text) {
  const std::string digits = text.substr(2);
  if (digits.size() <= 16) return {.high = 0, .low = hex_number(digits)};
  const std::size_t split = digits.size() - 16;
  return {.high = hex_number(digits.substr(0, split)), .low = hex_number(digits.substr(split))};
}

Digest word(const Json& text) { return Digest::from_hex(text.get<std::string>()).value(); }

RollupLeaf leaf_of(const Json& json) {
  return {.version = json.at("version").get<std::uint8_t>(),
          .index = json.at("index").get<std::uint64_t>(),
          .job_id = word(json.at("job_id")),
          .spec_hash = word(json.at("spec_hash")),
          .result_hash = word(json.at("result_hash")),
          .trace_root = word(json.at("trace_root")),
          .price = hex_price(json.at("price").get<std::string>()),
          .completed_at = hex_number(json.at("completed_at").get<std::string>())};
}

void expect_equal_tree(const Json& theirs) {
  std::vector<RollupLeaf> leaves;
  for (const Json& leaf : theirs.at("leaves")) leaves.push_back(leaf_of(leaf));
  const StandardMerkleTree tree(rollup_leaf_hashes(leaves));
  const Json& nodes = theirs.at("nodes");
  ASSERT_EQ(tree.nodes().size(), nodes.size());
  for (std::size_t i = 0; i < nodes.size(); ++i) ASSERT_EQ(tree.nodes()[i], word(nodes[i])) << i;
  const Json& proofs = theirs.at("proofs");
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    const std::vector<Digest> proof = tree.proof(i);
    ASSERT_EQ(proof.size(), proofs[i].size());
    for (std::size_t j = 0; j < proof.size(); ++j) ASSERT_EQ(proof[j], word(proofs[i][j]));
    ASSERT_LE(proof.size(), static_cast<std::size_t>(std::bit_width(leaves.size() - 1)));
  }
}

// Run by standard_merkle_tree_npm_test.py, which has the vectors made.
TEST(StandardMerkleTree, EqualsTheVectorsOfThePackage) {
  const char* path = std::getenv("LOCKSTEP_MERKLE_VECTORS");
  if (path == nullptr) GTEST_SKIP() << "LOCKSTEP_MERKLE_VECTORS names no file";
  const Json vectors = Json::parse(std::ifstream(path));
  const Json& trees = vectors.at("trees");
  ASSERT_GE(trees.size(), 70U);
  for (std::size_t i = 0; i < trees.size(); ++i) {
    SCOPED_TRACE("tree " + std::to_string(i) + " of seed " + vectors.at("seed").get<std::string>());
    ASSERT_NO_FATAL_FAILURE(expect_equal_tree(trees[i]));
  }
}

}  // namespace
}  // namespace lockstep
