#include "scheduler/gateway/launcher/replica_launcher.h"

namespace lockstep {

std::vector<std::string> launch_arguments(const ReplicaCommand& command,
                                          const std::string& folder) {
  std::vector<std::string> arguments;
  const auto add = [&](std::initializer_list<std::string> more) {
    arguments.insert(arguments.end(), more);
  };
  const std::string ranks = std::to_string(command.ranks);
  if (command.by_mpi) {
    add({command.mpirun, "-n", ranks, "--oversubscribe", "--bind-to", "none"});
    if (command.as_root) add({"--allow-run-as-root"});
    add({"--mca", "btl", "self,vader"});
    // Segments and session files of ranks that are killed lie where they are removed.
    add({"--mca", "btl_vader_backing_directory", folder});
    add({"--mca", "osc_sm_backing_store_directory", folder});
    add({"--mca", "orte_tmpdir_base", folder});
  }
  add({command.program, "worker", "--model", command.model, "--gateway", command.gateway});
  // It is launched by a gateway that listens already: one that is not there has died meanwhile.
  add({"--key-file", folder + "/key", "--patience", "10"});
  if (!command.by_mpi) add({"--ranks", ranks});
  arguments.insert(arguments.end(), command.options.begin(), command.options.end());
  return arguments;
}

}  // namespace lockstep
