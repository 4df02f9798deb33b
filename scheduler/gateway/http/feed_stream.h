// A job's feed as a response: as events while it grows, or whole when it has ended.
#pragma once

#include <memory>
#include <optional>

#include "scheduler/gateway/api/event_id.h"
#include "scheduler/gateway/http/api_parts.h"

namespace lockstep {

// What an answer is made from: a feed, and the form that its request asked for.
struct FeedSource {
  RouteCall call;
  std::shared_ptr<JobFeed> feed;
  AnswerOptions options;
};

// 200, text/event-stream. `resume`: behind which event to go on; it fits the feed.
Response stream_feed(FeedSource source, const std::optional<EventId>& resume);

// The whole answer, when the job has ended; the error that it ended with.
Response await_feed(FeedSource source);

// All tokens and ends. Requires: the job has ended.
std::vector<ChoiceRecord> read_choices(const JobFeed& feed);

}  // namespace lockstep
