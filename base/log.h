// One event per line on stderr, `I 12:03:44.120 rank=3/8 step_done step=412 step_ms=11.8`, or the
// same as JSON:
//
//   log_event(LogLevel::kInfo, "step_done", {{"step", 412}, {"step_ms", 11.8}});
//
// Thread-safe; a line is one write, so that lines of several ranks do not mix. Times are UTC, so
// that lines of several nodes sort. Event names are grep-able words. Secrets never enter a log.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

#include "base/result.h"

namespace lockstep {

enum class LogLevel { kDebug, kInfo, kWarning, kError, kOff };
enum class LogFormat { kText, kJson };

struct LogField {
  std::string_view key;
  std::variant<std::int64_t, std::uint64_t, double, bool, std::string> value;

  template <std::integral T>
  LogField(std::string_view k, T v) : key(k) {
    if constexpr (std::same_as<T, bool>) {
      value = v;
    } else if constexpr (std::is_signed_v<T>) {
      value = std::int64_t{v};
    } else {
      value = std::uint64_t{v};
    }
  }
  LogField(std::string_view k, double v) : key(k), value(v) {}
  LogField(std::string_view k, std::string v) : key(k), value(std::move(v)) {}
  LogField(std::string_view k, std::string_view v) : key(k), value(std::string(v)) {}
  LogField(std::string_view k, const char* v) : key(k), value(std::string(v)) {}
};

// Sets what is written and how; `rank` < 0 leaves the rank out. Called once at start-up.
void configure_log(LogLevel level, LogFormat format, int rank = -1, int world_size = 0);

void log_event(LogLevel level, std::string_view event, std::initializer_list<LogField> fields = {});

// What log_event writes, as a pure function.
struct LogLine {
  LogLevel level = LogLevel::kInfo;
  std::string_view event;
  std::span<const LogField> fields = {};
  std::int64_t unix_ms = 0;
  int rank = -1;
  int world_size = 0;
};
std::string format_log_line(const LogLine& line, LogFormat format);

// "debug", "info", "warning", "error", "off"; kInvalidArgument names the choices.
Result<LogLevel> parse_log_level(std::string_view name);

}  // namespace lockstep
