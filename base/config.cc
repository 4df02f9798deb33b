#include "base/config.h"

#include <unistd.h>

#include <toml++/toml.h>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "base/file.h"

namespace lockstep {
namespace {

constexpr std::string_view kPrefix = "LOCKSTEP_";

Error invalid(const std::string& origin, const std::string& expected, std::string_view got) {
  return Error{ErrorCode::kInvalidArgument,
               origin + ": expected " + expected + ", got \"" + std::string(got) + "\""};
}

// The shortest text that reads back as the same number.
std::string number_text(double value) {
  char text[32];
  const auto end = std::to_chars(std::begin(text), std::end(text), value).ptr;
  return {text, end};
}

template <typename T>
std::optional<T> parse_whole(std::string_view text) {
  T value{};
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (fault != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Flags are lower case with dashes, however a layer writes them.
std::string normalized(std::string_view name) {
  std::string out(name);
  for (char& c : out) {
    if (c == '_') c = '-';
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::optional<std::string> scalar_text(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* integer = node.as_integer()) return std::to_string(integer->get());
  if (const auto* number = node.as_floating_point()) return number_text(number->get());
  if (const auto* flag = node.as_boolean()) return flag->get() ? "true" : "false";
  return std::nullopt;
}

std::optional<std::string> list_text(const toml::array& array) {
  std::string out;
  for (const toml::node& element : array) {
    const auto text = scalar_text(element);
    if (!text || text->find(',') != std::string::npos) return std::nullopt;
    if (&element != &array.front()) out += ',';
    out += *text;
  }
  return out;
}

std::string origin_of(const toml::source_region& source, const std::string& path) {
  return path + ":" + std::to_string(source.begin.line);
}

}  // namespace

void Config::put(Layer layer, const std::string& name, ConfigValue value) {
  const auto [place, added] = entries_.try_emplace(name, Entry{layer, value});
  if (!added && place->second.layer <= layer) place->second = Entry{layer, std::move(value)};
}

Status Config::add_file(std::string_view text, const std::string& path) {
  if (text.size() > kMaxFileBytes) {
    return Error{ErrorCode::kExhausted, path + ": has " + std::to_string(text.size()) +
                                            " bytes, at most " + std::to_string(kMaxFileBytes) +
                                            " are read"};
  }
  toml::table root;
  try {
    root = toml::parse(text, path);
  } catch (const toml::parse_error& fault) {
    return Error{ErrorCode::kInvalidArgument,
                 origin_of(fault.source(), path) + ": " + std::string(fault.description())};
  }

  struct Open {
    const toml::table* table;
    std::string prefix;
    int depth;
  };
  std::vector<Open> open = {{&root, "", 0}};
  while (!open.empty()) {
    const Open at = std::move(open.back());
    open.pop_back();
    for (const auto& [key, node] : *at.table) {
      const std::string name = at.prefix + normalized(key.str());
      const std::string origin = origin_of(node.source(), path);
      if (const auto* table = node.as_table()) {
        if (at.depth == kMaxTables) return invalid(origin, "at most 4 nested tables", name);
        open.push_back({table, name + ".", at.depth + 1});
        continue;
      }
      const auto* array = node.as_array();
      const auto value = array != nullptr ? list_text(*array) : scalar_text(node);
      if (!value) {
        std::string message = origin;
        message.append(": ").append(name).append(
            ": expected text, a number, true or false, or a list of them without commas");
        return Error{ErrorCode::kInvalidArgument, std::move(message)};
      }
      put(Layer::kFile, name, {*value, origin});
    }
  }
  return {};
}

Status Config::read_file(const std::string& path) {
  LOCKSTEP_TRY_ASSIGN(const std::string text, lockstep::read_file(path, kMaxFileBytes),
                      "configuration");
  return add_file(text, path);
}

void Config::add_environment(const Environment& environment) {
  for (const auto& [variable, text] : environment) {
    if (!variable.starts_with(kPrefix) || variable.size() == kPrefix.size()) continue;
    put(Layer::kEnvironment, normalized(variable.substr(kPrefix.size())), {text, variable});
  }
}

void Config::set_flag(const std::string& name, std::string text) {
  put(Layer::kFlag, normalized(name), {std::move(text), "--" + name});
}

const ConfigValue* Config::find(std::string_view name, std::string_view table) const {
  const auto plain = entries_.find(name);
  const Entry* best = plain == entries_.end() ? nullptr : &plain->second;
  if (!table.empty()) {
    const auto nested = entries_.find(std::string(table) + "." + std::string(name));
    // Only files have tables; in a file the more special name wins.
    if (nested != entries_.end() && (best == nullptr || best->layer == Layer::kFile)) {
      best = &nested->second;
    }
  }
  return best == nullptr ? nullptr : &best->value;
}

void Config::note(std::string_view name, std::string text) {
  const ConfigValue* value = find(name);
  used_[std::string(name)] = {std::move(text), value == nullptr ? "default" : value->origin};
}

Result<std::int64_t> Config::integer(std::string_view name, std::int64_t min, std::int64_t max,
                                     std::int64_t fallback) {
  std::int64_t result = fallback;
  if (const ConfigValue* value = find(name)) {
    const auto parsed = parse_whole<std::int64_t>(value->text);
    if (!parsed || *parsed < min || *parsed > max) {
      return invalid(value->origin,
                     "an integer in [" + std::to_string(min) + ", " + std::to_string(max) + "]",
                     value->text);
    }
    result = *parsed;
  }
  note(name, std::to_string(result));
  return result;
}

Result<double> Config::number(std::string_view name, double min, double max, double fallback) {
  double result = fallback;
  if (const ConfigValue* value = find(name)) {
    const auto parsed = parse_whole<double>(value->text);
    if (!parsed || !std::isfinite(*parsed) || *parsed < min || *parsed > max) {
      return invalid(value->origin,
                     "a number in [" + number_text(min) + ", " + number_text(max) + "]",
                     value->text);
    }
    result = *parsed;
  }
  note(name, number_text(result));
  return result;
}

Result<bool> Config::flag(std::string_view name, bool fallback) {
  constexpr std::string_view kTrue[] = {"true", "yes", "on", "1"};
  constexpr std::string_view kFalse[] = {"false", "no", "off", "0"};
  bool result = fallback;
  if (const ConfigValue* value = find(name)) {
    const bool is_true = std::ranges::find(kTrue, value->text) != std::end(kTrue);
    const bool is_false = std::ranges::find(kFalse, value->text) != std::end(kFalse);
    if (!is_true && !is_false) return invalid(value->origin, "true or false", value->text);
    result = is_true;
  }
  note(name, result ? "true" : "false");
  return result;
}

Result<std::string> Config::choice(std::string_view name, std::span<const std::string_view> choices,
                                   std::string_view fallback) {
  std::string result(fallback);
  if (const ConfigValue* value = find(name)) {
    if (std::ranges::find(choices, value->text) == choices.end()) {
      std::string expected = "one of";
      for (const std::string_view one : choices) expected.append(" ").append(one);
      return invalid(value->origin, expected, value->text);
    }
    result = value->text;
  }
  note(name, result);
  return result;
}

std::string Config::text(std::string_view name, std::string_view fallback) {
  const ConfigValue* value = find(name);
  std::string result = value == nullptr ? std::string(fallback) : value->text;
  note(name, result);
  return result;
}

Status Config::check_names(std::span<const std::string_view> known) const {
  for (const auto& [name, entry] : entries_) {
    if (entry.layer == Layer::kFlag) continue;  // The flag parser knows its own.
    if (std::ranges::find(known, name) == known.end()) {
      return Error{ErrorCode::kInvalidArgument,
                   entry.value.origin + ": there is no option \"" + name + "\""};
    }
  }
  return {};
}

std::string Config::describe() const {
  std::string out;
  for (const auto& [name, value] : used_) {
    out.append(name).append(" = ").append(value.text).append("  # ").append(value.origin) += '\n';
  }
  return out;
}

Config::Environment process_environment() {
  Config::Environment variables;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos) continue;
    variables.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  return variables;
}

std::optional<std::string> environment_variable(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr) return std::nullopt;
  return std::string(value);
}

}  // namespace lockstep
