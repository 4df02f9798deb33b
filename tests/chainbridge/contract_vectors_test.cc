// Against tests/chain/vectors/contracts.json, which the contracts are held against, too.
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "base/canonical_json.h"
#include "base/identifiers.h"
#include "base/tagged_hash.h"
#include "chainbridge/rollup.h"
#include "chainbridge/standard_merkle_tree.h"

namespace lockstep {
namespace {

const Json& vectors() {
  static const Json json =
      Json::parse(std::ifstream(LOCKSTEP_SOURCE_DIR "/tests/chain/vectors/contracts.json"));
  return json;
}

Digest digest(const Json& object, const char* key) {
  return Digest::from_hex(object.at(key).get<std::string>()).value();
}

// Integers from 2^53 on are decimal text.
std::uint64_t integer(const Json& object, const char* key) {
  const Json& value = object.at(key);
  return value.is_string() ? std::stoull(value.get<std::string>()) : value.get<std::uint64_t>();
}

std::uint32_t integer32(const Json& object, const char* key) {
  return static_cast<std::uint32_t>(integer(object, key));
}

// The leaf of result i, whose fields follow from i.
RollupLeaf numbered_leaf(std::uint64_t i) {
  const std::string number = std::to_string(i);
  const Digest output =
      TaggedHash("output").add(keccak256("tokens-" + number)).add(i % 1000).add(i % 2).digest();
  const Digest job = keccak256("job-" + number);
  const Digest spec = keccak256("spec-" + number);
  const Digest trace = keccak256("trace-" + number);
  return {.version = kRollupLeafVersion,
          .index = i,
          .job_id = job,
          .spec_hash = spec,
          .result_hash = result_hash(job, 1, spec, output, trace),
          .trace_root = trace,
          .price = {.high = 0, .low = 1000 + i},
          .completed_at = 1'700'000'000 + i};
}

TEST(ContractVectors, SpecHashesAreEqual) {
  for (const Json& one : vectors().at("specs")) {
    const JobSpec spec = {.model_id = digest(one, "model_id"),
                          .sampling_hash = digest(one, "sampling_hash"),
                          .prompt_hash = digest(one, "prompt_hash"),
                          .prompt_tokens = integer32(one, "prompt_tokens"),
                          .max_completion_tokens = integer32(one, "max_completion_tokens"),
                          .price_per_prompt_token = integer(one, "price_per_prompt_token"),
                          .price_per_completion_token = integer(one, "price_per_completion_token"),
                          .deadline = integer(one, "deadline"),
                          .provider = digest(one, "provider")};
    EXPECT_EQ(spec_hash(spec), digest(one, "spec_hash"));
  }
}

TEST(ContractVectors, JobIdsAreEqual) {
  for (const Json& one : vectors().at("jobs")) {
    const JobOrigin origin = {.chain_id = integer(vectors(), "chain_id"),
                              .contract = digest(one, "contract"),
                              .client = digest(one, "client"),
                              .client_nonce = integer(one, "client_nonce")};
    EXPECT_EQ(job_id(origin), digest(one, "job_id"));
  }
}

TEST(ContractVectors, ResultHashesAndLeavesAreEqual) {
  for (const Json& one : vectors().at("results")) {
    const RollupLeaf leaf = numbered_leaf(integer(one, "index"));
    EXPECT_EQ(leaf.result_hash, digest(one, "result_hash"));
    EXPECT_EQ(rollup_leaf_hash(leaf), digest(one, "leaf"));
  }
}

TEST(ContractVectors, HeaderHashesAreEqual) {
  for (const Json& one : vectors().at("headers")) {
    const RollupHeader header = {.chain_id = integer(vectors(), "chain_id"),
                                 .contract = digest(one, "contract"),
                                 .operator_id = digest(one, "operator"),
                                 .sequence = integer(one, "sequence"),
                                 .previous = digest(one, "previous"),
                                 .root = digest(one, "root"),
                                 .count = integer(one, "count"),
                                 .data_commitment = digest(one, "data_commitment")};
    EXPECT_EQ(rollup_header_hash(header), digest(one, "header_hash"));
  }
}

// 1, 2, 3, 255, 256 and 100,000 leaves.
TEST(ContractVectors, RootsAndProofsAreEqual) {
  for (const Json& one : vectors().at("rollups")) {
    const std::uint64_t count = integer(one, "count");
    SCOPED_TRACE(count);
    std::vector<Digest> leaves;
    for (std::uint64_t i = 0; i < count; ++i) leaves.push_back(rollup_leaf_hash(numbered_leaf(i)));
    const StandardMerkleTree tree(leaves);
    EXPECT_EQ(tree.root(), digest(one, "root"));
    const std::vector<Digest> proof = tree.proof(integer(one, "proven"));
    const Json& expected = one.at("proof");
    ASSERT_EQ(proof.size(), expected.size());
    for (std::size_t i = 0; i < proof.size(); ++i) {
      EXPECT_EQ("0x" + proof[i].hex(), expected[i].get<std::string>());
    }
  }
}

}  // namespace
}  // namespace lockstep
