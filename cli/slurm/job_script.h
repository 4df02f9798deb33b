// A job script from its template: `{{name}}` stands for a value. Pure.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace lockstep {

// Names and the text that is put in their place, as it is.
using TemplateValues = std::map<std::string, std::string, std::less<>>;

// kInvalidArgument names the line of a `{{name}}` that has no value, or that does not end.
Result<std::string> render_template(std::string_view text, const TemplateValues& values);

// One word of a shell, whatever is in it.
std::string shell_word(std::string_view text);
std::string shell_words(const std::vector<std::string>& words);

// "90", "1:30:00", "1-12", "1-12:30:00" as Slurm's --time reads them, in minutes, rounded up.
// kInvalidArgument for anything else, "UNLIMITED" too: a job without an end has no successor.
Result<int> time_minutes(std::string_view text);

}  // namespace lockstep
