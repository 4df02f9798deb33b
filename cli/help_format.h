// The layout of `--help`: what it does, how people run it, grouped options with their defaults,
// what the exit status means.
#pragma once

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <string>

#include "cli/command.h"

namespace lockstep {

class HelpFormat final : public CLI::FormatterBase {
 public:
  explicit HelpFormat(CommandHelp help) : help_(std::move(help)) {}

  std::string make_help(const CLI::App* app, std::string name,
                        CLI::AppFormatMode mode) const override;

 private:
  CommandHelp help_;
};

// "lockstep chain verify".
std::string full_name(const CLI::App& command);

}  // namespace lockstep
