#include <cstdio>
#include <cstring>
#include <exception>
#include <new>

#include "base/config.h"
#include "base/log.h"
#include "cli/command.h"
#include "cli/help_format.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/settings.h"
#include "cli/usage_error.h"
#include "cli/version.h"
#include "sharding/store.h"

namespace lockstep {
namespace {

constexpr int kConfigurationStatus = 78;  // sysexits EX_CONFIG: a job that Slurm should hold.
constexpr int kUsageStatus = 64;

std::string build_type() {
#ifdef NDEBUG
  std::string type = "release";
#else
  std::string type = "debug";
#endif
#ifdef __SANITIZE_ADDRESS__
  type += ", address sanitizer";
#endif
#ifdef __SANITIZE_THREAD__
  type += ", thread sanitizer";
#endif
  return type;
}

void print_error(const CommandContext& context, std::string_view code, int status,
                 std::string message) {
  for (char& c : message) {
    if (c == '\n' || c == '\r') c = ' ';
  }
  std::string line = context.command + ": " + message;
  if (context.json) {
    OrderedJson error;
    error["error"] = {{"code", code}, {"exit_status", status}, {"message", message}};
    line = error.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
  }
  (void)std::fprintf(stderr, "%s\n", line.c_str());
}

// All ranks of an MPI world are given the same command line; one answer to it is enough.
bool is_other_rank() {
  for (const char* name : {"OMPI_COMM_WORLD_RANK", "PMIX_RANK"}) {
    const auto rank = environment_variable(name);
    if (rank) return *rank != "0";
  }
  return false;
}

int print_answer(const std::string& text) {
  return is_other_rank() || print_text(text).ok() ? 0 : exit_status(ErrorCode::kIo);
}

int report_parse_error(CLI::App& root, CommandContext& context, const SettingsSource& settings,
                       const CLI::ParseError& error) {
  context.command = full_name(chosen_command(root));
  if (dynamic_cast<const CLI::CallForHelp*>(&error) != nullptr) {
    return print_answer(root.help());
  }
  if (error.get_exit_code() == 0) {
    return print_answer(std::string(error.what()) + "\n");
  }
  const UsageError usage = explain_usage_error(root, error);
  std::string message = usage.message;
  const std::string origin = settings.origin_of(usage.option);
  if (!origin.empty()) message += " (from " + origin + ")";
  const bool configuration = settings.failed() || !origin.empty() ||
                             dynamic_cast<const CLI::FileError*>(&error) != nullptr;
  const int status = configuration ? kConfigurationStatus : kUsageStatus;
  if (is_other_rank()) return status;
  print_error(context, configuration ? "configuration" : "usage", status, message);
  if (!configuration && usage.option.empty()) {
    report_hint(context, "`" + context.command + " --help` lists what there is");
  }
  return status;
}

// Exceptions of libraries end here.
Result<int> act(const CommandContext& context) {
  try {
    return context.action();
  } catch (const std::bad_alloc&) {
    return Error{ErrorCode::kExhausted, "out of memory"};
  } catch (const std::exception& exception) {
    return Error{ErrorCode::kInternal, std::string("unexpected exception: ") + exception.what()};
  }
}

void add_global_options(CLI::App& root, const CommandContext& context) {
  root.set_help_flag("-h,--help", "This text; `lockstep SUBCOMMAND --help` for one subcommand.");
  root.set_version_flag("--version", version_text,
                        "Versions of program, numerics and store; build type; compiler.");
  struct LogOptions {
    std::string level = "warning";
    std::string format = "text";
  };
  const auto log = std::make_shared<LogOptions>();
  add_choice(root, "--log-level", log->level, {"debug", "info", "warning", "error", "off"},
             "What is logged on stderr, one event a line.")
      ->type_name("LEVEL");
  root.get_option("--log-level")
      ->description(
          "debug, info, warning, error or off: what is logged on stderr. [warning; serve and "
          "worker: info]");
  add_choice(root, "--log-format", log->format, {"text", "json"},
             "One event a line, for people or for programs.");
  root.parse_complete_callback([log, &context, option = root.get_option("--log-level")] {
    const auto level = parse_log_level(log->level);
    configure_log(option->count() > 0 && level.ok() ? level.value() : context.log_level,
                  log->format == "json" ? LogFormat::kJson : LogFormat::kText);
  });
}

}  // namespace

std::string version_text() {
  return std::string("lockstep ") + kProgramVersion + "\nnumerics version " +
         std::to_string(kNumericsVersion) + "\nstore schema version " +
         std::to_string(kStoreSchemaVersion) + "\nbuild type " + build_type() + "\ncompiler " +
#ifdef __clang__
         __VERSION__;
#else
         "GCC " __VERSION__;
#endif
}

std::unique_ptr<CLI::App> make_root(CommandContext& context) {
  context.command = "lockstep";
  auto root = std::make_unique<CLI::App>("", "lockstep");
  root->formatter(std::make_shared<HelpFormat>(
      CommandHelp{.summary = "runs one large language model over many ranks, and the answer is the "
                             "same, bit for bit, for any number of them.",
                  .usages = {"lockstep SUBCOMMAND [options]"}}));
  add_global_options(*root, context);
  return root;
}

CLI::App& add_command(CLI::App& parent, const std::string& name, CommandHelp help) {
  parent.require_subcommand(1, 1);
  CLI::App& command = *parent.add_subcommand(name, help.summary);
  command.set_help_flag("-h,--help", "This text.");
  command.fallthrough();  // Global options may stand behind the subcommand.
  command.formatter(std::make_shared<HelpFormat>(std::move(help)));
  return command;
}

CLI::Option* add_json_flag(CLI::App& command, CommandContext& context) {
  return add_flag(command, "--json", context.json,
                  "One JSON object on stdout; an error is one JSON object on stderr.");
}

void set_action(CLI::App& command, CommandContext& context, std::function<Result<int>()> action) {
  command.callback([&command, &context, action = std::move(action)] {
    if (!command.get_subcommands().empty()) return;  // Its subcommand was asked for, not itself.
    context.command = full_name(command);
    context.action = action;
  });
}

void log_state_changes(CLI::App& command, CommandContext& context) {
  command.preparse_callback([&context](std::size_t) { context.log_level = LogLevel::kInfo; });
}

int report_error(const CommandContext& context, const Error& error) {
  const int status = exit_status(error.code);
  // Errors that all ranks agreed on are rank 0's to tell; a rank that is lost alone has told the
  // log.
  if (is_other_rank()) return status;
  print_error(context, error_code_name(error.code), status, error.message);
  return status;
}

void report_hint(const CommandContext& context, std::string_view message) {
  if (context.json) return;
  (void)std::fprintf(stderr, "%s: hint: %.*s\n", context.command.c_str(),
                     static_cast<int>(message.size()), message.data());
}

int run_application(CLI::App& root, CommandContext& context, int argc, const char* const* argv) {
  SettingsSource settings(root);
  try {
    root.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    for (int i = 1; i < argc; ++i) {
      if (std::strcmp(argv[i], "--json") == 0)
        context.json = true;  // Its callback may not have run.
    }
    return report_parse_error(root, context, settings, error);
  }
  settings.log_origins();
  CHECK(context.action != nullptr, "a subcommand without an action");
  const Result<int> status = act(context);
  return status.ok() ? status.value() : report_error(context, status.error());
}

}  // namespace lockstep
