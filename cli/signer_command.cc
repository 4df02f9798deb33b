// `lockstep signer`: the process that has the key of a node.
#include <memory>

#include "chainbridge/signer.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/output.h"

namespace lockstep {
namespace {

struct CommandOptions {
  SignerOptions signer;
  bool create = false;
};

Result<int> act(const CommandOptions& options, const CommandContext& context) {
  if (options.create) {
    LOCKSTEP_TRY_ASSIGN(const std::string address, create_keystore(options.signer), "signer");
    LOCKSTEP_TRY(context.json ? print_json({{"address", address}}) : print_text(address + "\n"),
                 "signer");
    return 0;
  }
  for (const auto& [value, flag] : {std::pair{&options.signer.socket, "--socket"},
                                    {&options.signer.state, "--state"},
                                    {&options.signer.policy, "--policy"}}) {
    if (!value->empty()) continue;
    return Error{ErrorCode::kInvalidArgument, std::string(flag) + ": expected a path"};
  }
  const Interrupt interrupt(InterruptSignals::kService);
  LOCKSTEP_TRY(run_signer(options.signer, Interrupt::requested()), "signer");
  return 0;
}

}  // namespace

void add_signer_command(CLI::App& root, CommandContext& context) {
  const auto options = std::make_shared<CommandOptions>();
  CLI::App& command = add_command(
      root, "signer",
      {.summary = "holds the key of a node and signs what its policy allows, and nothing else.",
       .usages = {"lockstep signer --config FILE",
                  "lockstep signer --socket PATH --state FILE --keystore FILE --policy FILE "
                  "--passphrase-file FILE",
                  "lockstep signer --create-keystore --keystore NEW --passphrase-file FILE"},
       .exit_status = "0 stopped (SIGTERM); 64 wrong usage; 65 bad keystore; 66 no such file; 69 "
                      "another signer has the state; 70 a bug; 74 I/O; 75 no memory may be locked; "
                      "77 a file is not private, or the passphrase is wrong."});
  SignerOptions& signer = options->signer;
  add_text(command, "--keystore", signer.keystore, "Web3 Secret Storage, version 3.")
      ->type_name("FILE")
      ->required()
      ->group("Required");
  add_text(command, "--socket", signer.socket,
           "The Unix socket to listen at, in a folder of this user alone.")
      ->type_name("PATH");
  add_text(command, "--state", signer.state, "What was signed and spent; made if missing.")
      ->type_name("FILE");
  add_text(command, "--policy", signer.policy, "What may be signed; JSON, see chainbridge/signer.")
      ->type_name("FILE");
  add_text(command, "--passphrase-file", signer.passphrase_file,
           "The keystore's passphrase, in a file of mode 0600.")
      ->type_name("FILE");
  add_integer(command, "--passphrase-fd", signer.passphrase_fd, {0, 1023},
              "Or an open descriptor to read it from.");
  add_flag(command, "--create-keystore", options->create,
           "Make a new key, write it to --keystore, print its address, and end.");
  add_json_flag(command, context);
  log_state_changes(command, context);
  set_action(command, context, [options, &context] { return act(*options, context); });
}

}  // namespace lockstep
