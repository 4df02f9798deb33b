// Text for people and for programs: JSON, aligned tables, human units.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace lockstep {

// JSON for people keeps the order in which keys were added.
using OrderedJson = nlohmann::ordered_json;

// Writes the value and a newline to stdout and flushes: indented on a terminal, else one line. kIo
// when stdout cannot take it (closed pipe, disk full).
Status print_json(const OrderedJson& value);

// Writes text to stdout and flushes; kIo as above.
Status print_text(std::string_view text);

// "98.4 MB" (powers of 1000, as disks and networks are sold), "512 B"; three digits.
std::string human_bytes(std::uint64_t bytes);

// "4s", "1m05s", "2h03m".
std::string human_seconds(double seconds);

// "1,234,567".
std::string grouped_digits(std::uint64_t value);

// Columns aligned by their widest cell, two spaces between. The first row is the heading; a column
// is set flush right when every cell below the heading starts with a digit. Nothing but the rows:
// no rules, no trailing spaces.
std::string format_table(const std::vector<std::vector<std::string>>& rows,
                         std::string_view indent);

}  // namespace lockstep
