#include "base/tagged_hash.h"

#include <gtest/gtest.h>

#include "tests/base/identifier_goldens.h"

namespace lockstep {
namespace {

std::vector<Digest> leaves(std::size_t count) {
  std::vector<Digest> out;
  for (std::size_t i = 0; i < count; ++i) out.push_back(keccak256("leaf-" + std::to_string(i)));
  return out;
}

TEST(TaggedHash, EqualsTheIndependentImplementation) {
  const Digest digest =
      TaggedHash("row").add(keccak256("w")).add(7U).add(UINT64_MAX).add_bits(-0.5F).digest();
  EXPECT_EQ(digest.hex(), golden::kTagged);
}

TEST(OrderedTreeRoot, EqualsTheIndependentImplementation) {
  EXPECT_EQ(ordered_tree_root(leaves(0)).hex(), golden::kTree0);
  EXPECT_EQ(ordered_tree_root(leaves(1)).hex(), golden::kTree1);
  EXPECT_EQ(ordered_tree_root(leaves(2)).hex(), golden::kTree2);
  EXPECT_EQ(ordered_tree_root(leaves(3)).hex(), golden::kTree3);
  EXPECT_EQ(ordered_tree_root(leaves(8)).hex(), golden::kTree8);
  EXPECT_EQ(ordered_tree_root(leaves(9)).hex(), golden::kTree9);
}

TEST(OrderedTreeRoot, DependsOnTheCountWhereThePaddingIsTheSame) {
  std::vector<Digest> four = leaves(3);
  four.emplace_back();  // A zero word, as the padding of three leaves.
  EXPECT_NE(ordered_tree_root(four), ordered_tree_root(leaves(3)));
}

TEST(OrderedTreeProof, HoldsForEveryLeafOfEverySize) {
  for (std::size_t count = 1; count <= 17; ++count) {
    const auto all = leaves(count);
    const Digest root = ordered_tree_root(all);
    for (std::size_t i = 0; i < count; ++i) {
      const auto proof = ordered_tree_proof(all, i);
      EXPECT_TRUE(verify_ordered_tree_proof(root, count, i, all[i], proof)) << count << " " << i;
    }
  }
}

TEST(VerifyOrderedTreeProof, RefusesAnyOtherLeafIndexCountRootOrLength) {
  const auto all = leaves(5);
  const Digest root = ordered_tree_root(all);
  const auto proof = ordered_tree_proof(all, 2);
  ASSERT_TRUE(verify_ordered_tree_proof(root, 5, 2, all[2], proof));
  EXPECT_FALSE(verify_ordered_tree_proof(root, 5, 2, all[3], proof));
  EXPECT_FALSE(verify_ordered_tree_proof(root, 5, 3, all[2], proof));
  EXPECT_FALSE(verify_ordered_tree_proof(root, 6, 2, all[2], proof));
  EXPECT_FALSE(verify_ordered_tree_proof(all[0], 5, 2, all[2], proof));
  EXPECT_FALSE(verify_ordered_tree_proof(root, 5, 2, all[2], std::span(proof).first(2)));
  EXPECT_FALSE(verify_ordered_tree_proof(root, 5, 10, all[2], proof));
}

TEST(VerifyOrderedTreeProof, RefusesCountsFromOutsideThatNoTreeHas) {
  EXPECT_FALSE(verify_ordered_tree_proof({}, 0, 0, {}, {}));
  EXPECT_FALSE(verify_ordered_tree_proof({}, UINT64_MAX, 1, {}, {}));
  EXPECT_FALSE(verify_ordered_tree_proof({}, (1ULL << 63) + 1, 1, {}, {}));
}

TEST(OrderedTreeProofDeathTest, AbortsForALeafThatIsNotThere) {
  const auto all = leaves(2);
  EXPECT_DEATH(static_cast<void>(ordered_tree_proof(all, 2)), "not in the tree");
}

}  // namespace
}  // namespace lockstep
