// A gateway behind the HTTP interface without store or replicas: jobs in memory, tokens from
// fake_model.h, one for each choice whenever advance() is called. Thread-safe.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "scheduler/gateway/api/answer_text.h"
#include "scheduler/gateway/api_backend.h"
#include "scheduler/gateway/key_checker.h"
#include "tests/support/fake_model.h"

namespace lockstep {

class FakeFeed final : public JobFeed {
 public:
  FakeFeed(JobRecord record, std::shared_ptr<const ModelText> model)
      : record_(std::move(record)), model_(std::move(model)) {
    for (std::uint32_t i = 0; i < record_.num_choices; ++i) {
      texts_.emplace_back(model_->tokenizer(), record_.sampling.stop);
    }
    choices_.resize(record_.num_choices);
  }

  const JobRecord& record() const override { return record_; }
  Piece read(std::uint32_t choice, std::uint32_t first, std::uint32_t max_tokens) const override {
    const std::lock_guard lock(mutex_);
    const ChoiceRecord& from = choices_[choice];
    Piece piece;
    for (std::size_t i = first; i < from.tokens.size() && piece.tokens.size() < max_tokens; ++i) {
      piece.tokens.push_back(from.tokens[i]);
    }
    if (first + piece.tokens.size() >= from.tokens.size()) piece.end = from.end;
    return piece;
  }
  std::optional<JobOutcome> outcome() const override {
    const std::lock_guard lock(mutex_);
    return outcome_;
  }
  std::uint64_t version() const override {
    const std::lock_guard lock(mutex_);
    return version_;
  }
  void wait(std::uint64_t seen, std::function<void()> wake) override {
    {
      const std::lock_guard lock(mutex_);
      if (version_ == seen) return waiters_.push_back(std::move(wake));
    }
    wake();
  }

  // A token more for every choice; false when the job has ended.
  bool advance() {
    std::vector<std::function<void()>> wakes;
    {
      const std::lock_guard lock(mutex_);
      if (outcome_) return false;
      bool all_ended = true;
      for (std::uint32_t i = 0; i < choices_.size(); ++i) {
        grow(i);
        all_ended = all_ended && choices_[i].end.has_value();
      }
      if (all_ended) outcome_ = JobOutcome{JobState::kDone, record_.created_ms + 1000, ""};
      ++version_;
      wakes.swap(waiters_);
    }
    for (const auto& wake : wakes) wake();
    return true;
  }

  void end(JobState state, const std::string& error) {
    std::vector<std::function<void()>> wakes;
    {
      const std::lock_guard lock(mutex_);
      if (outcome_) return;
      outcome_ = JobOutcome{state, record_.created_ms + 1000, error};
      ++version_;
      wakes.swap(waiters_);
    }
    for (const auto& wake : wakes) wake();
  }

  int watchers = 0;           // Of the backend.
  int ticks_without_one = 0;  // Of the backend.

 private:
  void grow(std::uint32_t index) {
    ChoiceRecord& choice = choices_[index];
    if (choice.end) return;
    const auto position = static_cast<std::uint32_t>(choice.tokens.size());
    choice.tokens.push_back(fake_token(record_, index, position));
    const TokenId id = choice.tokens.back().token;
    texts_[index].push(id);
    ChoiceEnd end;
    end.num_tokens = position + 1;
    const bool stops = texts_[index].stopped();
    if (stops || (model_->tokenizer().is_end(id) && !record_.sampling.ignore_eos)) {
      end.reason = FinishReason::kStop;
      choice.end = end;
    } else if (end.num_tokens == record_.sampling.max_completion_tokens) {
      end.reason = FinishReason::kLength;
      choice.end = end;
    }
  }

  const JobRecord record_;
  const std::shared_ptr<const ModelText> model_;
  mutable std::mutex mutex_;
  std::vector<AnswerText> texts_;
  std::vector<ChoiceRecord> choices_;
  std::optional<JobOutcome> outcome_;
  std::uint64_t version_ = 0;
  std::vector<std::function<void()>> waiters_;
};

class FakeBackend final : public ApiBackend {
 public:
  explicit FakeBackend(std::shared_ptr<const ModelText> model) : model_(std::move(model)) {}

  void submit(JobRecord job, std::function<void(Result<Accepted>)> done) override {
    Result<Accepted> accepted = accept(std::move(job));
    done(std::move(accepted));
  }
  void find(std::string tenant, RequestId id,
            std::function<void(Result<std::shared_ptr<JobFeed>>)> done) override {
    const std::shared_ptr<FakeFeed> feed = find_feed(tenant, id);
    if (feed) return done(std::shared_ptr<JobFeed>(feed));
    done(Error{ErrorCode::kNotFound, "there is no request " + id.text()});
  }
  void list(std::string tenant, RequestId after, std::uint32_t limit,
            std::function<void(Result<std::vector<JobSummary>>)> done) override {
    std::vector<JobSummary> jobs;
    const std::vector<std::shared_ptr<FakeFeed>> feeds = all();
    for (auto feed = feeds.rbegin(); feed != feeds.rend() && jobs.size() < limit; ++feed) {
      const JobRecord& record = (*feed)->record();
      if (record.tenant != tenant || record.kind != JobKind::kJob) continue;
      if (!after.is_zero() && !(record.id < after)) continue;
      const auto outcome = (*feed)->outcome().value_or(JobOutcome{JobState::kAccepted, 0, ""});
      jobs.push_back({record.id, record.route, outcome.state, record.created_ms, outcome.ended_ms});
    }
    done(std::move(jobs));
  }
  void cancel(std::string tenant, RequestId id, std::function<void(Status)> done) override {
    const std::shared_ptr<FakeFeed> feed = find_feed(tenant, id);
    if (!feed) return done(Error{ErrorCode::kNotFound, "there is no request " + id.text()});
    feed->end(JobState::kCancelled, "");
    done({});
  }
  void watch(RequestId id, int change) override {
    const std::lock_guard lock(mutex_);
    const auto found = feeds_.find(id);
    if (found != feeds_.end()) found->second->watchers += change;
  }
  std::shared_ptr<const GatewayReport> report() const override {
    const std::lock_guard lock(mutex_);
    auto report = std::make_shared<GatewayReport>();
    report->model_name = model_->identity().name;
    report->model_id = model_->identity().model_id;
    report->context_tokens = model_->identity().context_tokens;
    report->ready = ready;
    report->accepted_total = feeds_.size();
    ReplicaReport replica;
    replica.name = "replica-0";
    replica.state = ready ? "ready" : "starting";
    replica.ranks = 2;
    replica.num_blocks = 100;
    replica.beat.blocks_free = 75;
    for (const auto& [id, feed] : feeds_) {
      const auto outcome = feed->outcome();
      report->running += outcome ? 0 : 1;
      report->done_total += outcome && outcome->state == JobState::kDone ? 1 : 0;
      report->cancelled_total += outcome && outcome->state == JobState::kCancelled ? 1 : 0;
      report->prompt_tokens_total += feed->record().prompt.size();
      for (std::uint32_t i = 0; i < feed->record().num_choices; ++i) {
        report->completion_tokens_total += feed->read(i, 0, UINT32_MAX).tokens.size();
      }
    }
    report->replicas.push_back(replica);
    return report;
  }

  // A step for every job. One without a watcher for more than `patience` steps is cancelled unless
  // it is kept.
  void advance(int patience = 1000) {
    for (const std::shared_ptr<FakeFeed>& feed : all()) {
      bool has_left = false;
      {
        const std::lock_guard lock(mutex_);
        feed->ticks_without_one = feed->watchers > 0 ? 0 : feed->ticks_without_one + 1;
        has_left = feed->ticks_without_one > patience && !feed->record().keep_without_client;
      }
      if (has_left) feed->end(JobState::kCancelled, "");
      if (feed->record().prompt.size() == fail_prompt_tokens) {
        feed->end(JobState::kFailed, "the engine failed");
      }
      feed->advance();
    }
  }

  std::vector<std::shared_ptr<FakeFeed>> all() const {
    const std::lock_guard lock(mutex_);
    std::vector<std::shared_ptr<FakeFeed>> feeds;
    for (const auto& [id, feed] : feeds_) feeds.push_back(feed);
    return feeds;
  }

  bool ready = true;
  bool full = false;
  std::size_t fail_prompt_tokens = 0;  // A prompt of this many tokens fails.

 private:
  Result<Accepted> accept(JobRecord job) {
    const std::lock_guard lock(mutex_);
    if (full) return Error{ErrorCode::kExhausted, "the queue is full"};
    if (!job.idempotency_key.empty()) {
      for (const auto& [id, feed] : feeds_) {
        const JobRecord& other = feed->record();
        if (other.idempotency_key != job.idempotency_key || other.tenant != job.tenant ||
            other.route != job.route) {
          continue;
        }
        if (other.body_digest == job.body_digest) return Accepted{feed, true};
        return Error{ErrorCode::kInvalidArgument, "Idempotency-Key: is held by another body"};
      }
    }
    const RequestId id = job.id;
    auto feed = std::make_shared<FakeFeed>(std::move(job), model_);
    feeds_[id] = feed;
    return Accepted{feed, false};
  }

  std::shared_ptr<FakeFeed> find_feed(const std::string& tenant, const RequestId& id) const {
    const std::lock_guard lock(mutex_);
    const auto found = feeds_.find(id);
    if (found == feeds_.end() || found->second->record().tenant != tenant) return nullptr;
    return found->second;
  }

  std::shared_ptr<const ModelText> model_;
  mutable std::mutex mutex_;
  std::map<RequestId, std::shared_ptr<FakeFeed>> feeds_;
};

// Keys known by their text.
class FakeKeys final : public KeyChecker {
 public:
  void add(const std::string& key, Principal principal) {
    principals_[sha256(as_bytes(key))] = std::move(principal);
  }
  std::optional<Principal> find(std::string_view sent, std::int64_t /*unix_ms*/) const override {
    const auto found = principals_.find(sha256(as_bytes(sent)));
    if (found == principals_.end()) return std::nullopt;
    return found->second;
  }

 private:
  std::map<Digest, Principal> principals_;
};

}  // namespace lockstep
