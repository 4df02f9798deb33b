// `lockstep manual`: manual pages and shell completions, from the same tables as the options.
#include <functional>

#include "cli/command.h"
#include "cli/manual/completion.h"
#include "cli/manual/page.h"
#include "cli/options.h"
#include "cli/output.h"

namespace lockstep {
namespace {

struct ManualOptions {
  std::string what;
  std::string command;
};

Result<int> print_manual(const ManualOptions& options, const CLI::App& root) {
  std::string text;
  if (options.what == "bash") {
    text = bash_completion(root);
  } else if (options.what == "zsh") {
    text = zsh_completion(root);
  } else if (options.what == "fish") {
    text = fish_completion(root);
  } else if (options.what == "names") {
    for (const std::string& name : page_names(root)) text += name + "\n";
  } else {
    LOCKSTEP_TRY_ASSIGN(text, manual_page(root, options.command), "manual");
  }
  LOCKSTEP_TRY(print_text(text), "result");
  return 0;
}

}  // namespace

void add_manual_command(CLI::App& root, CommandContext& context) {
  const auto options = std::make_shared<ManualOptions>();
  CLI::App& command = add_command(root, "manual",
                                  {.summary = "prints manual pages and shell completions.",
                                   .usages = {"lockstep manual page [serve] | man -l -",
                                              "lockstep manual bash|zsh|fish    (completions)",
                                              "lockstep manual names            (of all pages)"}});
  add_choice(command, "WHAT", options->what, {"page", "names", "bash", "zsh", "fish"}, "What.")
      ->required()
      ->group("Required");
  add_text(command, "COMMAND", options->command, "A subcommand, for `page`. [all of lockstep]");
  set_action(command, context, [options, &root] { return print_manual(*options, root); });
}

}  // namespace lockstep
