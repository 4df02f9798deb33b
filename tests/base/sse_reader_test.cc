#include "base/sse_reader.h"

#include <gtest/gtest.h>

#include <vector>

namespace lockstep {
namespace {

using Events = std::vector<std::string>;  // "type|id|data" each.

Status push_into(SseReader& reader, std::string_view bytes, Events& events) {
  return reader.push(bytes, [&](const SseEvent& event) {
    events.push_back(event.type + "|" + event.id + "|" + event.data);
  });
}

Events events_of(std::string_view bytes) {
  SseReader reader;
  Events events;
  EXPECT_TRUE(push_into(reader, bytes, events).ok());
  return events;
}

TEST(SseReaderPush, GivesTheDataOfEachEvent) {
  EXPECT_EQ(events_of("data: a\n\ndata: b\n\n"), (Events{"message||a", "message||b"}));
}

TEST(SseReaderPush, ReadsAllThreeLineEnds) {
  const Events expected = {"message||a\nb", "message||c"};
  EXPECT_EQ(events_of("data: a\ndata: b\n\ndata: c\n\n"), expected);
  EXPECT_EQ(events_of("data: a\rdata: b\r\rdata: c\r\r"), expected);
  EXPECT_EQ(events_of("data: a\r\ndata: b\r\n\r\ndata: c\r\n\r\n"), expected);
}

TEST(SseReaderPush, GivesTheSameEventsWhereverTheBytesAreCut) {
  const std::string bytes =
      "\xEF\xBB\xBF: hello\r\nevent: tokens\r\nid: 7\r\ndata: a\rdata\r\n\r\nretry: "
      "25\n:\ndata:{}\r\r";
  const Events whole = events_of(bytes);
  ASSERT_EQ(whole, (Events{"tokens|7|a\n", "message|7|{}"}));
  for (std::size_t first = 0; first <= bytes.size(); ++first) {
    for (std::size_t second = first; second <= bytes.size(); ++second) {
      SseReader reader;
      Events events;
      const std::string_view view = bytes;
      EXPECT_TRUE(push_into(reader, view.substr(0, first), events).ok());
      EXPECT_TRUE(push_into(reader, view.substr(first, second - first), events).ok());
      EXPECT_TRUE(push_into(reader, view.substr(second), events).ok());
      ASSERT_EQ(events, whole) << first << " " << second;
      EXPECT_EQ(reader.last_event_id(), "7");
      EXPECT_EQ(reader.retry_ms(), 25U);
    }
  }
}

TEST(SseReaderPush, TakesOneSpaceBehindTheColon) {
  EXPECT_EQ(events_of("data:a\n\ndata:  b\n\n"), (Events{"message||a", "message|| b"}));
}

TEST(SseReaderPush, GivesNoEventWithoutData) {
  EXPECT_EQ(events_of("event: x\n\n: ping\n\nid: 3\n\ndata: a\n\n"), (Events{"message|3|a"}));
}

TEST(SseReaderPush, GivesAnEventOfAnEmptyDataLine) {
  EXPECT_EQ(events_of("data\n\ndata:\ndata:\n\n"), (Events{"message||", "message||\n"}));
}

TEST(SseReaderPush, KeepsTheIdUntilAnotherComes) {
  EXPECT_EQ(events_of("id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n"),
            (Events{"message|1|a", "message|1|b", "message||c"}));
}

TEST(SseReaderPush, IgnoresAnIdWithAZeroByte) {
  EXPECT_EQ(events_of(std::string_view("id: 1\nid: 2\0\ndata: a\n\n", 22)),
            (Events{"message|1|a"}));
}

TEST(SseReaderPush, CountsAnIdOnlyOnceItsEventIsComplete) {
  SseReader reader;
  Events events;
  ASSERT_TRUE(push_into(reader, "id: 1\ndata: a\n\nid: 2\ndata: b\n", events).ok());
  EXPECT_EQ(reader.last_event_id(), "1");
}

TEST(SseReaderPush, IgnoresFieldsThatItDoesNotKnow) {
  EXPECT_EQ(events_of("colour: red\nDATA: x\n data: y\ndata: a\n\n"), (Events{"message||a"}));
}

TEST(SseReaderPush, IgnoresARetryThatIsNoNumber) {
  for (const char* text :
       {"retry: 5s\n", "retry: -5\n", "retry:\n", "retry: 99999999999999999999\n"}) {
    SseReader reader;
    Events events;
    ASSERT_TRUE(push_into(reader, text, events).ok());
    EXPECT_FALSE(reader.retry_ms().has_value()) << text;
  }
}

TEST(SseReaderPush, DropsWhatIsIncompleteAtTheEnd) {
  EXPECT_EQ(events_of("data: a\n\ndata: b\n"), (Events{"message||a"}));
}

TEST(SseReaderPush, RefusesALineBeyondItsLimitAndAllThatFollows) {
  SseReader reader(16);
  Events events;
  ASSERT_TRUE(push_into(reader, "data: 0123456789\n\n", events).ok());
  const Status status = push_into(reader, "data: 0123456789a", events);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kExhausted);
  EXPECT_EQ(status.error().message, "server-sent events: a line of more than 16 bytes");
  EXPECT_FALSE(push_into(reader, "\n\ndata: a\n\n", events).ok());
  EXPECT_EQ(events.size(), 1U);
}

TEST(SseReaderPush, RefusesAnEventOfManyLinesBeyondItsLimit) {
  SseReader reader(16);
  Events events;
  const Status status = push_into(reader, "data: 01234567\ndata: 01234567\n\n", events);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().message, "server-sent events: an event of more than 16 bytes");
  EXPECT_EQ(events.size(), 0U);
}

}  // namespace
}  // namespace lockstep
