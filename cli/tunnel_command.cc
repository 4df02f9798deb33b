// `lockstep tunnel`: a port of this machine that leads to the gateway of a job.
#include <cstdio>
#include <filesystem>

#include "base/clock.h"
#include "base/config.h"
#include "base/log.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/slurm/registry.h"
#include "cli/slurm/relay.h"

namespace lockstep {
namespace {

struct TunnelOptions {
  std::string job;
  std::string registry;
  int port = 8000;
  bool show = false;
};

// JOB is a number, or the path of a registry file.
Result<std::string> registry_path(const TunnelOptions& options) {
  if (options.job.find('/') != std::string::npos) return options.job;
  if (options.job.empty() || options.job.size() > 20 ||
      options.job.find_first_not_of("0123456789_") != std::string::npos) {
    return Error{ErrorCode::kInvalidArgument,
                 "JOB: expected the number that `lockstep submit` printed, got \"" +
                     options.job.substr(0, 60) + "\""};
  }
  std::string folder = options.registry;
  if (folder.empty()) folder = environment_variable("HOME").value_or("") + "/.lockstep/jobs";
  return folder + "/" + options.job + ".json";
}

Result<Registration> find(const std::string& path) {
  auto found = look_up(path, system_clock().unix_ms());
  if (!found.ok() && found.error().code == ErrorCode::kNotFound) {
    return Error{ErrorCode::kNotFound, path +
                                           ": not there; does the job run yet (squeue), and is "
                                           "its gateway up (its log)?"};
  }
  return found;
}

Status show(const Registration& found) {
  return print_json({{"job", found.job},
                     {"url", found.url},
                     {"host", found.host},
                     {"model", found.model},
                     {"key_file", found.key_file},
                     {"state", found.state},
                     {"certificate", found.certificate},
                     {"expires_ms", found.expires_ms}});
}

Result<int> tunnel(const TunnelOptions& options) {
  LOCKSTEP_TRY_ASSIGN(const std::string path, registry_path(options), "tunnel");
  LOCKSTEP_TRY_ASSIGN(const Registration found, find(path), "tunnel");
  if (options.show) {
    LOCKSTEP_TRY(show(found), "result");
    return 0;
  }
  const Interrupt interrupt;
  const auto find_target = [&path]() -> Result<RelayTarget> {
    LOCKSTEP_TRY_ASSIGN(const Registration now, find(path), "tunnel");
    return parse_target(now.url, now.certificate);
  };
  LOCKSTEP_TRY_ASSIGN(const RelayTarget first, find_target(), path);
  LOCKSTEP_TRY_ASSIGN(const auto relay,
                      Relay::start(static_cast<std::uint16_t>(options.port), find_target),
                      "--port");
  // The one line of stdout: scripts wait for it.
  LOCKSTEP_TRY(print_text("http://127.0.0.1:" + std::to_string(relay->port()) + "\n"), "result");
  if (!found.key_file.empty()) {
    (void)std::fprintf(stderr, "model %s on %s; the API key is in %s\n", found.model.c_str(),
                       found.host.c_str(), found.key_file.c_str());
  }
  log_event(LogLevel::kInfo, "tunnel", {{"to", first.host}});
  relay->run(Interrupt::requested());
  return 0;
}

}  // namespace

void add_tunnel_command(CLI::App& root, CommandContext& context) {
  const auto options = std::make_shared<TunnelOptions>();
  CLI::App& command = add_command(
      root, "tunnel",
      {.summary = "opens a port of this machine that leads to the gateway of a Slurm job, and to "
                  "its successors.",
       .usages = {"lockstep tunnel JOB [--port 8000]", "lockstep tunnel JOB --show"},
       .exit_status = "0 ended by SIGINT or SIGTERM; 64 wrong usage; 65 a damaged registry file; "
                      "66 the job has no gateway yet; 69 its lease ran out, or the port is "
                      "taken."});
  add_text(command, "JOB", options->job,
           "The number that `lockstep submit` printed, or the path of a registry file.")
      ->required()
      ->group("Required");
  add_text(command, "--registry", options->registry, "As in `lockstep submit`. [~/.lockstep/jobs]")
      ->type_name("DIR");
  add_integer(command, "--port", options->port, {0, 65535}, "Port at 127.0.0.1; 0: any free one.");
  add_flag(command, "--show", options->show, "Print what the registry says, open nothing.");
  add_json_flag(command, context);
  set_action(command, context, [options] { return tunnel(*options); });
}

}  // namespace lockstep
