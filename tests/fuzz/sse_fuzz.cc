// SseReader and the answer of a streamed completion on any bytes: wherever they are cut, the events
// are the same, and each stays within its limit.
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/check.h"
#include "base/sse_reader.h"
#include "cli/bench/serve/answer.h"

namespace lockstep {
namespace {

constexpr std::size_t kMaxEventBytes = 64;

struct Reading {
  std::vector<std::string> events;
  std::string last_event_id;
  bool ok = true;
};

// Cut after every `piece` bytes.
Reading read(std::string_view bytes, std::size_t piece) {
  SseReader reader(kMaxEventBytes);
  Reading reading;
  while (!bytes.empty() && reading.ok) {
    const auto sink = [&](const SseEvent& event) {
      CHECK(event.data.size() <= kMaxEventBytes, "an event beyond its limit");
      CHECK(!event.type.empty(), "an event without a type");
      reading.events.push_back(event.type + '\0' + event.id + '\0' + event.data);
    };
    reading.ok = reader.push(bytes.substr(0, piece), sink).ok();
    bytes.remove_prefix(std::min(piece, bytes.size()));
  }
  reading.last_event_id = reader.last_event_id();
  return reading;
}

}  // namespace
}  // namespace lockstep

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lockstep;
  const std::string_view bytes = as_text({data, size});
  const Reading whole = read(bytes, std::max<std::size_t>(size, 1));
  for (const std::size_t piece : {1, 3}) {
    const Reading cut = read(bytes, piece);
    CHECK(cut.ok == whole.ok && cut.events == whole.events &&
              cut.last_event_id == whole.last_event_id,
          "events depend on where the bytes are cut");
  }
  AnswerReader reader(1.0);
  reader.push(bytes, 2.0);
  const Answer answer = std::move(reader).finish();
  CHECK(answer.completed == answer.error.empty(), "an answer neither completed nor failed");
  CHECK(answer.text.size() <= AnswerReader::kMaxTextBytes, "an answer beyond its limit");
  (void)error_text(bytes);
  return 0;
}
