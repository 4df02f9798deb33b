#include "base/crash_point.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <optional>
#include <string>

#include "base/config.h"

namespace lockstep {
namespace {

std::array<std::atomic<std::uint64_t>, kCrashPoints.size()> hits;
// The hit at which each point kills; 0: none.
std::array<std::atomic<std::uint64_t>, kCrashPoints.size()> deadly_hits;

std::optional<std::size_t> index_of(std::string_view name) {
  const auto place = std::ranges::find(kCrashPoints, name);
  if (place == kCrashPoints.end()) return std::nullopt;
  return static_cast<std::size_t>(place - kCrashPoints.begin());
}

// Once, at the first point that is passed.
void arm_from_environment() {
  const std::optional<std::string> text = environment_variable("LOCKSTEP_CRASH_AT");
  if (!text || text->empty()) return;
  const Status armed = arm_crash_point(*text);
  CHECK(armed.ok(), armed.error().message.c_str());
}

}  // namespace

Status arm_crash_point(std::string_view text) {
  const std::size_t colon = text.find(':');
  const std::string_view name = text.substr(0, colon);
  std::uint64_t hit = 1;
  if (colon != std::string_view::npos) {
    const std::string_view digits = text.substr(colon + 1);
    const auto [end, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), hit);
    if (fault != std::errc{} || end != digits.data() + digits.size() || hit > UINT32_MAX) hit = 0;
  }
  const std::optional<std::size_t> index = index_of(name);
  if (!index || hit == 0) {
    return Error{ErrorCode::kInvalidArgument,
                 "crash point: expected NAME or NAME:HIT with a name "
                 "of base/crash_point.h, got \"" +
                     std::string(text) + "\""};
  }
  for (auto& deadly : deadly_hits) deadly = 0;
  deadly_hits[*index] = hits[*index] + hit;
  return {};
}

std::uint64_t crash_point_hits(std::string_view name) {
  const std::optional<std::size_t> index = index_of(name);
  return index ? hits[*index].load() : 0;
}

void pass_crash_point(std::size_t index) {
  [[maybe_unused]] static const bool armed = (arm_from_environment(), true);
  if (++hits[index] != deadly_hits[index]) return;
  ::kill(::getpid(), SIGKILL);
  for (;;) ::pause();
}

}  // namespace lockstep
