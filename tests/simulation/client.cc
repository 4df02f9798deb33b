#include "tests/simulation/client.h"

#include <algorithm>
#include <utility>

namespace lockstep::simulation {

namespace {

constexpr std::uint32_t kPieceTokens = 8;
constexpr std::int64_t kPollUs = 250'000;

}  // namespace

Client::Client(Cluster& cluster, EventQueue& queue, SeededRandom& random, Intent intent)
    : cluster_(cluster), queue_(queue), random_(random), intent_(std::move(intent)) {
  log_.tokens.resize(intent_.record.num_choices);
  log_.ends.resize(intent_.record.num_choices);
  positions_.resize(intent_.record.num_choices);
  queue_.at(intent_.submit_us, [this] { submit(); });
}

void Client::submit() {
  state_ = State::kAsking;
  const std::uint64_t connection = ++connection_;
  ++log_.tries;
  log_.asked_us = queue_.now_us();
  print("asks");
  cluster_.call(
      [this, connection](GatewayService& service) {
        JobRecord record = intent_.record;
        if (intent_.expires_after_ms > 0) {
          record.expires_ms = cluster_.unix_ms() + intent_.expires_after_ms;
        }
        service.submit(std::move(record), [this, connection](Result<Accepted> answer) {
          // Not inside the call that it was: as the real server does.
          auto shared = std::make_shared<Result<Accepted>>(std::move(answer));
          cluster_.post(10, [this, connection, shared](GatewayService& later) {
            answered(later, connection, std::move(*shared));
          });
        });
      },
      [this, connection] {
        if (connection != connection_) return;
        --log_.tries;
        submit_again(random_.between(50'000, 300'000));
      });
}

void Client::submit_again(std::int64_t delay_us) {
  state_ = State::kBefore;
  const std::uint64_t connection = ++connection_;
  queue_.after(delay_us, [this, connection] {
    if (connection == connection_) submit();
  });
}

void Client::answered(GatewayService& service, std::uint64_t connection, Result<Accepted> answer) {
  if (answer.ok()) {
    const std::shared_ptr<JobFeed> feed = answer.value().feed;
    if (connection == connection_) open(service, connection, feed);
    const std::int64_t way_us = random_.between(100, 1000);
    queue_.after(way_us, [this, connection, id = feed->record().id] {
      // What was on its way when the gateway died still comes; the next try may give another id.
      if (connection != connection_ && log_.id) return;
      if (log_.id && *log_.id != id) log_.wrong.emplace_back("a key gave two ids");
      if (log_.id) return;
      log_.id = id;
      log_.accepted_us = queue_.now_us();
      print("is accepted as " + short_name(id));
      cluster_.promised(Promise::kAccepted);
      if (intent_.cancel_after_us < 0) return;
      queue_.after(intent_.cancel_after_us, [this] { cancel(); });
    });
    return;
  }
  if (connection != connection_) return;
  switch (answer.error().code) {
    case ErrorCode::kExhausted:
    case ErrorCode::kUnavailable:
      --log_.tries;
      return submit_again(random_.between(100'000, 500'000));
    case ErrorCode::kInvalidArgument:
      log_.other_body = true;
      --log_.tries;
      state_ = State::kDone;
      return;
    default:
      log_.wrong.push_back("refused with " + answer.error().message);
      state_ = State::kDone;
  }
}

void Client::open(GatewayService& service, std::uint64_t connection,
                  const std::shared_ptr<JobFeed>& feed) {
  state_ = State::kFollowing;
  feed_ = feed;
  open_ = true;
  service.watch(feed->record().id, 1);
  if (feed->record().num_choices != intent_.record.num_choices ||
      feed->record().prompt != intent_.record.prompt) {
    log_.wrong.emplace_back("the answer is another request's");
    state_ = State::kDone;
    return close(service);
  }
  if (intent_.leaves_at_once && !has_left_) return leave(service);
  read_later(connection);
}

void Client::close(GatewayService& service) {
  if (open_) service.watch(feed_->record().id, -1);
  open_ = false;
  feed_ = nullptr;
  ++connection_;
}

void Client::read_later(std::uint64_t connection) {
  const std::int64_t delay_us = intent_.follows ? intent_.read_delay_us : kPollUs;
  cluster_.post(delay_us, [this, connection](GatewayService& service) {
    if (connection == connection_ && state_ == State::kFollowing) read(service, connection);
  });
}

// Everything that is there, then waits for more.
void Client::read(GatewayService& service, std::uint64_t connection) {
  const std::uint64_t version = feed_->version();
  for (std::uint32_t choice = 0; choice < positions_.size(); ++choice) {
    while (read_choice(choice)) {
    }
  }
  if (const std::optional<JobOutcome> outcome = feed_->outcome()) {
    if (!log_.id) log_.id = feed_->record().id;
    if (log_.outcome && log_.outcome->state != outcome->state) {
      log_.wrong.emplace_back("it ended twice, differently");
    }
    log_.outcome = outcome;
    print(outcome->state == JobState::kDone ? "has its answer" : "ends without an answer");
    log_.ended_us = queue_.now_us();
    state_ = State::kDone;
    close(service);
    return cluster_.promised(Promise::kEnded);
  }
  std::size_t seen = 0;
  for (const auto& tokens : log_.tokens) seen += tokens.size();
  const bool leaves = intent_.leave_after_tokens > 0 && seen >= intent_.leave_after_tokens;
  if (leaves && !has_left_) return leave(service);
  if (!intent_.follows) return read_later(connection);
  feed_->wait(version, [this, connection] { read_later(connection); });
}

// True when there is more to read.
bool Client::read_choice(std::uint32_t choice) {
  const JobFeed::Piece piece = feed_->read(choice, positions_[choice], kPieceTokens);
  std::vector<CompletionToken>& tokens = log_.tokens[choice];
  for (const CompletionToken& token : piece.tokens) {
    const std::uint32_t position = positions_[choice]++;
    if (log_.first_token_us < 0) log_.first_token_us = queue_.now_us();
    if (position == tokens.size()) {
      tokens.push_back(token);
    } else if (tokens[position] != token) {
      log_.wrong.emplace_back("a token changed");
    }
  }
  if (piece.end) {
    const bool known = log_.ends[choice].has_value();
    if (known && log_.ends[choice]->num_tokens != piece.end->num_tokens) {
      log_.wrong.emplace_back("an end changed");
    }
    log_.ends[choice] = piece.end;
  }
  return piece.tokens.size() == kPieceTokens;
}

void Client::leave(GatewayService& service) {
  has_left_ = true;
  print("leaves");
  if (log_.left_us < 0) log_.left_us = queue_.now_us();
  if (!log_.id) log_.id = feed_->record().id;
  close(service);
  state_ = intent_.away_us < 0 ? State::kDone : State::kAway;
  if (intent_.away_us < 0) return;
  const std::uint64_t connection = connection_;
  queue_.after(intent_.away_us, [this, connection] {
    if (connection == connection_) come_back();
  });
}

void Client::print(const std::string& what) const {
  if (cluster_.prints()) cluster_.print("client of " + intent_.record.request_json + " " + what);
}

// With the id of the last event that it remembers.
void Client::come_back() {
  state_ = State::kAway;
  print("comes back");
  for (std::size_t i = 0; i < positions_.size(); ++i) {
    const auto seen = static_cast<std::uint32_t>(log_.tokens[i].size());
    positions_[i] = seen - std::min(seen, intent_.rewind_tokens);
  }
  const std::uint64_t connection = ++connection_;
  cluster_.call(
      [this, connection](GatewayService& service) {
        service.find(intent_.record.tenant, *log_.id,
                     [this, connection](Result<std::shared_ptr<JobFeed>> feed) {
                       auto shared =
                           std::make_shared<Result<std::shared_ptr<JobFeed>>>(std::move(feed));
                       cluster_.post(10, [this, connection, shared](GatewayService& later) {
                         found(later, connection, std::move(*shared));
                       });
                     });
      },
      [this, connection] {
        queue_.after(100'000, [this, connection] {
          if (connection == connection_) come_back();
        });
      });
}

void Client::found(GatewayService& service, std::uint64_t connection,
                   Result<std::shared_ptr<JobFeed>> feed) {
  if (connection != connection_) return;
  if (!feed.ok()) {
    log_.wrong.push_back("an accepted request is gone: " + feed.error().message);
    state_ = State::kDone;
    return;
  }
  if (has_left_ && log_.returned_us < 0) log_.returned_us = queue_.now_us();
  open(service, connection, feed.value());
}

void Client::cancel() {
  if (log_.outcome) return;
  print("cancels");
  cluster_.call(
      [this](GatewayService& service) {
        service.cancel(intent_.record.tenant, *log_.id, [this](const Status& status) {
          const std::int64_t way_us = random_.between(100, 1000);
          queue_.after(way_us, [this, status] {
            if (!status.ok()) return log_.wrong.push_back("cancel: " + status.error().message);
            if (log_.cancelled_us < 0) log_.cancelled_us = queue_.now_us();
            cluster_.promised(Promise::kCancelled);
          });
        });
      },
      [this] { queue_.after(100'000, [this] { cancel(); }); });
}

void Client::gateway_died() {
  open_ = false;
  feed_ = nullptr;
  if (state_ == State::kDone || state_ == State::kBefore) return;
  // What is on its way to it still comes; then it sees that the connection is closed.
  const std::uint64_t connection = ++connection_;
  const std::int64_t seen_us = random_.between(2000, 50'000);
  queue_.after(seen_us, [this, connection] {
    if (connection != connection_) return;
    const bool accepted = log_.id.has_value();
    if (accepted && intent_.reconnects) return come_back();
    if (!accepted && !intent_.record.idempotency_key.empty()) return submit_again(10'000);
    if (log_.left_us < 0) log_.left_us = queue_.now_us();
    log_.gave_up = true;
    state_ = State::kDone;
  });
}

}  // namespace lockstep::simulation
