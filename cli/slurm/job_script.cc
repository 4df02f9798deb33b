#include "cli/slurm/job_script.h"

#include <algorithm>
#include <charconv>

namespace lockstep {
namespace {

constexpr int kMaxMinutes = 365 * 24 * 60;

std::string line_of(std::string_view text, std::size_t at) {
  return "line " + std::to_string(1 + std::ranges::count(text.substr(0, at), '\n'));
}

// The numbers between separators ':'; nothing when one is missing or too large.
bool split_numbers(std::string_view text, std::vector<int>& numbers) {
  for (;;) {
    const std::size_t colon = text.find(':');
    const std::string_view piece = text.substr(0, colon);
    int value = 0;
    const auto [end, error] = std::from_chars(piece.data(), piece.data() + piece.size(), value);
    const bool is_whole = error == std::errc{} && end == piece.data() + piece.size();
    if (!is_whole || value < 0 || value > kMaxMinutes || numbers.size() == 3) return false;
    numbers.push_back(value);
    if (colon == std::string_view::npos) return true;
    text.remove_prefix(colon + 1);
  }
}

}  // namespace

Result<std::string> render_template(std::string_view text, const TemplateValues& values) {
  std::string out;
  for (std::size_t at = 0;;) {
    const std::size_t open = text.find("{{", at);
    out += text.substr(at, open - at);
    if (open == std::string_view::npos) return out;
    const std::size_t close = text.find("}}", open);
    if (close == std::string_view::npos) {
      return Error{ErrorCode::kInvalidArgument, line_of(text, open) + ": {{ without }}"};
    }
    const std::string_view name = text.substr(open + 2, close - open - 2);
    const auto found = values.find(name);
    if (found == values.end()) {
      std::string known;
      for (const auto& [one, value] : values) known += (known.empty() ? "" : ", ") + one;
      return Error{ErrorCode::kInvalidArgument, line_of(text, open) + ": no value \"" +
                                                    std::string(name.substr(0, 60)) +
                                                    "\"; there are: " + known};
    }
    out += found->second;
    at = close + 2;
  }
}

std::string shell_word(std::string_view text) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:=,@%+-";
  if (!text.empty() && text.find_first_not_of(kPlain) == std::string_view::npos) {
    return std::string(text);
  }
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
  return out + "'";
}

std::string shell_words(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : " ") + shell_word(word);
  return out;
}

Result<int> time_minutes(std::string_view text) {
  const std::size_t dash = text.find('-');
  std::vector<int> days;
  std::vector<int> rest;
  const bool has_days = dash != std::string_view::npos;
  const bool is_time = (!has_days || split_numbers(text.substr(0, dash), days)) &&
                       split_numbers(has_days ? text.substr(dash + 1) : text, rest);
  if (!is_time || days.size() > 1) {
    return Error{ErrorCode::kInvalidArgument,
                 "expected a time such as 90 (minutes), 1:30:00 or 1-12:00:00, got \"" +
                     std::string(text.substr(0, 60)) + "\""};
  }
  // Behind days stand hours; alone, two numbers are minutes and seconds.
  int minutes = has_days ? days[0] * 24 * 60 : 0;
  if (has_days || rest.size() == 3) {
    minutes += rest[0] * 60 + (rest.size() > 1 ? rest[1] : 0);
  } else {
    minutes += rest[0];
  }
  const bool has_seconds = rest.size() == 3 || (!has_days && rest.size() == 2);
  if (has_seconds && rest.back() > 0) ++minutes;
  return std::clamp(minutes, 1, kMaxMinutes);
}

}  // namespace lockstep
