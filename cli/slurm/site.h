// What a Slurm site says of itself, once for all its users: the TOML file of LOCKSTEP_SITE, else
// /etc/lockstep/site.toml where there is one. slurm/site.toml shows every name.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace lockstep {

inline constexpr const char* kSiteFile = "/etc/lockstep/site.toml";

struct SlurmSite {
  std::string path;  // Where it was read; empty: nowhere, all defaults.

  // Of sbatch, where the command line says nothing.
  std::string partition;
  std::string account;
  std::string qos;
  std::string constraint;
  std::vector<std::string> required;   // Whole options that every job gets: "--exclusive".
  std::vector<std::string> forbidden;  // Options that no job may have: "--gres".
  std::vector<std::string> srun;       // Whole options of every replica's step.

  std::string mpi = "pmix";
  std::string interface;    // The network of gateway and replicas; empty: of the host's name.
  std::string state_root;   // State directories lie below it; empty: ~/.lockstep.
  std::string scratch;      // Of each node, TMPDIR of all steps; empty: as it is.
  std::string templates;    // The site's own job scripts, by the names of ours.
  std::string setup;        // Shell lines that every job begins with.
  int overlap_minutes = 5;  // How long a job and its successor run side by side.
  int signal_seconds = 120;
  int drain_seconds = 60;  // Of these, for what runs.
  int max_restarts = 20;
};

// The text of a site's file named `path`. kInvalidArgument names file, line and what was expected.
Result<SlurmSite> parse_site(std::string_view text, const std::string& path);

// The file that counts. kNotFound only when LOCKSTEP_SITE names one that is not there.
Result<SlurmSite> read_site();

}  // namespace lockstep
