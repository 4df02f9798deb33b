// What makes a gateway one of a Slurm job: its address and ports, its entry in the registry.
#pragma once

#include <cstdint>
#include <string>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/slurm/registry.h"
#include "scheduler/gateway.h"

namespace lockstep {

struct JobGatewayOptions {
  bool in_job = false;    // --slurm
  std::string interface;  // Of --host and --replica-host; empty: what this host's name stands for.
  std::string registry;   // The file to publish; empty: none.
  std::string key_file;   // Of a client, named there.
};

void add_job_gateway_options(CLI::App& command, JobGatewayOptions& options);

// Takes address and ports from where the step runs: SLURM_STEP_RESV_PORTS, without it any free
// ones. Steps that hang are ended with scancel. Nothing without --slurm.
Status place_in_job(const JobGatewayOptions& options, GatewayConfig& config);

// Publishes the gateway as long as it lives and is renewed; then the file is removed, unless
// another gateway has replaced it.
class RegistryLease {
 public:
  // `registration.certificate` is the path of the PEM file. Publishes at once; what cannot be
  // written is logged and tried again.
  RegistryLease(const JobGatewayOptions& options, Registration registration, const Clock& clock);
  ~RegistryLease();
  RegistryLease(const RegistryLease&) = delete;
  RegistryLease& operator=(const RegistryLease&) = delete;

  // Call it often; it writes every kRegistryRenewMs.
  void renew();

 private:
  const std::string path_;
  Registration registration_;
  const Clock& clock_;
  std::int64_t renewed_ms_ = 0;
};

}  // namespace lockstep
