#include "cli/usage_error.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace lockstep {
namespace {

// Insertions, deletions and replacements that turn `a` into `b`.
std::size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

void add_option_names(const CLI::App& app, std::vector<std::string>& names) {
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  // Option groups are subcommands without a name.
  for (const CLI::App* group :
       app.get_subcommands([](const CLI::App* sub) { return sub->get_name().empty(); })) {
    add_option_names(*group, names);
  }
}

std::vector<std::string> option_names(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::App* app = &command; app != nullptr; app = app->get_parent()) {
    add_option_names(*app, names);
  }
  return names;
}

std::vector<std::string> subcommand_names(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::App* app : command.get_subcommands([](const CLI::App*) { return true; })) {
    if (!app->get_name().empty()) names.push_back(app->get_name());
  }
  return names;
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : ", ") + word;
  return out;
}

std::string explain_unexpected(const CLI::App& command, const std::string& argument) {
  const std::vector<std::string> subcommands = subcommand_names(command);
  const bool is_option = argument.size() > 1 && argument.front() == '-';
  if (!is_option && !subcommands.empty()) {
    const std::string meant = closest(argument, subcommands);
    return "no subcommand \"" + argument + "\"; " +
           (meant.empty() ? "there are: " + joined(subcommands) : "did you mean " + meant + "?");
  }
  const std::string name = argument.substr(0, argument.find('='));
  const std::string meant = is_option ? closest(name, option_names(command)) : "";
  return "unexpected argument \"" + argument + "\"" +
         (meant.empty() ? "" : "; did you mean " + meant + "?");
}

// "--prompt excludes --chat", said of both.
std::string explain_exclusion(const std::string& text) {
  constexpr std::string_view kVerb = " excludes ";
  const std::size_t verb = text.find(kVerb);
  if (verb == std::string::npos) return text;
  return text.substr(0, verb) + " and " + text.substr(verb + kVerb.size()) + " exclude each other";
}

// What a group of which one option is wanted lacks, or has too much; "" when no group is at fault.
std::string explain_group(const CLI::App& command) {
  for (const CLI::App* group :
       command.get_subcommands([](const CLI::App* sub) { return sub->get_name().empty(); })) {
    std::vector<std::string> wanted;
    std::vector<std::string> given;
    for (const CLI::Option* option : group->get_options()) {
      if (option == group->get_help_ptr()) continue;
      wanted.push_back(option->get_name());
      if (!option->empty()) given.push_back(option->get_name());
    }
    if (group->get_require_option_max() != 1 || given.size() == 1) continue;
    if (given.empty() && group->get_require_option_min() == 0) continue;
    return "expected one of " + joined(wanted) + (given.empty() ? "" : "; got " + joined(given));
  }
  return "";
}

// The option that a message of CLI11 begins with ("--ranks: ...", "--out is required").
const CLI::Option* option_of(const CLI::App& command, const std::string& message) {
  const std::string name = message.substr(0, message.find_first_of(": "));
  for (const CLI::App* app = &command; app != nullptr; app = app->get_parent()) {
    const CLI::Option* option = app->get_option_no_throw(name);
    if (option != nullptr) return option;
  }
  return nullptr;
}

}  // namespace

const CLI::App& chosen_command(const CLI::App& root) {
  const auto chosen = root.get_subcommands();
  const auto named = std::find_if(chosen.rbegin(), chosen.rend(),
                                  [](const CLI::App* sub) { return !sub->get_name().empty(); });
  return named == chosen.rend() ? root : chosen_command(**named);
}

std::string closest(const std::string& text, const std::vector<std::string>& candidates) {
  constexpr std::size_t kMaxText = 64;  // Longer text is nobody's slip of the finger.
  if (text.size() > kMaxText) return "";
  std::string best;
  std::size_t best_distance = 3;
  for (const std::string& candidate : candidates) {
    // A slip leaves more right than wrong.
    const std::size_t distance = edit_distance(text, candidate);
    if (distance < best_distance && 2 * distance <= text.size()) {
      best = candidate;
      best_distance = distance;
    }
  }
  if (!best.empty()) return best;
  const auto longer = std::find_if(
      candidates.begin(), candidates.end(),
      [&](const std::string& candidate) { return text.size() > 3 && candidate.starts_with(text); });
  return longer == candidates.end() ? "" : *longer;
}

UsageError explain_usage_error(const CLI::App& root, const CLI::ParseError& error) {
  const CLI::App& command = chosen_command(root);
  const bool missing = dynamic_cast<const CLI::RequiredError*>(&error) != nullptr;
  const bool extra = dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr;
  const std::vector<std::string> unknown = root.remaining(/*recurse=*/true);
  // What was mistyped often is what seems to be missing.
  if ((missing || extra) && !unknown.empty()) {
    return {explain_unexpected(command, unknown.front()), ""};
  }
  const std::string text = error.what();
  if (dynamic_cast<const CLI::FileError*>(&error) != nullptr) {
    const CLI::Option& config = *root.get_option("--config");
    return {"--config: cannot read \"" + config.as<std::string>() + "\"", "--config"};
  }
  const CLI::Option* option = option_of(command, text);
  if (missing && option == nullptr && !subcommand_names(command).empty()) {
    return {"expected a subcommand: " + joined(subcommand_names(command)), ""};
  }
  if (missing && option == nullptr) {
    const std::string group = explain_group(command);
    return {group.empty() ? text : group, ""};
  }
  if (option == nullptr) return {text, ""};
  const std::string name = option->get_name();
  if (dynamic_cast<const CLI::ExcludesError*>(&error) != nullptr) {
    return {explain_exclusion(text), name};
  }
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr) {
    if (option->count() > 1) {
      return {name + ": given " + std::to_string(option->count()) + " times, expected once", name};
    }
    return {name + ": expected a value (" + option->get_type_name() + ")", name};
  }
  return {text, name};
}

}  // namespace lockstep
