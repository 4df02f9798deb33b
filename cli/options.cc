#include "cli/options.h"

#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

#include "base/checked.h"

namespace lockstep {
namespace {

struct ByteUnit {
  std::string_view suffix;
  std::uint64_t bytes;
};
constexpr ByteUnit kByteUnits[] = {
    {"TiB", std::uint64_t{1} << 40},
    {"GiB", std::uint64_t{1} << 30},
    {"MiB", std::uint64_t{1} << 20},
    {"KiB", std::uint64_t{1} << 10},
};

// Input is shown in messages, but never a whole file of it.
std::string quoted(std::string_view text) {
  constexpr std::size_t kShown = 60;
  std::string out = "\"";
  for (const char c : text.substr(0, kShown)) {
    out += static_cast<unsigned char>(c) < 0x20 ? '?' : c;
  }
  return out + (text.size() > kShown ? "...\"" : "\"");
}

template <typename T>
std::string number_text(T value) {
  if constexpr (std::is_integral_v<T>) {
    return std::to_string(value);
  } else {
    char buffer[64];
    const auto [end, status] = std::to_chars(buffer, buffer + sizeof buffer, value);
    CHECK(status == std::errc{}, "a number needs more than 64 characters");
    return {buffer, end};
  }
}

template <typename T>
std::string expected(Bounds<T> bounds) {
  if constexpr (std::is_integral_v<T>) {
    return "an integer in [" + number_text(bounds.min) + ", " + number_text(bounds.max) + "]";
  } else {
    const bool bounded = bounds.max < std::numeric_limits<T>::max();
    if (!bounded && bounds.min <= std::numeric_limits<T>::lowest()) return "a number";
    if (!bounded) return "a number of at least " + number_text(bounds.min);
    return "a number in [" + number_text(bounds.min) + ", " + number_text(bounds.max) + "]";
  }
}

Error unexpected(const std::string& wanted, std::string_view text) {
  return Error{ErrorCode::kInvalidArgument, "expected " + wanted + ", got " + quoted(text)};
}

template <typename T>
Result<T> parse_value(std::string_view text, Bounds<T> bounds) {
  T value{};
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (status != std::errc{} || end != text.data() + text.size() || !(value >= bounds.min) ||
      !(value <= bounds.max)) {
    return unexpected(expected(bounds), text);
  }
  return value;
}

// The value of an option's only result, or CLI11's own exception for a value that is none.
template <typename T>
T take(const std::string& name, Result<T> result) {
  if (!result.ok()) throw CLI::ValidationError(name, result.error().message);
  return std::move(result).value();
}

// "description [default]"; a description that ends with a bracket has said it already.
std::string with_default(const std::string& description, const std::string& value) {
  if (description.ends_with(']') || value.empty()) return description;
  return description + " [" + value + "]";
}

// An option that takes one text, once.
CLI::Option* add_single(CLI::App& command, const std::string& name, const std::string& description,
                        const std::string& label,
                        const std::function<void(const std::string& text)>& store) {
  const CLI::callback_t callback = [store](const CLI::results_t& results) {
    store(results.front());
    return true;
  };
  return command.add_option(name, callback, description)->type_name(label)->expected(1);
}

// The name in messages: "--ranks" of "-r,--ranks".
std::string display_name(const std::string& name) {
  const std::size_t dashes = name.find("--");
  return dashes == std::string::npos ? name : name.substr(dashes, name.find(',', dashes) - dashes);
}

template <typename T, typename Target>
CLI::Option* add_value(CLI::App& command, const std::string& name, Target& value, Bounds<T> bounds,
                       const std::string& description) {
  const std::string shown = display_name(name);
  return add_single(command, name, description, std::is_integral_v<T> ? "N" : "X",
                    [&value, bounds, shown](const std::string& text) {
                      value = take(shown, parse_value<T>(text, bounds));
                    });
}

}  // namespace

template <typename T>
Result<T> parse_integer(std::string_view text, Bounds<T> bounds) {
  return parse_value<T>(text, bounds);
}

template <typename T>
Result<T> parse_number(std::string_view text, Bounds<T> bounds) {
  return parse_value<T>(text, bounds);
}

template <typename T>
Result<std::vector<T>> parse_list(std::string_view text, Bounds<T> bounds, std::size_t max_count) {
  std::vector<T> values;
  for (std::size_t begin = 0;;) {
    const std::size_t comma = text.find(',', begin);
    const std::string_view element = text.substr(begin, comma - begin);
    if (values.size() == max_count) {
      return Error{ErrorCode::kInvalidArgument,
                   "more than " + std::to_string(max_count) + " elements"};
    }
    auto value = parse_value<T>(element, bounds);
    if (!value.ok()) {
      return std::move(value).error().with_context("element " + std::to_string(values.size() + 1));
    }
    values.push_back(value.value());
    if (comma == std::string_view::npos) return values;
    begin = comma + 1;
  }
}

Result<std::uint64_t> parse_byte_size(std::string_view text, Bounds<std::uint64_t> bounds) {
  std::string_view digits = text;
  std::uint64_t unit_bytes = 1;
  for (const ByteUnit& unit : kByteUnits) {
    if (!text.ends_with(unit.suffix)) continue;
    digits.remove_suffix(unit.suffix.size());
    if (digits.ends_with(' ')) digits.remove_suffix(1);
    unit_bytes = unit.bytes;
  }
  const auto count = parse_value<std::uint64_t>(digits, {0, UINT64_MAX});
  const auto bytes = count.ok() ? checked_mul(count.value(), unit_bytes) : std::nullopt;
  if (!bytes || *bytes < bounds.min || *bytes > bounds.max) {
    return unexpected("bytes in [" + byte_size_text(bounds.min) + ", " +
                          byte_size_text(bounds.max) + "], KiB, MiB, GiB or TiB allowed behind",
                      text);
  }
  return *bytes;
}

std::string byte_size_text(std::uint64_t bytes) {
  for (const ByteUnit& unit : kByteUnits) {
    if (bytes != 0 && bytes % unit.bytes == 0) {
      return std::to_string(bytes / unit.bytes) + std::string(unit.suffix);
    }
  }
  return std::to_string(bytes);
}

template <typename T>
CLI::Option* add_integer(CLI::App& command, const std::string& name, T& value,
                         std::type_identity_t<Bounds<T>> bounds, const std::string& description) {
  return add_value<T>(command, name, value, bounds, with_default(description, number_text(value)));
}

template <typename T>
CLI::Option* add_integer(CLI::App& command, const std::string& name, std::optional<T>& value,
                         std::type_identity_t<Bounds<T>> bounds, const std::string& description) {
  return add_value<T>(command, name, value, bounds, description);
}

template <typename T>
CLI::Option* add_number(CLI::App& command, const std::string& name, T& value,
                        std::type_identity_t<Bounds<T>> bounds, const std::string& description) {
  return add_value<T>(command, name, value, bounds, with_default(description, number_text(value)));
}

template <typename T>
CLI::Option* add_number(CLI::App& command, const std::string& name, std::optional<T>& value,
                        std::type_identity_t<Bounds<T>> bounds, const std::string& description) {
  return add_value<T>(command, name, value, bounds, description);
}

template <typename T>
CLI::Option* add_list(CLI::App& command, const std::string& name, std::vector<T>& value,
                      std::type_identity_t<Bounds<T>> bounds, const std::string& description) {
  std::string defaults;
  for (const T element : value) {
    defaults += (defaults.empty() ? "" : ",") + number_text(element);
  }
  const std::string shown = display_name(name);
  const char* label = std::is_integral_v<T> ? "N,N,..." : "X,X,...";
  return add_single(command, name, with_default(description, defaults), label,
                    [&value, bounds, shown](const std::string& text) {
                      value = take(shown, parse_list<T>(text, bounds, kMaxListElements));
                    });
}

CLI::Option* add_byte_size(CLI::App& command, const std::string& name, std::uint64_t& value,
                           Bounds<std::uint64_t> bounds, const std::string& description) {
  const std::string shown = display_name(name);
  return add_single(command, name, with_default(description, byte_size_text(value)), "BYTES",
                    [&value, bounds, shown](const std::string& text) {
                      value = take(shown, parse_byte_size(text, bounds));
                    });
}

CLI::Option* add_text(CLI::App& command, const std::string& name, std::string& value,
                      const std::string& description) {
  return add_single(command, name, with_default(description, value), "TEXT",
                    [&value](const std::string& text) { value = text; });
}

CLI::Option* add_text(CLI::App& command, const std::string& name, std::optional<std::string>& value,
                      const std::string& description) {
  return add_single(command, name, description, "TEXT",
                    [&value](const std::string& text) { value = text; });
}

CLI::Option* add_choice(CLI::App& command, const std::string& name, std::string& value,
                        const std::vector<std::string>& choices, const std::string& description) {
  std::string listed;
  std::string label;
  for (const std::string& choice : choices) {
    listed += (listed.empty() ? "" : ", ") + choice;
    label += (label.empty() ? "" : "|") + choice;
  }
  const std::string shown = display_name(name);
  return add_single(command, name, with_default(description, value), label,
                    [&value, choices, listed, shown](const std::string& text) {
                      for (const std::string& choice : choices) {
                        if (choice != text) continue;
                        value = text;
                        return;
                      }
                      take<int>(shown, unexpected("one of " + listed, text));
                    });
}

CLI::Option* add_flag(CLI::App& command, const std::string& name, bool& value,
                      const std::string& description) {
  return command.add_flag(name, value, description)
      ->multi_option_policy(CLI::MultiOptionPolicy::Throw);
}

#define LOCKSTEP_INSTANTIATE(T, parse, add)                                                        \
  template Result<T> parse<T>(std::string_view, Bounds<T>);                                        \
  template Result<std::vector<T>> parse_list<T>(std::string_view, Bounds<T>, std::size_t);         \
  template CLI::Option* add<T>(CLI::App&, const std::string&, T&, std::type_identity_t<Bounds<T>>, \
                               const std::string&);                                                \
  template CLI::Option* add<T>(CLI::App&, const std::string&, std::optional<T>&,                   \
                               std::type_identity_t<Bounds<T>>, const std::string&);               \
  template CLI::Option* add_list<T>(CLI::App&, const std::string&, std::vector<T>&,                \
                                    std::type_identity_t<Bounds<T>>, const std::string&)

LOCKSTEP_INSTANTIATE(int, parse_integer, add_integer);
LOCKSTEP_INSTANTIATE(std::int64_t, parse_integer, add_integer);
LOCKSTEP_INSTANTIATE(std::uint32_t, parse_integer, add_integer);
LOCKSTEP_INSTANTIATE(std::uint64_t, parse_integer, add_integer);
LOCKSTEP_INSTANTIATE(float, parse_number, add_number);
LOCKSTEP_INSTANTIATE(double, parse_number, add_number);

#undef LOCKSTEP_INSTANTIATE

}  // namespace lockstep
