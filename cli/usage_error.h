// Turns what CLI11 found wrong with a command line into one line that says what was expected.
#pragma once

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <string>

namespace lockstep {

struct UsageError {
  std::string message;
  std::string option;  // "--ranks"; empty when it is about no single option.
};

// `root` is the program's command tree just after parsing failed with `error`.
UsageError explain_usage_error(const CLI::App& root, const CLI::ParseError& error);

// The innermost subcommand that the command line names; `root` when it names none.
const CLI::App& chosen_command(const CLI::App& root);

// The candidate that `text` most likely meant: at most two edits away, or beginning with it; else
// "".
std::string closest(const std::string& text, const std::vector<std::string>& candidates);

}  // namespace lockstep
