// `lockstep usage`: tokens by Slurm account and user, from a gateway's state.
#include <algorithm>
#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/options.h"
#include "cli/output.h"
#include "scheduler/state.h"

namespace lockstep {
namespace {

struct UsageOptions {
  std::string state;
  std::string since = "1d";
  bool comment = false;
};

constexpr std::int64_t kDayMs = 86'400'000;

// "2026-11-22" or "90s", "36h", "7d" before now, as Unix time.
Result<std::int64_t> since_ms(const std::string& text, std::int64_t now_ms) {
  const std::map<char, std::int64_t> units = {{'s', 1000}, {'h', kDayMs / 24}, {'d', kDayMs}};
  const auto unit = text.empty() ? units.end() : units.find(text.back());
  if (unit != units.end()) {
    const auto count =
        parse_integer<std::int64_t>(text.substr(0, text.size() - 1), {0, 100'000'000});
    if (count.ok()) return std::max<std::int64_t>(0, now_ms - count.value() * unit->second);
  } else if (text.size() == 10 && text[4] == '-' && text[7] == '-') {
    const auto year = parse_integer<int>(text.substr(0, 4), {1970, 9999});
    const auto month = parse_integer<std::uint32_t>(text.substr(5, 2), {1, 12});
    const auto day = parse_integer<std::uint32_t>(text.substr(8, 2), {1, 31});
    if (year.ok() && month.ok() && day.ok()) {
      const std::chrono::year_month_day date{std::chrono::year(year.value()),
                                             std::chrono::month(month.value()),
                                             std::chrono::day(day.value())};
      const std::chrono::sys_days days = date;
      if (date.ok()) return std::int64_t{days.time_since_epoch().count()} * kDayMs;
    }
  }
  return Error{ErrorCode::kInvalidArgument,
               "--since: expected a day such as 2026-11-22, or 36h, or 7d, got \"" + text + "\""};
}

// A tenant of a Slurm job is "ACCOUNT/USER"; another has no account.
std::pair<std::string, std::string> account_and_user(const std::string& tenant) {
  const std::size_t slash = tenant.find('/');
  if (slash == std::string::npos) return {"", tenant};
  return {tenant.substr(0, slash), tenant.substr(slash + 1)};
}

Status print_table(const std::vector<TenantUsage>& usage) {
  std::vector<std::vector<std::string>> rows = {{"account", "user", "requests", "failed", "prompt",
                                                 "cached", "completion", "computed", "seconds"}};
  for (const TenantUsage& one : usage) {
    const auto [account, user] = account_and_user(one.tenant);
    rows.push_back({account.empty() ? "-" : account, user, grouped_digits(one.requests),
                    grouped_digits(one.failed), grouped_digits(one.prompt_tokens),
                    grouped_digits(one.cached_tokens), grouped_digits(one.completion_tokens),
                    grouped_digits(one.computed_tokens), grouped_digits(one.elapsed_ms / 1000)});
  }
  return print_text(format_table(rows, ""));
}

// One line for `scontrol update JobId=... Comment=...`.
Status print_comment(const std::vector<TenantUsage>& usage) {
  TenantUsage sum;
  for (const TenantUsage& one : usage) {
    sum.requests += one.requests;
    sum.prompt_tokens += one.prompt_tokens;
    sum.completion_tokens += one.completion_tokens;
  }
  return print_text("lockstep: " + std::to_string(sum.requests) + " requests, " +
                    std::to_string(sum.prompt_tokens) + " prompt and " +
                    std::to_string(sum.completion_tokens) + " completion tokens\n");
}

Result<int> usage(const UsageOptions& options, const CommandContext& context) {
  if (options.state.empty()) return Error{ErrorCode::kInvalidArgument, "--state: is required"};
  LOCKSTEP_TRY_ASSIGN(const std::int64_t since, since_ms(options.since, system_clock().unix_ms()),
                      "usage");
  LOCKSTEP_TRY_ASSIGN(const auto rows, read_usage(options.state, since), "--state");
  if (options.comment) {
    LOCKSTEP_TRY(print_comment(rows), "result");
    return 0;
  }
  if (!context.json) {
    LOCKSTEP_TRY(print_table(rows), "result");
    return 0;
  }
  OrderedJson json;
  json["since_ms"] = since;
  json["tenants"] = OrderedJson::array();
  for (const TenantUsage& one : rows) {
    const auto [account, user] = account_and_user(one.tenant);
    json["tenants"].push_back({{"tenant", one.tenant},
                               {"account", account},
                               {"user", user},
                               {"requests", one.requests},
                               {"failed", one.failed},
                               {"prompt_tokens", one.prompt_tokens},
                               {"cached_tokens", one.cached_tokens},
                               {"completion_tokens", one.completion_tokens},
                               {"computed_tokens", one.computed_tokens},
                               {"elapsed_ms", one.elapsed_ms}});
  }
  LOCKSTEP_TRY(print_json(json), "result");
  return 0;
}

}  // namespace

void add_usage_command(CLI::App& root, CommandContext& context) {
  const auto options = std::make_shared<UsageOptions>();
  CLI::App& command = add_command(
      root, "usage",
      {.summary = "shows the tokens that were used, by Slurm account and user; also while the "
                  "gateway runs.",
       .usages = {"lockstep usage --state DIR [--since 2026-11-01]"}});
  add_text(command, "--state", options->state, "Of the gateway.")->type_name("DIR");
  add_text(command, "--since", options->since, "A day (UTC), or how long ago: 36h, 7d.")
      ->type_name("WHEN");
  add_flag(command, "--comment", options->comment, "One line with the sums, for a job's comment.");
  add_json_flag(command, context);
  set_action(command, context, [options, &context] { return usage(*options, context); });
}

}  // namespace lockstep
