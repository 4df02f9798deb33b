#include "cli/progress_bar.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "cli/output.h"

namespace lockstep {
namespace {

constexpr std::int64_t kRedrawNs = 100'000'000;
constexpr int kMaxBarColumns = 40;
constexpr int kMinBarColumns = 10;
constexpr const char* kClearLine = "\r\033[K";

int terminal_columns() {
  winsize size{};
  const bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : 80;
}

}  // namespace

std::string progress_line(std::uint64_t done, std::uint64_t total, double elapsed_s, int columns) {
  done = std::min(done, total);
  const double part = total == 0 ? 1.0 : static_cast<double>(done) / static_cast<double>(total);
  char percent[16];
  (void)std::snprintf(percent, sizeof percent, "%3d%%", static_cast<int>(part * 100));
  std::string text = human_bytes(done) + " / " + human_bytes(total) + "  " + percent;
  if (elapsed_s > 0 && done > 0) {
    const double rate = static_cast<double>(done) / elapsed_s;
    text += "  " + human_bytes(static_cast<std::uint64_t>(rate)) + "/s  ETA " +
            human_seconds(static_cast<double>(total - done) / rate);
  }
  const int room =
      columns - static_cast<int>(text.size()) - 5;  // Brackets, two spaces, the last column.
  if (room < kMinBarColumns) {
    return text.substr(0, static_cast<std::size_t>(std::max(columns - 1, 0)));
  }
  const auto width = static_cast<std::size_t>(std::min(room, kMaxBarColumns));
  const auto filled = static_cast<std::size_t>(part * static_cast<double>(width));
  std::string bar = std::string(filled, '=') + (filled < width ? ">" : "");
  bar.resize(width, ' ');
  return "[" + bar + "]  " + text;
}

ProgressBar::ProgressBar(const Clock& clock)
    : clock_(&clock),
      terminal_(isatty(STDERR_FILENO) == 1),
      start_ns_(clock.monotonic_ns()),
      drawn_ns_(start_ns_) {}

ProgressBar::~ProgressBar() {
  if (drawn_) (void)std::fputs(kClearLine, stderr);
}

void ProgressBar::update(std::uint64_t done, std::uint64_t total) {
  if (!terminal_) return;
  const std::int64_t now_ns = clock_->monotonic_ns();
  if (drawn_ && now_ns - drawn_ns_ < kRedrawNs) return;
  drawn_ = true;
  drawn_ns_ = now_ns;
  const double elapsed_s = static_cast<double>(now_ns - start_ns_) * 1e-9;
  const std::string line = progress_line(done, total, elapsed_s, terminal_columns());
  (void)std::fprintf(stderr, "%s%s", kClearLine, line.c_str());
  (void)std::fflush(stderr);
}

}  // namespace lockstep
