// `lockstep state`: what a gateway keeps on disk, seen from outside: backups, checks, API keys.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "cli/command.h"
#include "cli/options.h"
#include "cli/output.h"
#include "scheduler/api_key.h"
#include "scheduler/batch.h"
#include "scheduler/state.h"

namespace lockstep {
namespace {

struct StateOptions {
  std::string directory;
  std::string out;
};

struct KeyOptions {
  std::string directory;
  std::string id;
  std::string tenant;
  std::vector<std::string> scopes;
  std::string expires;  // From now on; "": never.
  std::uint64_t tokens_per_minute = 0;
  std::uint32_t weight = 1;
  std::string priority = "interactive";
};

const std::vector<std::string> kPriorities = {"interactive", "normal", "batch"};

std::int64_t now_ms() { return system_clock().unix_ms(); }

void add_state_option(CLI::App& command, std::string& directory) {
  add_text(command, "--state", directory, "The gateway's state directory.")
      ->required()
      ->type_name("DIR")
      ->group("Required");
}

Result<int> back_up(const StateOptions& options, const CommandContext& context) {
  Status copied = backup_state(options.directory, options.out);
  if (!copied.ok()) return std::move(copied).error();
  if (context.json) {
    LOCKSTEP_TRY(print_json(OrderedJson{{"backup", options.out}}), "result");
  }
  return 0;
}

Result<int> check(const StateOptions& options, const CommandContext& context) {
  const Result<StateSummary> checked = check_state(options.directory);
  if (!checked.ok()) return checked.error();
  const StateSummary& summary = checked.value();
  if (context.json) {
    LOCKSTEP_TRY(print_json({{"schema_version", summary.schema_version},
                             {"epoch", summary.epoch},
                             {"jobs", summary.jobs},
                             {"waiting", summary.waiting},
                             {"batches", summary.batches},
                             {"files", summary.files}}),
                 "result");
    return 0;
  }
  LOCKSTEP_TRY(print_text(format_table({{"schema version", std::to_string(summary.schema_version)},
                                        {"epoch", std::to_string(summary.epoch)},
                                        {"jobs", grouped_digits(summary.jobs)},
                                        {"waiting", grouped_digits(summary.waiting)},
                                        {"batches", grouped_digits(summary.batches)},
                                        {"files", grouped_digits(summary.files)}},
                                       "")),
               "result");
  return 0;
}

Result<int> add_key(const KeyOptions& options, const CommandContext& context) {
  ApiKey key;
  key.tenant = options.tenant;
  key.scopes = options.scopes;
  if (key.scopes.empty()) key.scopes = {"inference", "batch"};
  key.created_ms = now_ms();
  if (!options.expires.empty()) {
    const Result<std::int64_t> window = parse_completion_window(options.expires);
    if (!window.ok()) {
      return Error{ErrorCode::kInvalidArgument,
                   "--expires: expected a time such as \"24h\", at most \"30d\""};
    }
    key.expires_ms = key.created_ms + window.value();
  }
  key.tokens_per_minute = options.tokens_per_minute;
  key.weight = options.weight;
  const auto place = std::find(kPriorities.begin(), kPriorities.end(), options.priority);
  key.best_priority = static_cast<PriorityClass>(place - kPriorities.begin());
  LOCKSTEP_TRY_ASSIGN(ApiKeyFile keys, ApiKeyFile::open(options.directory), "keys");
  LOCKSTEP_TRY_ASSIGN(const std::string text, keys.add(std::move(key), system_random()), "keys");
  if (context.json) {
    LOCKSTEP_TRY(print_json(OrderedJson{{"key", text}}), "result");
    return 0;
  }
  LOCKSTEP_TRY(print_text(text + "\n"), "result");
  report_hint(context, "this is the only time that the key is shown");
  return 0;
}

OrderedJson key_json(const ApiKey& key) {
  return {{"id", key.id},
          {"tenant", key.tenant},
          {"scopes", key.scopes},
          {"created_ms", key.created_ms},
          {"expires_ms", key.expires_ms},
          {"tokens_per_minute", key.tokens_per_minute},
          {"weight", key.weight},
          {"priority", kPriorities[static_cast<std::size_t>(key.best_priority)]}};
}

Result<int> list_keys(const KeyOptions& options, const CommandContext& context) {
  LOCKSTEP_TRY_ASSIGN(ApiKeyFile file, ApiKeyFile::open(options.directory), "keys");
  LOCKSTEP_TRY_ASSIGN(const std::vector<ApiKey> keys, file.list(), "keys");
  OrderedJson json = OrderedJson::array();
  std::vector<std::vector<std::string>> rows = {
      {"id", "tenant", "scopes", "expires", "tokens/min", "weight", "priority"}};
  for (const ApiKey& key : keys) {
    json.push_back(key_json(key));
    std::string scopes;
    for (const std::string& scope : key.scopes) scopes += (scopes.empty() ? "" : ",") + scope;
    std::string expires = "never";
    if (key.expires_ms != 0) {
      const std::int64_t left_ms = key.expires_ms - now_ms();
      expires = left_ms > 0 ? "in " + human_seconds(static_cast<double>(left_ms) / 1000) : "past";
    }
    rows.push_back({key.id, key.tenant, scopes, expires,
                    key.tokens_per_minute == 0 ? "-" : std::to_string(key.tokens_per_minute),
                    std::to_string(key.weight),
                    kPriorities[static_cast<std::size_t>(key.best_priority)]});
  }
  if (context.json) {
    LOCKSTEP_TRY(print_json({{"keys", json}}), "result");
  } else {
    LOCKSTEP_TRY(print_text(format_table(rows, "")), "result");
  }
  return 0;
}

Result<int> revoke_key(const KeyOptions& options) {
  LOCKSTEP_TRY_ASSIGN(ApiKeyFile keys, ApiKeyFile::open(options.directory), "keys");
  LOCKSTEP_TRY(keys.revoke(options.id), "keys");
  return 0;
}

void add_key_add_command(CLI::App& key_command, CommandContext& context) {
  const auto options = std::make_shared<KeyOptions>();
  CLI::App& command = add_command(
      key_command, "add",
      {.summary = "makes an API key and prints it, once. A running gateway knows it in a second.",
       .usages = {"lockstep state key add --state DIR --tenant NAME [options]"}});
  add_state_option(command, options->directory);
  add_text(command, "--tenant", options->tenant, "Whose requests they are.")
      ->required()
      ->type_name("NAME")
      ->group("Required");
  command
      .add_option("--scope", options->scopes,
                  "inference, batch or admin; may be given again. [inference and batch]")
      ->type_name("NAME");
  add_text(command, "--expires", options->expires, "After this time: 12h, 30d. [never]")
      ->type_name("TIME");
  add_integer(command, "--tokens-per-minute", options->tokens_per_minute,
              {0, std::uint64_t{1} << 40}, "Prompt and completion tokens; 0: no limit.");
  add_integer(command, "--weight", options->weight, {1, 1000}, "Share of its tenant.");
  add_choice(command, "--priority", options->priority, kPriorities,
             "The best class that may be asked for.");
  add_json_flag(command, context);
  set_action(command, context, [options, &context] { return add_key(*options, context); });
}

void add_key_commands(CLI::App& state_command, CommandContext& context) {
  CLI::App& key =
      add_command(state_command, "key",
                  {.summary = "makes, lists and revokes API keys, while a gateway runs or not.",
                   .usages = {"lockstep state key add --state DIR --tenant NAME [options]",
                              "lockstep state key list --state DIR",
                              "lockstep state key revoke ID --state DIR"}});
  key.require_subcommand(1);
  add_key_add_command(key, context);

  const auto list_options = std::make_shared<KeyOptions>();
  CLI::App& list = add_command(key, "list",
                               {.summary = "shows all API keys, without their secrets.",
                                .usages = {"lockstep state key list --state DIR"}});
  add_state_option(list, list_options->directory);
  add_json_flag(list, context);
  set_action(list, context, [list_options, &context] { return list_keys(*list_options, context); });

  const auto revoke_options = std::make_shared<KeyOptions>();
  CLI::App& revoke =
      add_command(key, "revoke",
                  {.summary = "ends an API key. A running gateway refuses it in a second.",
                   .usages = {"lockstep state key revoke ID --state DIR"}});
  add_text(revoke, "ID", revoke_options->id, "The key's id, as `list` shows it.")
      ->required()
      ->group("Required");
  add_state_option(revoke, revoke_options->directory);
  add_json_flag(revoke, context);
  set_action(revoke, context, [revoke_options] { return revoke_key(*revoke_options); });
}

}  // namespace

void add_state_command(CLI::App& root, CommandContext& context) {
  CLI::App& command = add_command(
      root, "state",
      {.summary = "looks after what a gateway keeps on disk: backups, checks, API keys.",
       .usages = {"lockstep state backup --state DIR --out FILE",
                  "lockstep state check --state DIR",
                  "lockstep state key add|list|revoke --state DIR"}});
  command.require_subcommand(1);

  const auto backup_options = std::make_shared<StateOptions>();
  CLI::App& backup = add_command(command, "backup",
                                 {.summary = "copies the gateway's database into one file, also "
                                             "while it runs; to restore, stop the gateway and "
                                             "put it in the place of DIR/gateway.sqlite.",
                                  .usages = {"lockstep state backup --state DIR --out FILE"}});
  add_state_option(backup, backup_options->directory);
  add_text(backup, "--out", backup_options->out, "The copy; must not be there yet.")
      ->required()
      ->type_name("FILE")
      ->group("Required");
  add_json_flag(backup, context);
  set_action(backup, context,
             [backup_options, &context] { return back_up(*backup_options, context); });

  const auto check_options = std::make_shared<StateOptions>();
  CLI::App& check_command =
      add_command(command, "check",
                  {.summary = "reads the whole database and says whether it is sound.",
                   .usages = {"lockstep state check --state DIR"}});
  add_state_option(check_command, check_options->directory);
  add_json_flag(check_command, context);
  set_action(check_command, context,
             [check_options, &context] { return check(*check_options, context); });

  add_key_commands(command, context);
}

}  // namespace lockstep
