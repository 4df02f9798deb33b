#include "cli/slurm/job_gateway.h"

#include <unistd.h>

#include <filesystem>
#include <utility>

#include "base/config.h"
#include "base/file.h"
#include "base/log.h"
#include "base/process.h"
#include "cli/options.h"
#include "cli/slurm/step_place.h"

namespace lockstep {
namespace {

constexpr std::uint64_t kMaxCertificateBytes = 32 << 10;

}  // namespace

void add_job_gateway_options(CLI::App& command, JobGatewayOptions& options) {
  const std::string group = "Inside a Slurm job";
  add_flag(command, "--slurm", options.in_job,
           "Listen at the step's reserved ports, end steps of replicas that hang.")
      ->group(group);
  add_text(command, "--interface", options.interface,
           "Network to listen at, such as ib0. [what the host's name stands for]")
      ->type_name("NAME")
      ->group(group);
  add_text(command, "--registry", options.registry,
           "Where to say how this gateway is reached, for `lockstep tunnel`.")
      ->type_name("FILE")
      ->group(group);
  add_text(command, "--client-key-file", options.key_file,
           "Named in the registry: where a client's API key lies.")
      ->type_name("FILE")
      ->group(group);
}

Status place_in_job(const JobGatewayOptions& options, GatewayConfig& config) {
  if (!options.in_job) return {};
  config.slurm_job = environment_variable("SLURM_JOB_ID").value_or("");
  if (config.slurm_job.empty()) {
    return Error{ErrorCode::kInvalidArgument, "--slurm: SLURM_JOB_ID is not set; this is no job"};
  }
  LOCKSTEP_TRY_ASSIGN(config.host, address_of(options.interface), "--interface");
  config.replica_host = config.host;
  config.port = 0;
  config.replica_port = 0;
  const auto reserved = environment_variable("SLURM_STEP_RESV_PORTS");
  if (!reserved || reserved->empty()) return {};
  LOCKSTEP_TRY_ASSIGN(const auto ports, parse_ports(*reserved), "SLURM_STEP_RESV_PORTS");
  config.port = ports[0];
  // A gateway that was started again in this job listens where its replicas look for it.
  const bool is_first = !std::filesystem::exists(config.state + "/replica.endpoint");
  if (is_first && ports.size() > 1) config.replica_port = ports[1];
  return {};
}

RegistryLease::RegistryLease(const JobGatewayOptions& options, Registration registration,
                             const Clock& clock)
    : path_(options.registry), registration_(std::move(registration)), clock_(clock) {
  registration_.job = environment_variable("SLURM_JOB_ID").value_or("");
  registration_.host = host_name();
  if (!registration_.certificate.empty()) {
    // The gateway has read it a moment ago.
    auto read = read_file(registration_.certificate, kMaxCertificateBytes);
    registration_.certificate = read.ok() ? std::move(read).value() : "";
  }
  renew();
}

RegistryLease::~RegistryLease() {
  if (path_.empty()) return;
  const auto found = look_up(path_, 0);
  if (found.ok() && found.value().url == registration_.url) (void)::unlink(path_.c_str());
}

void RegistryLease::renew() {
  const std::int64_t now_ms = clock_.unix_ms();
  const bool is_due = renewed_ms_ == 0 || now_ms - renewed_ms_ >= kRegistryRenewMs;
  if (path_.empty() || !is_due) return;
  renewed_ms_ = now_ms;
  registration_.published_ms = now_ms;
  registration_.expires_ms = now_ms + kRegistryLeaseMs;
  if (const Status published = publish(path_, registration_); !published.ok()) {
    log_event(LogLevel::kError, "registry_not_written", {{"error", published.error().message}});
  }
}

}  // namespace lockstep
