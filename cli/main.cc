// lockstep: the one executable. The list of subcommands is here and nowhere else.
#include "cli/command.h"

int main(int argc, char** argv) {
  lockstep::CommandContext context;
  const auto root = lockstep::make_root(context);
  lockstep::add_shard_command(*root, context);
  lockstep::add_inspect_command(*root, context);
  lockstep::add_run_command(*root, context);
  lockstep::add_batch_command(*root, context);
  lockstep::add_serve_command(*root, context);
  lockstep::add_worker_command(*root, context);
  lockstep::add_submit_command(*root, context);
  lockstep::add_tunnel_command(*root, context);
  lockstep::add_usage_command(*root, context);
  lockstep::add_chain_command(*root, context);
  lockstep::add_signer_command(*root, context);
  lockstep::add_state_command(*root, context);
  lockstep::add_bench_command(*root, context);
  lockstep::add_doctor_command(*root, context);
  lockstep::add_manual_command(*root, context);
  return lockstep::run_application(*root, context, argc, argv);
}
