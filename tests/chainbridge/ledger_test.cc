#include "chainbridge/ledger.h"

#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>

#include "chainbridge/ledger_verifier.h"
#include "tests/chainbridge/ledger_fixture.h"

namespace lockstep {
namespace {

using ::testing::HasSubstr;

class LedgerOpen : public LedgerFixture {};
class LedgerAppendAssignment : public LedgerFixture {};
class LedgerAppendResult : public LedgerFixture {};
class LedgerClose : public LedgerFixture {};

TEST_F(LedgerOpen, CreatesDirectoryAndGenesisOfThirtyTwoRandomBytes) {
  directory_ = temporary_ / "a/b/ledger";
  const auto ledger = open();
  ASSERT_TRUE(ledger.ok()) << ledger.error().message;
  EXPECT_THAT(bytes(),
              HasSubstr("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"));
  EXPECT_FALSE(ledger.value().ledger_id().is_zero());
  EXPECT_EQ(ledger.value().torn_bytes(), 0U);
}

// Computed in JavaScript from the table of the format: ledger_id in golden/rollup.json.
TEST_F(LedgerOpen, GivesTheGoldenLedgerId) {
  const auto ledger = open();
  ASSERT_TRUE(ledger.ok());
  EXPECT_EQ(ledger.value().ledger_id().hex(),
            "ca41217d9a59d5f50d3b48ef74503da5ce856764cd3e2a424e8ce60bc339aa60");
}

TEST_F(LedgerOpen, KeepsTheIdOfAnExistingLedger) {
  Digest id;
  {
    auto ledger = open();
    ASSERT_TRUE(ledger.ok());
    id = ledger.value().ledger_id();
  }
  const auto again = open();
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_EQ(again.value().ledger_id(), id);
}

TEST_F(LedgerOpen, IsReadableByItsOwnerAlone) {
  const auto ledger = open();
  ASSERT_TRUE(ledger.ok());
  struct stat info {};
  ASSERT_EQ(::stat(ledger_file(directory_).c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0077U, 0U);
}

TEST_F(LedgerOpen, RefusesASecondWriterAndNamesTheFirst) {
  auto first = open();
  ASSERT_TRUE(first.ok());
  const auto second = open({.rollup_size = 64, .lock_timeout_ms = 40});
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(second.error().message, HasSubstr("process " + std::to_string(::getpid())));
  ASSERT_TRUE(first.value().close().ok());
  EXPECT_TRUE(open().ok());
}

TEST_F(LedgerOpen, RefusesARollupSizeOutOfRange) {
  for (const std::uint32_t size : {0U, kMaxRollupLeaves + 1}) {
    const auto ledger = open({.rollup_size = size, .lock_timeout_ms = 0});
    ASSERT_FALSE(ledger.ok());
    EXPECT_EQ(ledger.error().code, ErrorCode::kInvalidArgument);
  }
}

TEST_F(LedgerOpen, CutsATornTailAtEveryByteOfTheLastRecord) {
  record_jobs(1);
  const std::string whole = bytes();
  const auto report = verify_ledger(directory_);
  ASSERT_TRUE(report.ok());
  // The last record is the rollup; a torn one is made again when the ledger is closed.
  const std::uint64_t last = report.value().jobs[0].finished->place.offset + 48 +
                             report.value().jobs[0].finished->place.payload_bytes;
  ASSERT_LT(last, whole.size());
  for (std::uint64_t size = last; size < whole.size(); ++size) {
    replace_bytes(whole.substr(0, size));
    auto ledger = open();
    ASSERT_TRUE(ledger.ok()) << size << ": " << ledger.error().message;
    ASSERT_EQ(ledger.value().torn_bytes(), size - last);
    ASSERT_EQ(bytes().size(), last);
    ASSERT_TRUE(ledger.value().close().ok());
    ASSERT_EQ(bytes(), whole) << size;
  }
}

TEST_F(LedgerOpen, CutsATailOfZerosThatWasNeverWritten) {
  record_jobs(1);
  const std::string whole = bytes();
  for (const std::size_t zeros : {1U, 3U, 15U, 16U, 100U, 70000U}) {
    replace_bytes(whole + std::string(zeros, '\0'));
    const auto ledger = open();
    ASSERT_TRUE(ledger.ok()) << zeros << ": " << ledger.error().message;
    EXPECT_EQ(ledger.value().torn_bytes(), zeros);
    EXPECT_EQ(bytes(), whole);
  }
}

TEST_F(LedgerOpen, StartsAnewWhenEvenTheGenesisIsTorn) {
  Digest id;
  {
    auto ledger = open();
    ASSERT_TRUE(ledger.ok());
    id = ledger.value().ledger_id();
  }
  replace_bytes(bytes().substr(0, 50));
  const auto ledger = open();
  ASSERT_TRUE(ledger.ok()) << ledger.error().message;
  EXPECT_NE(ledger.value().ledger_id(), id);  // Of other random bytes.
}

TEST_F(LedgerOpen, RefusesDamageAndLeavesTheFileAsItIs) {
  record_jobs(2);
  std::string damaged = bytes();
  damaged[damaged.size() / 2] ^= 1;
  replace_bytes(damaged);
  const auto ledger = open();
  ASSERT_FALSE(ledger.ok());
  EXPECT_EQ(ledger.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(ledger.error().message, HasSubstr("record "));
  EXPECT_THAT(ledger.error().message, HasSubstr(" at byte "));
  EXPECT_EQ(bytes(), damaged);
}

TEST_F(LedgerOpen, ClosesARollupThatACrashLeftDue) {
  record_jobs(2, 2);  // The second result and the rollup were one write.
  const auto report = verify_ledger(directory_);
  ASSERT_TRUE(report.ok());
  const auto& last = report.value().jobs[1].finished->place;
  const std::string whole = bytes();
  replace_bytes(whole.substr(0, last.offset + 48 + last.payload_bytes));
  const auto ledger = open({.rollup_size = 2, .lock_timeout_ms = 0});
  ASSERT_TRUE(ledger.ok()) << ledger.error().message;
  EXPECT_EQ(bytes(), whole);
}

TEST_F(LedgerAppendAssignment, IsOnDiskBeforeItReturns) {
  auto ledger = open();
  ASSERT_TRUE(ledger.ok());
  const auto job = ledger.value().append_assignment(sample_assignment());
  ASSERT_TRUE(job.ok()) << job.error().message;
  EXPECT_EQ(job.value().sequence, 1U);  // The genesis record is 0.
  const auto report = verify_ledger(directory_);
  ASSERT_TRUE(report.ok()) << report.error().message;
  ASSERT_EQ(report.value().jobs.size(), 1U);
  EXPECT_EQ(report.value().jobs[0].assigned.job_id, job.value().job_id);
  EXPECT_FALSE(report.value().jobs[0].finished);
}

TEST_F(LedgerAppendAssignment, NamesTheJobByLedgerTenantAndSequence) {
  auto ledger = open();
  ASSERT_TRUE(ledger.ok());
  ASSERT_TRUE(ledger.value().append_assignment(sample_assignment()).ok());
  const auto job = ledger.value().append_assignment(sample_assignment());
  ASSERT_TRUE(job.ok());
  EXPECT_EQ(job.value().job_id, job_id({.chain_id = 0,
                                        .contract = ledger.value().ledger_id(),
                                        .client = keccak256("local"),
                                        .client_nonce = 2}));
}

TEST_F(LedgerAppendAssignment, RefusesWhatNoLedgerTakesAndNamesTheField) {
  auto ledger = open();
  ASSERT_TRUE(ledger.ok());
  const std::string before = bytes();
  const auto refused = [&](const char* field, auto change) {
    Assignment assignment = sample_assignment();
    change(assignment);
    const auto job = ledger.value().append_assignment(assignment);
    ASSERT_FALSE(job.ok()) << field;
    EXPECT_EQ(job.error().code, ErrorCode::kInvalidArgument) << job.error().message;
    EXPECT_THAT(job.error().message, HasSubstr(field));
  };
  refused("prompt_ids", [](Assignment& a) { a.prompt_ids.clear(); });
  refused("tenant", [](Assignment& a) { a.tenant.clear(); });
  refused("ranks", [](Assignment& a) { a.ranks.clear(); });
  refused("rank 1 starts at part 6, not 5", [](Assignment& a) { a.ranks[1].first_part = 6; });
  refused("rank 0 has no part", [](Assignment& a) { a.ranks[0].num_parts = 0; });
  refused("max_completion_tokens", [](Assignment& a) { a.sampling.max_completion_tokens = 0; });
  refused("logit_bias", [](Assignment& a) { a.sampling.logit_bias[0].first = 9; });
  refused("stop", [](Assignment& a) { a.sampling.stop.emplace_back(); });
  refused("UTF-8", [](Assignment& a) { a.sampling.stop[0] = "\xFF"; });
  EXPECT_EQ(bytes(), before);
}

TEST_F(LedgerAppendAssignment, RefusesARecordThatIsTooLong) {
  auto ledger = open();
  ASSERT_TRUE(ledger.ok());
  Assignment assignment = sample_assignment();
  assignment.sampling.stop = {std::string(17 << 20, 'a')};
  const auto job = ledger.value().append_assignment(assignment);
  ASSERT_FALSE(job.ok());
  EXPECT_EQ(job.error().code, ErrorCode::kExhausted);
}

TEST_F(LedgerAppendResult, GivesTheHashesOfTheIdentifiers) {
  auto ledger = open();
  ASSERT_TRUE(ledger.ok());
  const auto job = ledger.value().append_assignment(sample_assignment());
  ASSERT_TRUE(job.ok());
  const JobResult result = sample_result(1);
  const auto hashes = ledger.value().append_result(result);
  ASSERT_TRUE(hashes.ok()) << hashes.error().message;
  const std::vector<TraceStep> steps = {{2, 6, result.token_digests[0], 100},
                                        {3, 100, result.token_digests[1], 101},
                                        {4, 101, result.token_digests[2], 102}};
  EXPECT_EQ(hashes.value().trace_root, trace_root(steps));
  EXPECT_EQ(hashes.value().output_hash, output_hash(result.completion_ids, FinishReason::kLength));
  EXPECT_EQ(hashes.value().result_hash,
            result_hash(job.value().job_id, 1, job.value().spec_hash, hashes.value().output_hash,
                        hashes.value().trace_root));
}

TEST_F(LedgerAppendResult, TakesAnAnswerOfNoTokensAndATraceOfTokens) {
  auto ledger = open();
  ASSERT_TRUE(ledger.ok());
  Assignment assignment = sample_assignment();
  assignment.sampling.trace = TraceKind::kTokens;
  ASSERT_TRUE(ledger.value().append_assignment(assignment).ok());
  ASSERT_TRUE(ledger.value().append_assignment(assignment).ok());
  EXPECT_TRUE(ledger.value()
                  .append_result({.assignment = 1,
                                  .completion_ids = {},
                                  .finish_reason = FinishReason::kStop,
                                  .token_digests = {}})
                  .ok());
  const auto hashes = ledger.value().append_result({.assignment = 2,
                                                    .completion_ids = {9},
                                                    .finish_reason = FinishReason::kStop,
                                                    .token_digests = {}});
  ASSERT_TRUE(hashes.ok()) << hashes.error().message;
  const std::vector<TraceStep> steps = {{2, 6, Digest{}, 9}};
  EXPECT_EQ(hashes.value().trace_root, trace_root(steps));
  EXPECT_TRUE(verify_ledger(directory_).ok());
}

TEST_F(LedgerAppendResult, RefusesAResultOfNothing) {
  auto ledger = open();
  ASSERT_TRUE(ledger.ok());
  ASSERT_TRUE(ledger.value().append_assignment(sample_assignment()).ok());
  const std::string before = bytes();
  for (const std::uint64_t sequence : {0U, 2U}) {
    const auto none = ledger.value().append_result(sample_result(sequence));
    ASSERT_FALSE(none.ok());
    EXPECT_EQ(none.error().code, ErrorCode::kInvalidArgument);
  }
  JobResult too_long = sample_result(1);
  too_long.completion_ids.resize(9);
  too_long.token_digests.resize(9);
  EXPECT_THAT(ledger.value().append_result(too_long).error().message, HasSubstr("completion_ids"));
  JobResult untraced = sample_result(1);
  untraced.token_digests.pop_back();
  EXPECT_THAT(ledger.value().append_result(untraced).error().message, HasSubstr("token_digests"));
  EXPECT_EQ(bytes(), before);
  ASSERT_TRUE(ledger.value().append_result(sample_result(1)).ok());
  EXPECT_FALSE(ledger.value().append_result(sample_result(1)).ok());  // A second one.
}

TEST_F(LedgerAppendResult, TakesResultsInAnyOrderAndAfterARestart) {
  {
    auto ledger = open();
    ASSERT_TRUE(ledger.ok());
    for (std::uint32_t i = 0; i < 3; ++i) {
      ASSERT_TRUE(ledger.value().append_assignment(sample_assignment(i)).ok());
    }
    ASSERT_TRUE(ledger.value().append_result(sample_result(3)).ok());
  }
  auto ledger = open();
  ASSERT_TRUE(ledger.ok());
  ASSERT_TRUE(ledger.value().append_result(sample_result(1)).ok());
  ASSERT_TRUE(ledger.value().close().ok());
  const auto report = verify_ledger(directory_);
  ASSERT_TRUE(report.ok()) << report.error().message;
  ASSERT_EQ(report.value().rollups.size(), 1U);
  EXPECT_EQ(report.value().rollups[0].jobs, (std::vector<std::uint64_t>{2, 0}));
  EXPECT_FALSE(report.value().jobs[1].finished);
}

TEST_F(LedgerAppendResult, ClosesARollupAtItsSize) {
  record_jobs(7, 3);
  const auto report = verify_ledger(directory_);
  ASSERT_TRUE(report.ok()) << report.error().message;
  ASSERT_EQ(report.value().rollups.size(), 3U);
  EXPECT_EQ(report.value().rollups[0].header.count, 3U);
  EXPECT_EQ(report.value().rollups[1].header.count, 3U);
  EXPECT_EQ(report.value().rollups[2].header.count, 1U);
  EXPECT_EQ(report.value().rollups[2].header.sequence, 2U);
  EXPECT_EQ(report.value().rollups[2].header.previous, report.value().rollups[1].header_hash);
  EXPECT_TRUE(report.value().rollups[0].header.previous.is_zero());
}

// A limit on the file's size stands for a full disk: the write stops in the middle of the record.
TEST_F(LedgerAppendResult, LeavesTheLedgerAsItWasWhenTheDiskIsFull) {
  auto ledger = open({.rollup_size = 1, .lock_timeout_ms = 0});
  ASSERT_TRUE(ledger.ok());
  ASSERT_TRUE(ledger.value().append_assignment(sample_assignment()).ok());
  const std::string before = bytes();
  struct rlimit limit {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &limit), 0);
  const auto ignored = std::signal(SIGXFSZ, SIG_IGN);
  const struct rlimit small = {before.size() + 100, limit.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const auto full = ledger.value().append_result(sample_result(1));
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  std::signal(SIGXFSZ, ignored);
  ASSERT_FALSE(full.ok());
  EXPECT_EQ(full.error().code, ErrorCode::kExhausted) << full.error().message;
  EXPECT_EQ(bytes(), before);
  EXPECT_TRUE(ledger.value().append_result(sample_result(1)).ok());  // And goes on.
  const auto report = verify_ledger(directory_);
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report.value().rollups.size(), 1U);
}

TEST_F(LedgerClose, WritesNoEmptyRollupAndTakesNothingMore) {
  auto ledger = open();
  ASSERT_TRUE(ledger.ok());
  const std::string before = bytes();
  ASSERT_TRUE(ledger.value().close().ok());
  EXPECT_TRUE(ledger.value().close().ok());
  EXPECT_EQ(bytes(), before);
  EXPECT_FALSE(ledger.value().append_assignment(sample_assignment()).ok());
}

TEST_F(LedgerClose, IsNotWhatTheDestructorDoes) {
  {
    auto ledger = open();
    ASSERT_TRUE(ledger.ok());
    ASSERT_TRUE(ledger.value().append_assignment(sample_assignment()).ok());
    ASSERT_TRUE(ledger.value().append_result(sample_result(1)).ok());
  }
  const auto report = verify_ledger(directory_);
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report.value().rollups.size(), 0U);
  EXPECT_EQ(report.value().pending.size(), 1U);
}

}  // namespace
}  // namespace lockstep
