// Completions of shells, from a program's tree of subcommands and options. Pure.
#pragma once

#include <CLI/App.hpp>
#include <string>

namespace lockstep {

std::string bash_completion(const CLI::App& root);
std::string zsh_completion(const CLI::App& root);
std::string fish_completion(const CLI::App& root);

}  // namespace lockstep
