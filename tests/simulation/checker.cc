#include "tests/simulation/checker.h"

#include <algorithm>
#include <tuple>

#include "tests/simulation/fake_model.h"
#include "tests/simulation/trace.h"

namespace lockstep::simulation {

namespace {

// A pause of the gateway, a tick and a slow disk.
constexpr std::int64_t kSlackMs = 2000;
// What a client needs to be heard again.
constexpr std::int64_t kReconnectMs = 400;

using Rows = std::map<RequestId, StoredJob>;

class Checker {
 public:
  Checker(const Scenario& scenario, const std::vector<Observed>& observed, const Rows& rows)
      : scenario_(scenario), observed_(observed), rows_(rows) {}

  std::vector<std::string> check() {
    for (const auto& [id, row] : rows_) check_row(id, row);
    for (const Observed& one : observed_) check_client(one);
    check_counts();
    if (scenario_.contended) {
      for (std::string& unfair : check_fairness(scenario_, observed_)) {
        wrong_.push_back(std::move(unfair));
      }
    }
    return std::move(wrong_);
  }

 private:
  // Finds the clients of a row: who sent it, and who holds its key.
  template <typename Visit>
  void each_client(const StoredJob& row, Visit visit) const {
    for (const Observed& one : observed_) {
      const JobRecord& asked = one.intent->record;
      const bool same_key = !asked.idempotency_key.empty() &&
                            asked.idempotency_key == row.record.idempotency_key &&
                            asked.tenant == row.record.tenant;
      if (asked.request_json == row.record.request_json || same_key) visit(one);
    }
  }

  void say(const RequestId& id, const std::string& what) {
    wrong_.push_back("job " + short_name(id) + " " + what);
  }

  void check_tokens(const RequestId& id, const JobRecord& record, std::uint32_t choice,
                    const std::vector<CompletionToken>& tokens, const std::optional<ChoiceEnd>& end,
                    bool whole, const std::string& where) {
    const Answer answer = answer_of(record.tenant, record.prompt, record.sampling.seed, choice,
                                    record.sampling.max_completion_tokens);
    const std::string name = where + ", choice " + std::to_string(choice) + ": ";
    if (tokens.size() > answer.tokens.size()) return say(id, name + "too many tokens");
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      if (tokens[i].token != answer.tokens[i]) {
        return say(id, name + "token " + std::to_string(i) + " is wrong");
      }
    }
    if (whole && tokens.size() < answer.tokens.size()) say(id, name + "tokens are missing");
    if (whole && !end) say(id, name + "its end is missing");
    if (!end || !end->status.ok()) return;
    if (end->num_tokens != answer.tokens.size()) say(id, name + "its usage is wrong");
    if (end->reason != answer.reason) say(id, name + "it ended for another reason");
  }

  void check_row(const RequestId& id, const StoredJob& row) {
    if (!is_terminal(row.state)) return say(id, "has not ended");
    const bool done = row.state == JobState::kDone;
    for (std::uint32_t i = 0; i < row.choices.size(); ++i) {
      check_tokens(id, row.record, i, row.choices[i].tokens, row.choices[i].end, done, "on disk");
    }
    bool fits = true;
    bool cancels = false;
    bool leaves = false;
    std::int64_t told_ms = -1;      // That it is cancelled.
    std::int64_t deserted_ms = -1;  // By its client, for good.
    each_client(row, [&](const Observed& one) {
      fits = fits && one.intent->fits;
      cancels = cancels || one.intent->cancel_after_us >= 0;
      if (one.log->cancelled_us >= 0) told_ms = kUnixStartMs + one.log->cancelled_us / 1000;
      leaves = leaves || has_left(*one.log);
      const bool for_good = one.log->left_us >= 0 && one.intent->away_us < 0;
      if (for_good) deserted_ms = kUnixStartMs + one.log->left_us / 1000;
    });
    const bool watched = row.record.kind == JobKind::kRequest && !row.record.keep_without_client;
    switch (row.state) {
      case JobState::kDone:
        if (!fits) say(id, "is done, but cannot be");
        if (row.record.expires_ms > 0 && row.outcome.ended_ms > row.record.expires_ms + kSlackMs) {
          say(id, "was finished behind its deadline");
        }
        if (told_ms >= 0 && row.outcome.ended_ms > told_ms) {
          say(id, "was finished behind its cancellation");
        }
        if (watched && deserted_ms >= 0 && scenario_.faults.empty() &&
            row.outcome.ended_ms > deserted_ms + grace_ms() + kReconnectMs) {
          say(id, "was finished for nobody");
        }
        return;
      case JobState::kFailed:
        if (fits) say(id, "failed: " + row.outcome.error);
        return;
      case JobState::kCancelled:
        if (!cancels && !(watched && leaves)) say(id, "was cancelled by nobody");
        return;
      case JobState::kExpired:
        if (row.record.expires_ms == 0 || row.outcome.ended_ms < row.record.expires_ms) {
          say(id, "expired too early");
        }
        return;
      case JobState::kAccepted:
        return;
    }
  }

  // Long enough that its job may be cancelled.
  bool has_left(const ClientLog& log) const {
    if (log.left_us < 0) return false;
    if (log.gave_up) return true;
    return log.returned_us < 0 ||
           (log.returned_us - log.left_us) / 1000 >= grace_ms() - kReconnectMs;
  }

  std::int64_t grace_ms() const { return scenario_.cluster.dispatcher.client_grace_ms; }

  void check_client(const Observed& one) {
    const ClientLog& log = *one.log;
    const std::string name = one.intent->record.request_json;
    for (const std::string& wrong : log.wrong) wrong_.push_back(name + ": " + wrong);
    if (one.waits) wrong_.push_back(name + " still waits");
    if (!log.id) return;
    const auto found = rows_.find(*log.id);
    if (found == rows_.end()) return say(*log.id, "was accepted and is lost");
    const StoredJob& row = found->second;
    if (row.record.prompt != one.intent->record.prompt ||
        row.record.tenant != one.intent->record.tenant ||
        row.record.body_digest != one.intent->record.body_digest) {
      say(*log.id, "is not what " + name + " asked for");
    }
    if (log.outcome && log.outcome->state != row.state) {
      say(*log.id, "ended otherwise for " + name + " than on disk");
    }
    const bool whole = log.outcome && log.outcome->state == JobState::kDone;
    for (std::uint32_t i = 0; i < log.tokens.size(); ++i) {
      check_tokens(*log.id, row.record, i, log.tokens[i], log.ends[i], whole, name);
    }
  }

  // One row for each request, one for each key.
  void check_counts() {
    std::map<std::string, std::uint32_t> by_sender;
    std::map<std::pair<std::string, std::string>, std::uint32_t> by_key;
    for (const auto& [id, row] : rows_) {
      ++by_sender[row.record.request_json];
      if (row.record.idempotency_key.empty()) continue;
      if (++by_key[{row.record.tenant, row.record.idempotency_key}] > 1) {
        say(id, "is a second one for its key");
      }
    }
    for (const Observed& one : observed_) {
      const std::string& name = one.intent->record.request_json;
      const std::uint32_t count = by_sender[name];
      if (count > std::min(one.log->tries, 1U)) {
        wrong_.push_back(name + " became " + std::to_string(count) + " jobs");
      }
    }
  }

  const Scenario& scenario_;
  const std::vector<Observed>& observed_;
  const Rows& rows_;
  std::vector<std::string> wrong_;
};

}  // namespace

std::vector<std::string> check_world(const Scenario& scenario,
                                     const std::vector<Observed>& observed, const Rows& rows) {
  return Checker(scenario, observed, rows).check();
}

}  // namespace lockstep::simulation
