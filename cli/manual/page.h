// Manual pages in roff (man(7)), from a program's tree of subcommands and options. Pure.
#pragma once

#include <CLI/App.hpp>
#include <string>
#include <vector>

#include "base/result.h"

namespace lockstep {

// "lockstep", "lockstep-serve", "lockstep-batch-run", ...
std::vector<std::string> page_names(const CLI::App& root);

// Section 1. `command` is "" for the program, "serve" or "batch run" (also "batch-run").
// kNotFound names what there is.
Result<std::string> manual_page(const CLI::App& root, const std::string& command);

// Text that roff prints as it is.
std::string roff_text(std::string_view text);

}  // namespace lockstep
