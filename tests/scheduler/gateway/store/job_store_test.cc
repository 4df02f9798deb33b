// SqliteJobStore over a real database.
#include <gmock/gmock.h>

#include <filesystem>

#include "tests/scheduler/gateway/store/store_support.h"

namespace lockstep {
namespace {

using testing::HasSubstr;

class JobStoreCommit : public StateStoreTest {
 protected:
  void SetUp() override { open(); }
};
class JobStoreLoad : public JobStoreCommit {};
class JobStoreFindKey : public JobStoreCommit {};
class JobStoreList : public JobStoreCommit {};
class JobStoreLoadWaiting : public JobStoreCommit {};

SamplingParams every_sampling_field() {
  SamplingParams s;
  s.temperature = 0.8F;
  s.top_k = 40;
  s.top_p = 0.95F;
  s.min_p = 0.05F;
  s.repetition_penalty = 1.1F;
  s.frequency_penalty = -0.5F;
  s.presence_penalty = 0.25F;
  s.seed = UINT64_MAX - 1;
  s.max_completion_tokens = 77;
  s.stop = {"\n\n", "END", std::string("nul\0inside", 10)};
  s.logit_bias = {{5, -100.0F}, {49151, 0.5F}};
  s.ignore_eos = true;
  s.context_limit = 4096;
  s.choice_index = 3;
  s.trace = TraceKind::kTokens;
  return s;
}

JobRecord every_job_field() {
  JobRecord job = test_job(7);
  job.kind = JobKind::kJob;
  job.priority = PriorityClass::kBatch;
  job.sampling = every_sampling_field();
  job.num_choices = 2;
  job.num_top_logprobs = 5;
  job.model_id.bytes.fill(9);
  job.numerics_version = 4;
  job.expires_ms = 2'000'000;
  job.keep_without_client = true;
  job.idempotency_key = "key";
  job.body_digest = sha256(as_bytes("body"));
  job.batch = test_id(1);
  job.custom_id = "line \"1\"";
  return job;
}

void expect_equal(const JobRecord& a, const JobRecord& b) {
  EXPECT_EQ(a.id, b.id);
  EXPECT_EQ(a.kind, b.kind);
  EXPECT_EQ(a.tenant, b.tenant);
  EXPECT_EQ(a.priority, b.priority);
  EXPECT_EQ(a.route, b.route);
  EXPECT_EQ(a.request_json, b.request_json);
  EXPECT_EQ(a.prompt, b.prompt);
  EXPECT_EQ(a.num_choices, b.num_choices);
  EXPECT_EQ(a.num_top_logprobs, b.num_top_logprobs);
  EXPECT_EQ(a.model_id, b.model_id);
  EXPECT_EQ(a.numerics_version, b.numerics_version);
  EXPECT_EQ(a.created_ms, b.created_ms);
  EXPECT_EQ(a.expires_ms, b.expires_ms);
  EXPECT_EQ(a.keep_without_client, b.keep_without_client);
  EXPECT_EQ(a.idempotency_key, b.idempotency_key);
  EXPECT_EQ(a.body_digest, b.body_digest);
  EXPECT_EQ(a.batch, b.batch);
  EXPECT_EQ(a.custom_id, b.custom_id);
}

void expect_equal(const SamplingParams& a, const SamplingParams& b) {
  EXPECT_EQ(a.temperature, b.temperature);
  EXPECT_EQ(a.top_k, b.top_k);
  EXPECT_EQ(a.top_p, b.top_p);
  EXPECT_EQ(a.min_p, b.min_p);
  EXPECT_EQ(a.repetition_penalty, b.repetition_penalty);
  EXPECT_EQ(a.frequency_penalty, b.frequency_penalty);
  EXPECT_EQ(a.presence_penalty, b.presence_penalty);
  EXPECT_EQ(a.seed, b.seed);
  EXPECT_EQ(a.max_completion_tokens, b.max_completion_tokens);
  EXPECT_EQ(a.stop, b.stop);
  EXPECT_EQ(a.logit_bias, b.logit_bias);
  EXPECT_EQ(a.ignore_eos, b.ignore_eos);
  EXPECT_EQ(a.context_limit, b.context_limit);
  EXPECT_EQ(a.choice_index, b.choice_index);
  EXPECT_EQ(a.trace, b.trace);
}

TEST_F(JobStoreLoad, GivesEveryFieldBackAfterARestart) {
  const JobRecord job = every_job_field();
  ASSERT_TRUE(commit(*store_, {InsertJob{job}}).ok());

  open();
  const Result<StoredJob> stored = load(*store_, job.id);

  ASSERT_TRUE(stored.ok()) << stored.error().message;
  expect_equal(stored.value().record, job);
  expect_equal(stored.value().record.sampling, job.sampling);
  EXPECT_EQ(stored.value().state, JobState::kAccepted);
  ASSERT_EQ(stored.value().choices.size(), 2U);
  EXPECT_TRUE(stored.value().choices[0].tokens.empty());
  EXPECT_FALSE(stored.value().choices[0].end.has_value());
}

TEST_F(JobStoreLoad, GivesTokensWithDigestsAndLogprobsInOrder) {
  JobRecord job = test_job(1);
  job.num_choices = 2;
  CompletionToken with_logprobs = test_token(50);
  with_logprobs.logprob = -0.25F;
  with_logprobs.top = {{50, -0.25F}, {51, -1.5F}};
  ASSERT_TRUE(commit(*store_, {InsertJob{job}}).ok());
  ASSERT_TRUE(commit(*store_, {AppendTokens{{job.id, 0}, 0, test_tokens(0, 64)},
                               AppendTokens{{job.id, 1}, 0, {with_logprobs}}})
                  .ok());
  ASSERT_TRUE(commit(*store_, {AppendTokens{{job.id, 0}, 64, test_tokens(64, 3)}}).ok());

  open();
  const Result<StoredJob> stored = load(*store_, job.id);

  ASSERT_TRUE(stored.ok()) << stored.error().message;
  EXPECT_EQ(stored.value().choices[0].tokens, test_tokens(0, 67));
  EXPECT_EQ(stored.value().choices[1].tokens, std::vector<CompletionToken>{with_logprobs});
}

TEST_F(JobStoreCommit, LeavesTokensThatAreThereAsTheyAre) {
  const JobRecord job = test_job(1);
  ASSERT_TRUE(
      commit(*store_, {InsertJob{job}, AppendTokens{{job.id, 0}, 0, test_tokens(0, 10)}}).ok());

  // Two overlap by 4 tokens, of another value; two are new.
  std::vector<CompletionToken> piece = test_tokens(90, 4);
  for (const CompletionToken& token : test_tokens(10, 2)) piece.push_back(token);
  ASSERT_TRUE(commit(*store_, {AppendTokens{{job.id, 0}, 6, piece}}).ok());
  ASSERT_TRUE(commit(*store_, {AppendTokens{{job.id, 0}, 3, test_tokens(70, 5)}}).ok());

  EXPECT_EQ(load(*store_, job.id).value().choices[0].tokens, test_tokens(0, 12));
}

TEST_F(JobStoreCommit, RefusesTokensThatLeaveAGap) {
  const JobRecord job = test_job(1);
  ASSERT_TRUE(commit(*store_, {InsertJob{job}}).ok());
  const Status status = commit(*store_, {AppendTokens{{job.id, 0}, 1, test_tokens(1, 1)}});
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kInvalidArgument);
}

TEST_F(JobStoreCommit, KeepsTheFirstEndOfAChoiceAndOfAJob) {
  const JobRecord job = test_job(1);
  ChoiceEnd failed;
  failed.status = Error{ErrorCode::kExhausted, "too long"};
  failed.num_tokens = 2;
  failed.cached_tokens = 16;
  failed.computed_tokens = 5;
  failed.steps = 3;
  ASSERT_TRUE(commit(*store_, {InsertJob{job}, EndChoice{{job.id, 0}, failed}}).ok());
  ASSERT_TRUE(commit(*store_, {EndChoice{{job.id, 0}, ChoiceEnd{}}}).ok());
  ASSERT_TRUE(commit(*store_, {EndJob{job.id, {JobState::kFailed, 1'500'000, "too long"}}}).ok());
  ASSERT_TRUE(commit(*store_, {EndJob{job.id, {JobState::kDone, 1'600'000, ""}},
                               AppendTokens{{job.id, 0}, 0, test_tokens(0, 1)}})
                  .ok());

  open();
  const StoredJob stored = load(*store_, job.id).value();
  EXPECT_EQ(stored.state, JobState::kFailed);
  EXPECT_EQ(stored.outcome.ended_ms, 1'500'000);
  EXPECT_EQ(stored.outcome.error, "too long");
  EXPECT_TRUE(stored.choices[0].tokens.empty());
  const ChoiceEnd& end = stored.choices[0].end.value();
  ASSERT_FALSE(end.status.ok());
  EXPECT_EQ(end.status.error().code, ErrorCode::kExhausted);
  EXPECT_EQ(end.status.error().message, "too long");
  EXPECT_EQ(end.num_tokens, 2U);
  EXPECT_EQ(end.cached_tokens, 16U);
  EXPECT_EQ(end.computed_tokens, 5U);
  EXPECT_EQ(end.steps, 3U);
}

TEST_F(JobStoreCommit, UndoesAllOfACommitWhoseKeyIsTaken) {
  JobRecord first = test_job(1);
  first.idempotency_key = "k";
  JobRecord second = test_job(2);
  second.idempotency_key = "k";
  ASSERT_TRUE(commit(*store_, {InsertJob{first}}).ok());

  const Status status = commit(*store_, {InsertJob{test_job(3)}, InsertJob{second}});

  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kAborted);
  EXPECT_EQ(load(*store_, test_id(2)).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(load(*store_, test_id(3)).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(load_waiting(*store_).size(), 1U);
}

TEST_F(JobStoreCommit, UndoesOneCommitOfAGroupAlone) {
  JobRecord holder = test_job(0);
  holder.idempotency_key = "k";
  ASSERT_TRUE(commit(*store_, {InsertJob{holder}}).ok());
  std::vector<std::future<Status>> results;
  for (std::uint32_t i = 1; i <= 9; ++i) {
    JobRecord job = test_job(i);
    if (i % 3 == 0) job.idempotency_key = "k";
    auto promise = std::make_shared<std::promise<Status>>();
    results.push_back(promise->get_future());
    store_->jobs().commit({InsertJob{job}},
                          [promise](Status status) { promise->set_value(std::move(status)); });
  }
  for (std::uint32_t i = 1; i <= 9; ++i) {
    const bool ok = results[i - 1].get().ok();
    EXPECT_EQ(ok, i % 3 != 0) << i;
    EXPECT_EQ(load(*store_, test_id(i)).ok(), ok) << i;
  }
}

TEST_F(JobStoreCommit, CallsBackInTheOrderOfTheCommits) {
  std::vector<std::uint32_t> order;
  std::promise<void> all;
  for (std::uint32_t i = 0; i < 600; ++i) {
    store_->jobs().commit({InsertJob{test_job(i)}}, [&, i](const Status& status) {
      EXPECT_TRUE(status.ok());
      order.push_back(i);
      if (order.size() == 600) all.set_value();
    });
  }
  all.get_future().wait();
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  EXPECT_LT(store_->report().groups, 600U);
  EXPECT_EQ(store_->report().rows, 600U);
}

TEST_F(JobStoreCommit, RefusesNewWorkBeyondItsBoundAtOnce) {
  // The store's thread waits in the first callback, so that nothing leaves the queue.
  std::promise<void> go;
  std::shared_future<void> gone = go.get_future().share();
  std::promise<void> arrived;
  store_->jobs().commit({InsertJob{test_job(0)}}, [&arrived, gone](const Status&) {
    arrived.set_value();
    gone.wait();
  });
  arrived.get_future().wait();
  std::atomic<std::size_t> num_ok = 0;
  std::size_t num_refused = 0;
  const auto caller = std::this_thread::get_id();
  for (std::uint32_t i = 1; i <= StoreThread::kMaxNewWork + 2; ++i) {
    store_->jobs().commit({InsertJob{test_job(i)}}, [&](const Status& status) {
      if (status.ok()) {
        ++num_ok;
      } else {
        EXPECT_EQ(status.error().code, ErrorCode::kExhausted);
        EXPECT_EQ(std::this_thread::get_id(), caller);
        ++num_refused;
      }
    });
  }
  EXPECT_EQ(num_refused, 2U);
  // What ends accepted work is still taken.
  std::promise<Status> ended;
  store_->jobs().commit({EndJob{test_id(0), {JobState::kDone, 1, ""}}},
                        [&](Status status) { ended.set_value(std::move(status)); });
  go.set_value();
  EXPECT_TRUE(ended.get_future().get().ok());
  EXPECT_EQ(num_ok, StoreThread::kMaxNewWork);
}

TEST_F(JobStoreLoad, ShowsAJobToItsTenantAlone) {
  ASSERT_TRUE(commit(*store_, {InsertJob{test_job(1)}}).ok());
  EXPECT_TRUE(load(*store_, test_id(1), "alice").ok());
  EXPECT_EQ(load(*store_, test_id(1), "bob").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(load(*store_, test_id(2), "alice").error().code, ErrorCode::kNotFound);
}

TEST_F(JobStoreFindKey, NamesTheHolderWithinTenantAndRoute) {
  JobRecord job = test_job(1);
  job.idempotency_key = "k";
  job.body_digest = sha256(as_bytes("body"));
  JobRecord of_another = test_job(2);
  of_another.tenant = "bob";
  of_another.idempotency_key = "k";
  ASSERT_TRUE(commit(*store_, {InsertJob{job}}).ok());
  ASSERT_TRUE(commit(*store_, {InsertJob{of_another}}).ok());
  const auto find = [&](const char* tenant, const char* route) {
    return wait_for<Result<JobStore::KeyHolder>>(
        [&](auto done) { store_->jobs().find_key(tenant, route, "k", std::move(done)); });
  };
  ASSERT_TRUE(find("alice", "/v1/completions").ok());
  EXPECT_EQ(find("alice", "/v1/completions").value().id, job.id);
  EXPECT_EQ(find("alice", "/v1/completions").value().body_digest, job.body_digest);
  EXPECT_EQ(find("bob", "/v1/completions").value().id, of_another.id);
  EXPECT_EQ(find("alice", "/v1/jobs").error().code, ErrorCode::kNotFound);
}

TEST_F(JobStoreFindKey, GivesAKeyAnewAfterADay) {
  JobRecord job = test_job(1);
  job.idempotency_key = "k";
  JobRecord early = test_job(2);
  early.idempotency_key = "k";
  early.created_ms = job.created_ms + 86'400'000 - 1;
  JobRecord late = test_job(3);
  late.idempotency_key = "k";
  late.created_ms = job.created_ms + 86'400'000;
  ASSERT_TRUE(commit(*store_, {InsertJob{job}}).ok());
  EXPECT_FALSE(commit(*store_, {InsertJob{early}}).ok());
  EXPECT_TRUE(commit(*store_, {InsertJob{late}}).ok());
}

TEST_F(JobStoreList, GivesATenantsJobsLatestFirst) {
  for (std::uint32_t i = 1; i <= 5; ++i) {
    JobRecord job = test_job(i);
    job.kind = i == 4 ? JobKind::kRequest : JobKind::kJob;
    if (i == 2) job.tenant = "bob";
    ASSERT_TRUE(commit(*store_, {InsertJob{job}}).ok());
  }
  ASSERT_TRUE(commit(*store_, {EndJob{test_id(3), {JobState::kDone, 1'500'000, ""}}}).ok());
  const auto list = [&](RequestId before, std::uint32_t limit) {
    return wait_for<Result<std::vector<JobSummary>>>(
               [&](auto done) { store_->jobs().list("alice", before, limit, std::move(done)); })
        .value();
  };
  const std::vector<JobSummary> jobs = list({}, 2);
  ASSERT_EQ(jobs.size(), 2U);
  EXPECT_EQ(jobs[0].id, test_id(5));
  EXPECT_EQ(jobs[0].state, JobState::kAccepted);
  EXPECT_EQ(jobs[1].id, test_id(3));
  EXPECT_EQ(jobs[1].state, JobState::kDone);
  EXPECT_EQ(jobs[1].ended_ms, 1'500'000);
  const std::vector<JobSummary> rest = list(test_id(3), 2);
  ASSERT_EQ(rest.size(), 1U);
  EXPECT_EQ(rest[0].id, test_id(1));
}

TEST_F(JobStoreLoadWaiting, GivesWhatIsNotTerminalOldestFirst) {
  for (std::uint32_t i = 1; i <= 4; ++i) {
    JobRecord job = test_job(i);
    job.priority = PriorityClass::kInteractive;
    job.keep_without_client = i == 3;
    job.expires_ms = i;
    job.num_choices = i;
    ASSERT_TRUE(commit(*store_, {InsertJob{job}}).ok());
  }
  ASSERT_TRUE(commit(*store_, {EndJob{test_id(2), {JobState::kCancelled, 1, ""}}}).ok());

  open();
  const std::vector<WaitingJob> jobs = load_waiting(*store_);

  ASSERT_EQ(jobs.size(), 3U);
  EXPECT_EQ(jobs[0].id, test_id(1));
  EXPECT_EQ(jobs[1].id, test_id(3));
  EXPECT_EQ(jobs[2].id, test_id(4));
  EXPECT_EQ(jobs[1].tenant, "alice");
  EXPECT_EQ(jobs[1].priority, PriorityClass::kInteractive);
  EXPECT_TRUE(jobs[1].keep_without_client);
  EXPECT_FALSE(jobs[0].keep_without_client);
  EXPECT_EQ(jobs[1].expires_ms, 3);
  EXPECT_EQ(jobs[1].num_choices, 3U);
}

TEST_F(StateStoreTest, RefusesASecondGatewayAndNamesTheFirst) {
  open();
  const Result<std::unique_ptr<StateStore>> second = StateStore::open(options());
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(second.error().message, HasSubstr("process " + std::to_string(::getpid())));
}

TEST_F(StateStoreTest, KeepsItsFilesForItsOwnerAlone) {
  open();
  ASSERT_TRUE(commit(*store_, {InsertJob{test_job(1)}}).ok());
  for (const char* name : {"/gateway.sqlite", "/gateway.sqlite-wal", "/lock", "/reserve"}) {
    const auto status = std::filesystem::status(options().directory + name);
    EXPECT_EQ(status.permissions(),
              std::filesystem::perms::owner_read | std::filesystem::perms::owner_write)
        << name;
  }
}

TEST_F(StateStoreTest, RaisesTheEpochWithEveryOpening) {
  open();
  EXPECT_EQ(store_->epoch(), 1U);
  open();
  EXPECT_EQ(store_->epoch(), 2U);
}

}  // namespace
}  // namespace lockstep
