// Numbers in text, read as Python's int() and float() read them.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace lockstep::chat {

// int(text, base); nothing when it is no integer. `overflows` is set when it is one of more than 64
// bits.
std::optional<std::int64_t> read_integer(std::string_view text, int base, bool* overflows);
// float(text).
std::optional<double> read_float(std::string_view text);

}  // namespace lockstep::chat
