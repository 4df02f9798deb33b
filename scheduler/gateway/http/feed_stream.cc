#include "scheduler/gateway/http/feed_stream.h"

#include <utility>

#include "scheduler/gateway/api/answer_body.h"
#include "scheduler/gateway/api/answer_stream.h"

namespace lockstep {
namespace {

constexpr std::uint32_t kTokensPerRead = 64;

AnswerForm form_of(const FeedSource& source) {
  return {source.options, &source.feed->record(), source.call.parts->model.get()};
}

// Measures what the client sees of an answer, and charges its key for the tokens.
class Meter {
 public:
  explicit Meter(const RouteCall& call)
      : call_(call), start_ns_(call.parts->clock->monotonic_ns()), last_ns_(start_ns_) {}
  ~Meter() { call_.parts->access->charge(call_.principal, num_tokens_, unix_ms()); }
  Meter(const Meter&) = delete;
  Meter& operator=(const Meter&) = delete;

  void see(std::uint64_t num_tokens, bool ended) {
    if (num_tokens == num_tokens_ && !ended) return;
    const std::int64_t now = call_.parts->clock->monotonic_ns();
    ClientLatencies& latencies = call_.parts->latencies;
    if (num_tokens > num_tokens_) {
      if (num_tokens_ == 0) latencies.time_to_first_token.add(now - start_ns_);
      const auto more = static_cast<std::int64_t>(num_tokens - num_tokens_);
      if (num_tokens_ > 0) latencies.inter_token.add((now - last_ns_) / more);
      last_ns_ = now;
      num_tokens_ = num_tokens;
    }
    if (ended) latencies.request.add(now - start_ns_);
  }

 private:
  std::int64_t unix_ms() const {
    return call_.unix_ms() + (call_.parts->clock->monotonic_ns() - start_ns_) / 1'000'000;
  }

  RouteCall call_;
  std::int64_t start_ns_;
  std::int64_t last_ns_;
  std::uint64_t num_tokens_ = 0;
};

// Names the job where it is not the request itself, too: an idempotency key found an older one.
void add_job_id(const JobFeed& feed, Response& response) {
  response.fields.push_back({"x-request-id", feed.record().id.text()});
}

class FeedStream final : public BodyStream {
 public:
  FeedStream(FeedSource source, const std::optional<EventId>& resume)
      : source_(std::move(source)),
        watch_(source_.call.parts->backend, source_.feed->record().id),
        meter_(source_.call),
        answer_(form_of(source_), resume),
        text_(answer_.start()) {}

  Piece next() override {
    Piece piece;
    piece.text = std::exchange(text_, {});
    version_ = source_.feed->version();
    const std::optional<JobOutcome> outcome = source_.feed->outcome();
    bool is_behind = true;
    while (is_behind && piece.text.size() < kPieceBytes) {
      is_behind = false;
      for (std::uint32_t i = 0; i < answer_.num_choices(); ++i) {
        is_behind = read(i, piece.text) || is_behind;
      }
    }
    if (outcome && !is_behind) {
      piece.text += answer_.finish(*outcome);
      piece.ended = true;
    }
    meter_.see(answer_.num_tokens(), piece.ended);
    return piece;
  }

  void wait(std::function<void()> wake) override { source_.feed->wait(version_, std::move(wake)); }
  std::string heartbeat() const override { return ":\n\n"; }

 private:
  // Whether there may be more at once.
  bool read(std::uint32_t choice, std::string& text) {
    if (answer_.ended(choice)) return false;
    const auto piece = source_.feed->read(choice, answer_.next_token(choice), kTokensPerRead);
    text += answer_.take(choice, piece);
    return piece.tokens.size() == kTokensPerRead;
  }

  FeedSource source_;
  Watch watch_;
  Meter meter_;
  AnswerStream answer_;
  std::string text_;
  std::uint64_t version_ = 0;
};

class AwaitedFeed final : public LaterResponse {
 public:
  explicit AwaitedFeed(FeedSource source)
      : source_(std::move(source)),
        watch_(source_.call.parts->backend, source_.feed->record().id),
        meter_(source_.call) {}

  std::optional<Response> poll() override {
    version_ = source_.feed->version();
    const std::optional<JobOutcome> outcome = source_.feed->outcome();
    if (!outcome) {
      if (!has_token_) has_token_ = !source_.feed->read(0, 0, 1).tokens.empty();
      if (has_token_) meter_.see(1, false);
      return std::nullopt;
    }
    const std::vector<ChoiceRecord> choices = read_choices(*source_.feed);
    std::uint64_t num_tokens = 0;
    for (const ChoiceRecord& choice : choices) num_tokens += choice.tokens.size();
    meter_.see(num_tokens, true);
    Response response = outcome->state == JobState::kDone
                            ? json_response(answer_body(form_of(source_), choices).dump())
                            : error_response(outcome_error(*outcome));
    add_job_id(*source_.feed, response);
    return response;
  }

  void wait(std::function<void()> wake) override { source_.feed->wait(version_, std::move(wake)); }

 private:
  FeedSource source_;
  Watch watch_;
  Meter meter_;
  std::uint64_t version_ = 0;
  bool has_token_ = false;
};

}  // namespace

std::vector<ChoiceRecord> read_choices(const JobFeed& feed) {
  std::vector<ChoiceRecord> choices(feed.record().num_choices);
  for (std::uint32_t i = 0; i < choices.size(); ++i) {
    JobFeed::Piece piece = feed.read(i, 0, UINT32_MAX);
    choices[i] = {std::move(piece.tokens), std::move(piece.end)};
  }
  return choices;
}

Response stream_feed(FeedSource source, const std::optional<EventId>& resume) {
  Response response;
  response.content_type = "text/event-stream; charset=utf-8";
  add_job_id(*source.feed, response);
  response.stream = std::make_unique<FeedStream>(std::move(source), resume);
  return response;
}

Response await_feed(FeedSource source) {
  Response response;
  response.later = std::make_unique<AwaitedFeed>(std::move(source));
  return response;
}

}  // namespace lockstep
