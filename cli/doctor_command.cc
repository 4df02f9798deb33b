// `lockstep doctor`: what this machine offers, what is missing, and the fix.
#include <cstdint>
#include <memory>
#include <string>

#include "cli/command.h"
#include "cli/doctor/check.h"
#include "cli/doctor/slurm_checks.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/replica_session.h"

namespace lockstep {

std::string_view check_state_name(CheckState state) {
  switch (state) {
    case CheckState::kOk:
      return "ok";
    case CheckState::kWarn:
      return "warn";
    case CheckState::kMissing:
      return "missing";
  }
  return "";
}

namespace {

struct Report {
  std::vector<DeviceReport> devices;
  std::vector<Check> checks;

  bool usable() const {
    for (const DeviceReport& device : devices) {
      if (device.available) return true;
    }
    return false;
  }
  int count(CheckState state) const {
    int count = 0;
    for (const Check& check : checks) count += check.state == state ? 1 : 0;
    return count;
  }
};

Report examine(const std::string& cuda_plugin) {
  Report report{.devices = device_reports(cuda_plugin), .checks = {}};
  for (const auto& checks : {cpu_checks, memory_checks, runtime_checks, system_checks}) {
    for (Check& check : checks()) report.checks.push_back(std::move(check));
  }
  return report;
}

OrderedJson to_json(const Report& report) {
  OrderedJson json;
  json["usable"] = report.usable();
  json["warnings"] = report.count(CheckState::kWarn);
  json["missing"] = report.count(CheckState::kMissing);
  json["devices"] = OrderedJson::array();
  for (const DeviceReport& device : report.devices) {
    json["devices"].push_back(
        {{"name", device.name}, {"available", device.available}, {"reason", device.reason}});
  }
  json["instruction_sets"] = OrderedJson::object();
  for (const CpuFeature& feature : cpu_features()) {
    json["instruction_sets"][feature.name] = feature.present;
  }
  json["checks"] = OrderedJson::array();
  for (const Check& check : report.checks) {
    json["checks"].push_back({{"area", check.area},
                              {"name", check.name},
                              {"state", check_state_name(check.state)},
                              {"value", check.value},
                              {"fix", check.fix}});
  }
  return json;
}

std::string to_text(const Report& report) {
  std::vector<std::vector<std::string>> rows;
  for (const DeviceReport& device : report.devices) {
    rows.push_back({device.available ? "ok" : "missing", "device", device.name, device.reason});
  }
  for (const Check& check : report.checks) {
    rows.push_back(
        {std::string(check_state_name(check.state)), check.area, check.name, check.value});
    if (!check.fix.empty()) rows.push_back({"", "", "", "fix: " + check.fix});
  }
  const int warnings = report.count(CheckState::kWarn);
  const int missing = report.count(CheckState::kMissing);
  return format_table(rows, "") + "\n" +
         (report.usable() ? "Models run here" : "No device can run a model here") + "; " +
         std::to_string(warnings) + (warnings == 1 ? " warning, " : " warnings, ") +
         std::to_string(missing) + " missing.\n";
}

struct DoctorOptions {
  bool slurm = false;
  SlurmCheckOptions checks;
  std::string cuda_plugin;
};

constexpr int kConfigurationStatus = 78;

// All that a job looks at before it starts; what cannot work ends it, held.
Result<int> doctor_slurm(const DoctorOptions& options, const CommandContext& context) {
  Report report;
  LOCKSTEP_TRY_ASSIGN(report.checks, slurm_checks(options.checks), "doctor");
  if (report.checks.empty()) return 0;  // Rank 0 tells.
  report.devices = device_reports(options.cuda_plugin);
  const Status printed = context.json ? print_json(to_json(report)) : print_text(to_text(report));
  LOCKSTEP_TRY(printed, "result");
  if (!report.usable()) return exit_status(ErrorCode::kUnavailable);
  return report.count(CheckState::kMissing) > 0 ? kConfigurationStatus : 0;
}

Result<int> doctor(const DoctorOptions& options, const CommandContext& context) {
  if (options.slurm) return doctor_slurm(options, context);
  const Report report = examine(options.cuda_plugin);
  const Status printed = context.json ? print_json(to_json(report)) : print_text(to_text(report));
  LOCKSTEP_TRY(printed, "result");
  return report.usable() ? 0 : exit_status(ErrorCode::kUnavailable);
}

}  // namespace

void add_doctor_command(CLI::App& root, CommandContext& context) {
  CLI::App& command = add_command(
      root, "doctor",
      {.summary = "shows what this machine offers and what is missing, with the fix.",
       .usages = {"lockstep doctor", "lockstep doctor --json    (for scripts and bug reports)",
                  "srun --mpi=pmix lockstep doctor --slurm --model DIR --state DIR"},
       .exit_status = "0 models run here, warnings or not; 64 wrong usage; 69 no device can run a "
                      "model; 70 a bug; 74 I/O; 78 bad configuration, or with --slurm: something "
                      "is missing."});
  const auto options = std::make_shared<DoctorOptions>();
  add_flag(command, "--slurm", options->slurm,
           "What a job needs, on all ranks of this step together: MPI, devices, limits, locks, "
           "time.");
  add_text(command, "--model", options->checks.model, "With --slurm: a store that all must see.")
      ->type_name("DIR");
  add_text(command, "--state", options->checks.state,
           "With --slurm: a gateway's state directory; locks must hold between nodes.")
      ->type_name("DIR");
  add_json_flag(command, context);
  add_cuda_plugin_option(command, options->cuda_plugin);
  set_action(command, context, [options, &context] { return doctor(*options, context); });
}

}  // namespace lockstep
