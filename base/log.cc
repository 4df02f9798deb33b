#include "base/log.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>

namespace lockstep {
namespace {

constexpr std::array<std::string_view, 5> kLevelNames = {"debug", "info", "warning", "error",
                                                         "off"};

// Set once at start-up, read by every thread.
std::atomic<LogLevel> g_level{LogLevel::kInfo};
std::atomic<LogFormat> g_format{LogFormat::kText};
std::atomic<int> g_rank{-1};
std::atomic<int> g_world_size{0};

using OrderedJson = nlohmann::ordered_json;

std::string dump(const OrderedJson& value) {
  return value.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

OrderedJson to_json(const LogField& field) {
  return std::visit([](const auto& value) { return OrderedJson(value); }, field.value);
}

// A value stands as it is when it is one word, else in JSON's quotes: a line stays one line.
std::string text_of(const LogField& field) {
  if (const auto* text = std::get_if<std::string>(&field.value)) {
    const bool word = !text->empty() && std::all_of(text->begin(), text->end(), [](char c) {
      return c > ' ' && c < 0x7F && c != '"' && c != '=';
    });
    if (word) return *text;
  }
  return dump(to_json(field));
}

std::string clock_text(std::int64_t unix_ms, const char* format) {
  const std::time_t seconds = unix_ms / 1000;
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  std::array<char, 40> text{};
  const std::size_t length = std::strftime(text.data(), text.size(), format, &parts);
  std::array<char, 8> fraction{};
  std::snprintf(fraction.data(), fraction.size(), ".%03d", static_cast<int>(unix_ms % 1000));
  return std::string(text.data(), length) + fraction.data();
}

std::string format_text(const LogLine& line) {
  std::string text(1, "DIWE-"[static_cast<std::size_t>(line.level)]);
  text += " " + clock_text(line.unix_ms, "%H:%M:%S");
  if (line.rank >= 0) {
    text += " rank=" + std::to_string(line.rank) + "/" + std::to_string(line.world_size);
  }
  text.append(" ").append(line.event);
  for (const LogField& field : line.fields) {
    text.append(" ").append(field.key).append("=").append(text_of(field));
  }
  return text + "\n";
}

std::string format_json(const LogLine& line) {
  OrderedJson object;
  object["time"] = clock_text(line.unix_ms, "%Y-%m-%dT%H:%M:%S") + "Z";
  object["level"] = kLevelNames[static_cast<std::size_t>(line.level)];
  if (line.rank >= 0) {
    object["rank"] = line.rank;
    object["world_size"] = line.world_size;
  }
  object["event"] = line.event;
  for (const LogField& field : line.fields) object[std::string(field.key)] = to_json(field);
  return dump(object) + "\n";
}

// A log that cannot be written has nobody to tell.
void write_line(std::string_view line) {
  while (!line.empty()) {
    const ssize_t put = ::write(STDERR_FILENO, line.data(), line.size());
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return;
    line.remove_prefix(static_cast<std::size_t>(put));
  }
}

std::int64_t now_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

}  // namespace

void configure_log(LogLevel level, LogFormat format, int rank, int world_size) {
  g_level = level;
  g_format = format;
  g_rank = rank;
  g_world_size = world_size;
}

std::string format_log_line(const LogLine& line, LogFormat format) {
  return format == LogFormat::kJson ? format_json(line) : format_text(line);
}

void log_event(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
  if (level < g_level || level == LogLevel::kOff) return;
  const LogLine line{.level = level,
                     .event = event,
                     .fields = {fields.begin(), fields.size()},
                     .unix_ms = now_ms(),
                     .rank = g_rank,
                     .world_size = g_world_size};
  write_line(format_log_line(line, g_format));
}

Result<LogLevel> parse_log_level(std::string_view name) {
  const auto* const found = std::find(kLevelNames.begin(), kLevelNames.end(), name);
  if (found == kLevelNames.end()) {
    return Error{ErrorCode::kInvalidArgument,
                 "expected debug, info, warning, error or off, got \"" + std::string(name) + "\""};
  }
  return static_cast<LogLevel>(found - kLevelNames.begin());
}

}  // namespace lockstep
