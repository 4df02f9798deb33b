// Strict options: the whole text must be the value, in its range, given once; the message says what
// was expected:
//
//   --ranks: expected an integer in [1, 64], got "8x"
//
// parse_* are pure; add_* put them behind a CLI11 option and write the default behind the
// description ("[256]"), unless the description ends with a bracket of its own ("[cores / ranks on
// this node]") or the value is an empty optional or list.
#pragma once

#include <CLI/App.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/result.h"

namespace lockstep {

// A closed interval.
template <typename T>
struct Bounds {
  T min;
  T max;
};

// Decimal digits, a leading '-' for signed types; no '+', space, hexadecimal or suffix. The message
// lacks the name of the option, which add_* put in front. Instantiated for int, std::int64_t,
// std::uint32_t, std::uint64_t.
template <typename T>
Result<T> parse_integer(std::string_view text, Bounds<T> bounds);

// A decimal fraction, exponent allowed; no infinity, no NaN. Instantiated for float and double.
template <typename T>
Result<T> parse_number(std::string_view text, Bounds<T> bounds);

// "2,1,1": each element by the rule above, at most `max_count`, none empty. T as in parse_integer
// or parse_number.
template <typename T>
Result<std::vector<T>> parse_list(std::string_view text, Bounds<T> bounds, std::size_t max_count);

// Bytes: an integer with nothing, "KiB", "MiB", "GiB" or "TiB" behind it ("4GiB", "512 MiB").
Result<std::uint64_t> parse_byte_size(std::string_view text, Bounds<std::uint64_t> bounds);

// The shortest way parse_byte_size reads back: "4GiB", "1000".
std::string byte_size_text(std::uint64_t bytes);

// Help labels: N for integers, X for numbers, BYTES; change it with ->type_name("LABEL").
template <typename T>
CLI::Option* add_integer(CLI::App& command, const std::string& name, T& value,
                         std::type_identity_t<Bounds<T>> bounds, const std::string& description);
// Empty until given.
template <typename T>
CLI::Option* add_integer(CLI::App& command, const std::string& name, std::optional<T>& value,
                         std::type_identity_t<Bounds<T>> bounds, const std::string& description);

template <typename T>
CLI::Option* add_number(CLI::App& command, const std::string& name, T& value,
                        std::type_identity_t<Bounds<T>> bounds, const std::string& description);
template <typename T>
CLI::Option* add_number(CLI::App& command, const std::string& name, std::optional<T>& value,
                        std::type_identity_t<Bounds<T>> bounds, const std::string& description);

// At most kMaxListElements elements.
inline constexpr std::size_t kMaxListElements = 1 << 20;
template <typename T>
CLI::Option* add_list(CLI::App& command, const std::string& name, std::vector<T>& value,
                      std::type_identity_t<Bounds<T>> bounds, const std::string& description);

CLI::Option* add_byte_size(CLI::App& command, const std::string& name, std::uint64_t& value,
                           Bounds<std::uint64_t> bounds, const std::string& description);

// Any text, an empty one too. Label TEXT.
CLI::Option* add_text(CLI::App& command, const std::string& name, std::string& value,
                      const std::string& description);
CLI::Option* add_text(CLI::App& command, const std::string& name, std::optional<std::string>& value,
                      const std::string& description);

// One of `choices`, by name; the message lists them.
CLI::Option* add_choice(CLI::App& command, const std::string& name, std::string& value,
                        const std::vector<std::string>& choices, const std::string& description);

// True when given; a second time is refused.
CLI::Option* add_flag(CLI::App& command, const std::string& name, bool& value,
                      const std::string& description);

}  // namespace lockstep
