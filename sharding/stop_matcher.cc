#include "sharding/stop_matcher.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace lockstep {
namespace {

// Length of the longest tail of `text` that is a proper head of `stop`.
std::size_t open_tail(std::string_view text, std::string_view stop) {
  for (std::size_t length = std::min(text.size(), stop.size() - 1); length > 0; --length) {
    if (text.ends_with(stop.substr(0, length))) return length;
  }
  return 0;
}

}  // namespace

StopMatcher::StopMatcher(std::vector<std::string> stops) : stops_(std::move(stops)) {
  for (const std::string& stop : stops_) CHECK(!stop.empty(), "an empty stop string");
}

std::string StopMatcher::push(std::string_view text) {
  if (matched_) return {};
  held_.append(text);
  std::size_t match = std::string::npos;
  std::size_t match_end = std::string::npos;
  for (const std::string& stop : stops_) {
    const std::size_t found = held_.find(stop);
    if (found == std::string::npos) continue;
    const std::size_t end = found + stop.size();
    if (end > match_end || (end == match_end && found >= match)) continue;
    match = found;
    match_end = end;
  }
  if (match != std::string::npos) {
    matched_ = true;
    std::string shown = held_.substr(0, match);
    held_.clear();
    return shown;
  }
  std::size_t tail = 0;
  for (const std::string& stop : stops_) tail = std::max(tail, open_tail(held_, stop));
  std::string shown = held_.substr(0, held_.size() - tail);
  held_.erase(0, held_.size() - tail);
  return shown;
}

std::string StopMatcher::finish() { return matched_ ? std::string() : std::exchange(held_, {}); }

}  // namespace lockstep
