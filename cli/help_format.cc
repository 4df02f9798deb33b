#include "cli/help_format.h"

namespace lockstep {
namespace {

constexpr std::size_t kTextColumn = 26;  // Where descriptions begin.
constexpr std::size_t kLineColumns = 100;
constexpr const char* kLastGroup =
    "Options";  // CLI11's name for options that were put into no group.

// Words of `text` in lines of at most kLineColumns; all but the first begin at `indent`, the first
// at `column`.
std::string wrapped(std::string_view text, std::size_t column, std::size_t indent) {
  std::string out;
  bool at_start = true;  // Of a line, or where the text before ends with a space.
  while (!text.empty()) {
    const std::size_t space = text.find(' ');
    const std::string_view word = text.substr(0, space);
    text.remove_prefix(space == std::string_view::npos ? text.size() : space + 1);
    if (word.empty()) continue;
    if (!at_start && column + 1 + word.size() > kLineColumns) {
      out += "\n" + std::string(indent, ' ');
      column = indent;
    } else if (!at_start) {
      out += ' ';
      ++column;
    }
    out += word;
    column += word.size();
    at_start = false;
  }
  return out;
}

// One entry of a list: a name of its own column, then text.
std::string entry(const std::string& name, const std::string& text) {
  std::string line = "  " + name;
  if (line.size() + 2 > kTextColumn) {
    line += '\n';
    line.append(kTextColumn, ' ');
  } else {
    line.append(kTextColumn - line.size(), ' ');
  }
  return line + wrapped(text, kTextColumn, kTextColumn) + '\n';
}

// "--ranks N", "IN.gguf".
std::string option_name(const CLI::Option& option) {
  if (option.nonpositional()) {
    std::string name = option.get_name(false, true);
    const std::size_t comma = name.find(',');
    if (comma != std::string::npos) name.insert(comma + 1, " ");  // "-h, --help".
    if (option.get_items_expected_max() > 0 && !option.get_type_name().empty()) {
      name += " " + option.get_type_name();
    }
    return name;
  }
  return option.get_name(true);
}

std::string group_text(const CLI::App& app, const std::string& group) {
  std::string out;
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_group() != group) continue;
    out += entry(option_name(*option), option->get_description());
  }
  return out;
}

}  // namespace

std::string full_name(const CLI::App& command) {
  const CLI::App* parent = command.get_parent();
  if (parent == nullptr) return command.get_name();
  return full_name(*parent) + (command.get_name().empty() ? "" : " " + command.get_name());
}

std::string HelpFormat::make_help(const CLI::App* app, std::string /*name*/,
                                  CLI::AppFormatMode /*mode*/) const {
  const std::string name = full_name(*app) + ": ";
  std::string out = name + wrapped(help_.summary, name.size(), 0) + "\n\nUsage:\n";
  for (const std::string& usage : help_.usages) out += "  " + usage + "\n";

  // CLI11 keeps option groups ("one of these") as subcommands without a name.
  const auto groups =
      app->get_subcommands([](const CLI::App* sub) { return sub->get_name().empty(); });
  const auto subcommands =
      app->get_subcommands([](const CLI::App* sub) { return !sub->get_name().empty(); });
  if (!subcommands.empty()) {
    out += "\nSubcommands:\n";
    for (const CLI::App* subcommand : subcommands) {
      out += entry(subcommand->get_name(), subcommand->get_description());
    }
  }
  for (const CLI::App* group : groups) {
    out += "\n" + group->get_group() + ":\n";
    for (const CLI::Option* option : group->get_options()) {
      if (option == group->get_help_ptr()) continue;  // Inherited; the command has its own.
      out += entry(option_name(*option), option->get_description());
    }
  }
  for (const std::string& group : app->get_groups()) {
    if (group.empty() || group == kLastGroup) continue;
    out += "\n" + group + ":\n" + group_text(*app, group);
  }
  out += "\nOther:\n" + group_text(*app, kLastGroup);
  if (app->get_parent() != nullptr) {
    out += entry("--config, --log-level, --log-format, --version", "See `lockstep --help`.");
  }
  const std::string status = "Exit status: ";
  return out + "\n" + status + wrapped(help_.exit_status, status.size(), 0) + "\n";
}

}  // namespace lockstep
