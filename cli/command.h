// What the subcommands share: how one is registered, how it ends, how it speaks. A subcommand lives
// in its own file and offers one function, `void add_<name>_command(CLI::App& root, CommandContext&
// context)`, that main.cc lists:
//
//   CLI::App& command = add_command(root, "shard", {"imports a GGUF file ...", {"lockstep shard IN
//   --out DIR"}}); add_integer(command, "--parts", options->parts, {1, 4096}, "Parts of the
//   store."); add_json_flag(command, context); set_action(command, context, [options, &context] {
//   return run_shard(*options, context.json); });
#pragma once

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "base/result.h"

namespace lockstep {

// The state of one start of the program. Lives in main, longer than every action.
struct CommandContext {
  // Does the work after parsing and gives the exit status; an Error is printed by main and gives
  // its own status.
  std::function<Result<int>()> action;
  std::string
      command;  // "lockstep shard", in front of every message; "lockstep" while none was chosen.
  bool json = false;  // Results on stdout and errors on stderr are one JSON object each.
  LogLevel log_level = LogLevel::kWarning;  // Where --log-level is not given.
};

// What `--help` says beyond the options.
struct CommandHelp {
  std::string summary;              // "imports a GGUF file into a store."
  std::vector<std::string> usages;  // Whole lines: "lockstep shard IN.gguf --out DIR [options]".
  // Behind "Exit status: ".
  std::string exit_status =
      "0 done; 64 wrong usage; 65 bad data; 69 unavailable; 70 a bug; 74 I/O; 75 try again.";
};

// Adds a subcommand with our help layout. `parent` may be a subcommand itself ("chain"); one that
// also acts alone says parent.require_subcommand(0, 1) afterwards. The reference is good as long as
// `parent`.
CLI::App& add_command(CLI::App& parent, const std::string& name, CommandHelp help);

// `--json`, the same in every subcommand.
CLI::Option* add_json_flag(CLI::App& command, CommandContext& context);

// Chooses what happens when `command` was asked for. Options are owned by the action: share them by
// std::shared_ptr.
void set_action(CLI::App& command, CommandContext& context, std::function<Result<int>()> action);

// For a subcommand that serves: what it logs by default are state changes (info), too.
void log_state_changes(CLI::App& command, CommandContext& context);

// Prints an error as one line on stderr: "lockstep shard: MESSAGE", or with `json`
// {"error":{"code":"corrupt","exit_status":65,"message":"..."}}. Returns the exit status.
int report_error(const CommandContext& context, const Error& error);

// A line "lockstep shard: hint: MESSAGE" on stderr; nothing with `json`.
void report_hint(const CommandContext& context, std::string_view message);

// Parses, fills in what environment and file say, acts, and returns the exit status of the process.
// Requires: the subcommands are added to `root`, a root made by make_root.
int run_application(CLI::App& root, CommandContext& context, int argc, const char* const* argv);

// The program without subcommands: global options and version. `context` must outlive it.
std::unique_ptr<CLI::App> make_root(CommandContext& context);

// "lockstep 0.1.0 ...": program, numerics, schema, build type, compiler, one a line.
std::string version_text();

// One function a subcommand, each in its own file.
void add_shard_command(CLI::App& root, CommandContext& context);
void add_inspect_command(CLI::App& root, CommandContext& context);
void add_doctor_command(CLI::App& root, CommandContext& context);
void add_run_command(CLI::App& root, CommandContext& context);
void add_batch_command(CLI::App& root, CommandContext& context);
void add_serve_command(CLI::App& root, CommandContext& context);
void add_signer_command(CLI::App& root, CommandContext& context);
void add_worker_command(CLI::App& root, CommandContext& context);
void add_submit_command(CLI::App& root, CommandContext& context);
void add_usage_command(CLI::App& root, CommandContext& context);
void add_manual_command(CLI::App& root, CommandContext& context);
void add_tunnel_command(CLI::App& root, CommandContext& context);
void add_bench_command(CLI::App& root, CommandContext& context);
void add_chain_command(CLI::App& root, CommandContext& context);
void add_state_command(CLI::App& root, CommandContext& context);

}  // namespace lockstep
