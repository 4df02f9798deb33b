#include "chainbridge/rerun.h"

#include <gmock/gmock.h>

#include "tests/chainbridge/ledger_fixture.h"
#include "tests/chainbridge/ledger_rewriter.h"

namespace lockstep {
namespace {

using ::testing::HasSubstr;

// An engine that gives the answer of record_jobs() again: a function of the prompt alone.
Result<RerunOutcome> honest_engine(const RecordedJob& job) {
  const JobResult result = sample_result(0, 100 + job.assignment.prompt_ids[0]);
  return RerunOutcome{.completion_ids = result.completion_ids,
                      .finish_reason = result.finish_reason,
                      .token_digests = result.token_digests};
}

class RerunJobs : public LedgerFixture {
 protected:
  // Edits the result of job 1 (record 4), and computes everything that follows from it anew.
  void forge(const std::function<void(JobResult&)>& edit) {
    const Status forged = LedgerRewriter::rewrite(
        ledger_file(directory_), [&](std::uint64_t sequence, LedgerRecord& record) {
          if (sequence == 4) edit(std::get<ResultRecord>(record).result);
        });
    ASSERT_TRUE(forged.ok()) << forged.error().message;
  }

  std::vector<RerunVerdict> rerun_all(const RerunFunction& engine = honest_engine) {
    const auto report = verify_ledger(directory_);
    EXPECT_TRUE(report.ok()) << report.error().message;  // A forgery passes.
    if (!report.ok()) return {};
    const auto all = select_jobs(report.value(), UINT64_MAX);
    return rerun_jobs(report.value(), all, model_of(7), engine);
  }

  // Expects jobs 0 and 2 to be confirmed and job 1 to be refused with `text`.
  void expect_forgery_found(const std::string& text) {
    const std::vector<RerunVerdict> verdicts = rerun_all();
    ASSERT_EQ(verdicts.size(), 3U);
    EXPECT_TRUE(verdicts[0].status.ok()) << verdicts[0].status.error().message;
    EXPECT_TRUE(verdicts[2].status.ok()) << verdicts[2].status.error().message;
    ASSERT_FALSE(verdicts[1].status.ok());
    EXPECT_EQ(verdicts[1].status.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(verdicts[1].status.error().message, HasSubstr("job 3 ("));
    EXPECT_THAT(verdicts[1].status.error().message, HasSubstr(text));
  }
};

TEST_F(RerunJobs, ConfirmsWhatWasComputed) {
  record_jobs(3, 2);
  const std::vector<RerunVerdict> verdicts = rerun_all();
  ASSERT_EQ(verdicts.size(), 3U);
  for (const RerunVerdict& verdict : verdicts) {
    EXPECT_TRUE(verdict.status.ok()) << verdict.status.error().message;
  }
}

// The ledger's promise: chain, identifiers, roots and proofs all hold, and yet the forgery is
// found, by its token.
TEST_F(RerunJobs, FindsAForgedTokenInAConsistentLedger) {
  for (std::size_t place = 0; place < 3; ++place) {
    directory_ = temporary_ / std::to_string(place);
    record_jobs(3, 2);
    forge([&](JobResult& result) { result.completion_ids[place] = 7; });
    expect_forgery_found("completion token " + std::to_string(place) +
                         " differs: recorded 7, came out " + std::to_string(101 + place));
  }
}

TEST_F(RerunJobs, FindsAForgedDigest) {
  record_jobs(3, 2);
  forge([](JobResult& result) { result.token_digests[2] = Digest{}; });
  expect_forgery_found("logits digest of completion token 2 differs");
}

TEST_F(RerunJobs, FindsAForgedFinishReason) {
  record_jobs(3, 2);
  forge([](JobResult& result) { result.finish_reason = FinishReason::kStop; });
  expect_forgery_found("finish reason differs: recorded stop, came out length");
}

TEST_F(RerunJobs, FindsAnAnswerCutShort) {
  record_jobs(3, 2);
  forge([](JobResult& result) {
    result.completion_ids.pop_back();
    result.token_digests.pop_back();
  });
  expect_forgery_found("completion token 2: the number of tokens differs: recorded 2, came out 3");
}

TEST_F(RerunJobs, RefusesAJobOfAnotherModelWithoutRunningIt) {
  record_jobs(1);
  const auto report = verify_ledger(directory_);
  ASSERT_TRUE(report.ok());
  int runs = 0;
  const RerunFunction counting = [&](const RecordedJob& job) {
    ++runs;
    return honest_engine(job);
  };
  const std::vector<std::uint64_t> all = {0};
  const auto verdicts = rerun_jobs(report.value(), all, model_of(8), counting);
  ASSERT_EQ(verdicts.size(), 1U);
  ASSERT_FALSE(verdicts[0].status.ok());
  EXPECT_EQ(verdicts[0].status.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(verdicts[0].status.error().message, HasSubstr(model_of(7).hex()));
  EXPECT_THAT(verdicts[0].status.error().message, HasSubstr(model_of(8).hex()));
  EXPECT_EQ(runs, 0);
}

TEST_F(RerunJobs, GivesTheEnginePromptAndSamplingAndGoesOnAfterItsError) {
  record_jobs(2);
  std::vector<std::vector<std::uint32_t>> prompts;
  const auto verdicts = rerun_all([&](const RecordedJob& job) -> Result<RerunOutcome> {
    prompts.push_back(job.assignment.prompt_ids);
    EXPECT_EQ(sampling_hash(job.assignment.sampling), sampling_hash(sample_assignment().sampling));
    return Error{ErrorCode::kExhausted, "no memory"};
  });
  EXPECT_EQ(prompts, (std::vector<std::vector<std::uint32_t>>{{0, 5, 6}, {1, 5, 6}}));
  ASSERT_EQ(verdicts.size(), 2U);
  EXPECT_EQ(verdicts[1].status.error().code, ErrorCode::kExhausted);
  EXPECT_THAT(verdicts[1].status.error().message, HasSubstr("no memory"));
}

TEST_F(RerunJobs, FindsAnEngineThatTracesLess) {
  record_jobs(1);
  const auto verdicts = rerun_all([](const RecordedJob& job) -> Result<RerunOutcome> {
    RerunOutcome outcome = std::move(honest_engine(job)).value();
    outcome.token_digests.clear();
    return outcome;
  });
  ASSERT_EQ(verdicts.size(), 1U);
  ASSERT_FALSE(verdicts[0].status.ok());
  EXPECT_THAT(verdicts[0].status.error().message, HasSubstr("token_digests"));
}

}  // namespace
}  // namespace lockstep
