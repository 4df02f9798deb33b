// From what a user and a site ask for to a job script. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/slurm/site.h"

namespace lockstep {

struct Submission {
  std::string program;  // The executable `lockstep`, absolute.
  std::string model;    // Absolute.
  std::string model_name;
  std::string name = "lockstep";
  std::string state;     // Absolute; empty: below the site's state_root, by name.
  std::string registry;  // Folder; empty: ~/.lockstep/jobs.
  std::string home;

  std::optional<int> nodes;
  std::vector<int> ranks = {1};  // Of each replica; one number with `replicas`: of all.
  int replicas = 1;
  int gpus_per_rank = 0;
  int cpus_per_rank = 1;
  std::optional<int> ranks_per_node;
  std::string memory;  // As --mem; empty: the partition's default.
  std::string time;
  std::string partition;
  std::string account;
  std::string qos;
  std::vector<std::string> sbatch;  // More options of sbatch, whole.
  bool has_successor = true;
  bool has_checks = true;
  std::vector<std::string> gateway_options;  // Of `serve`.
  std::vector<std::string> worker_options;   // Of `worker`, or of `batch run`.

  // An offline batch instead of a service.
  std::string batch;  // Absolute; empty: serve.
  std::string out;    // Folder, absolute.
  int shards = 1;
};

// "serve.sbatch" or "batch.sbatch".
std::string template_name(const Submission& submission);

// The whole script. kInvalidArgument names the option that the site forbids, the value that cannot
// stand in a job script, or the line of the template that is wrong.
Result<std::string> job_script(const Submission& asked, const SlurmSite& site,
                               std::string_view job_template);

}  // namespace lockstep
