#include "chainbridge/inclusion_proof.h"

#include <gmock/gmock.h>

#include "tests/chainbridge/ledger_fixture.h"

namespace lockstep {
namespace {

using ::testing::HasSubstr;

class InclusionProofTest : public LedgerFixture {
 protected:
  // The proof of job `index` of a ledger of five jobs in rollups of three.
  InclusionProof proof_of(std::size_t index) {
    record_jobs(5, 3);
    const auto report = verify_ledger(directory_);
    EXPECT_TRUE(report.ok()) << report.error().message;
    auto proof = prove_job(report.value(), report.value().jobs[index]);
    EXPECT_TRUE(proof.ok()) << proof.error().message;
    return std::move(proof).value();
  }
};

class ProveJob : public InclusionProofTest {};
class ParseInclusionProof : public InclusionProofTest {};
class VerifyInclusionProof : public InclusionProofTest {};

TEST_F(ProveJob, ProvesEveryJobOfEveryRollup) {
  record_jobs(5, 3);
  const auto report = verify_ledger(directory_);
  ASSERT_TRUE(report.ok());
  for (const LedgerJob& job : report.value().jobs) {
    const auto proof = prove_job(report.value(), job);
    ASSERT_TRUE(proof.ok()) << proof.error().message;
    const Status verdict = verify_inclusion_proof(proof.value());
    EXPECT_TRUE(verdict.ok()) << verdict.error().message;
    EXPECT_EQ(proof.value().leaf.job_id, job.assigned.job_id);
    EXPECT_EQ(rollup_header_hash(proof.value().header),
              report.value().rollups[*job.finished->rollup].header_hash);
  }
}

TEST_F(ProveJob, SaysThatAJobIsUnfinishedOrWaitsForItsRollup) {
  auto ledger = open();
  ASSERT_TRUE(ledger.ok());
  ASSERT_TRUE(ledger.value().append_assignment(sample_assignment()).ok());
  ASSERT_TRUE(ledger.value().append_assignment(sample_assignment()).ok());
  ASSERT_TRUE(ledger.value().append_result(sample_result(2)).ok());
  const auto report = verify_ledger(directory_);
  ASSERT_TRUE(report.ok());
  const auto unfinished = prove_job(report.value(), report.value().jobs[0]);
  ASSERT_FALSE(unfinished.ok());
  EXPECT_THAT(unfinished.error().message, HasSubstr("job 1: is unfinished"));
  const auto pending = prove_job(report.value(), report.value().jobs[1]);
  ASSERT_FALSE(pending.ok());
  EXPECT_THAT(pending.error().message, HasSubstr("job 2: its result waits for a rollup"));
}

TEST_F(ParseInclusionProof, GivesBackWhatWasWritten) {
  InclusionProof proof = proof_of(1);
  for (const Price price : {Price{0, 0}, Price{0, 0xABC}, Price{1, 0}, Price{~0ULL, ~0ULL}}) {
    proof.leaf.price = proof.receipt.price = price;
    const auto parsed = parse_inclusion_proof(inclusion_proof_json(proof).dump());
    ASSERT_TRUE(parsed.ok()) << parsed.error().message;
    EXPECT_EQ(parsed.value().leaf, proof.leaf);
    EXPECT_EQ(parsed.value().proof, proof.proof);
    EXPECT_EQ(parsed.value().header, proof.header);
    EXPECT_EQ(parsed.value().receipt, proof.receipt);
    EXPECT_EQ(parsed.value().receipt_proof, proof.receipt_proof);
  }
}

TEST_F(ParseInclusionProof, NamesAFieldThatIsMissing) {
  const Json whole = inclusion_proof_json(proof_of(1));
  const auto expect_named = [](const Json& json, const std::string& key) {
    const auto parsed = parse_inclusion_proof(json.dump());
    ASSERT_FALSE(parsed.ok()) << key;
    EXPECT_EQ(parsed.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(parsed.error().message, HasSubstr("\"" + key + "\""));
  };
  for (const auto& item : whole.items()) {
    Json json = whole;
    json.erase(item.key());
    expect_named(json, item.key());
    if (!item.value().is_object()) continue;
    for (const auto& field : item.value().items()) {
      json = whole;
      json.at(item.key()).erase(field.key());
      expect_named(json, field.key());
    }
  }
}

TEST_F(ParseInclusionProof, RefusesDerivedHashesThatAreNotThoseOfTheFields) {
  const Json whole = inclusion_proof_json(proof_of(1));
  for (const char* key : {"leaf_hash", "root", "header_hash"}) {
    Json json = whole;
    json.at(key) = std::string(64, '1');
    EXPECT_THAT(parse_inclusion_proof(json.dump()).error().message, HasSubstr(key));
  }
}

TEST_F(ParseInclusionProof, RefusesPricesBeyondTheirType) {
  Json json = inclusion_proof_json(proof_of(1));
  for (const std::string& price :
       {std::string("0x"), std::string("7"), "0x1" + std::string(32, '0'), std::string("0xg")}) {
    json.at("leaf").at("price") = price;
    EXPECT_THAT(parse_inclusion_proof(json.dump()).error().message, HasSubstr("price")) << price;
  }
}

TEST_F(ParseInclusionProof, RefusesATextThatIsTooLong) {
  EXPECT_FALSE(parse_inclusion_proof(std::string(100'000, ' ')).ok());
}

TEST_F(VerifyInclusionProof, NoticesEveryChange) {
  const InclusionProof whole = proof_of(1);
  ASSERT_TRUE(verify_inclusion_proof(whole).ok());
  const auto expect_refused = [&](const char* what, auto change) {
    InclusionProof proof = whole;
    change(proof);
    const Status verdict = verify_inclusion_proof(proof);
    ASSERT_FALSE(verdict.ok()) << what;
    EXPECT_EQ(verdict.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(verdict.error().message, HasSubstr(what));
  };
  expect_refused("version", [](auto& p) { p.leaf.version = 2; });
  expect_refused("index 3 of 3", [](auto& p) { p.leaf.index = 3; });
  expect_refused("not under the root", [](auto& p) { p.leaf.index = 0; });
  expect_refused("not under the root", [](auto& p) { p.leaf.completed_at ^= 1; });
  expect_refused("not under the root", [](auto& p) { p.proof[0].bytes[0] ^= 1; });
  expect_refused("not under the root", [](auto& p) { p.header.root.bytes[0] ^= 1; });
  expect_refused("count 0", [](auto& p) { p.header.count = 0; });
  expect_refused("count 65537", [](auto& p) { p.header.count = 65537; });
  expect_refused("different jobs", [](auto& p) { p.receipt.job_id.bytes[0] ^= 1; });
  expect_refused("different jobs", [](auto& p) { p.receipt.result_hash.bytes[0] ^= 1; });
  expect_refused("different jobs", [](auto& p) { p.receipt.price.low = 1; });
  expect_refused("data commitment", [](auto& p) { p.receipt.output_hash.bytes[0] ^= 1; });
  expect_refused("data commitment", [](auto& p) { p.receipt_proof.pop_back(); });
  expect_refused("data commitment", [](auto& p) { p.header.data_commitment.bytes[0] ^= 1; });
}

}  // namespace
}  // namespace lockstep
