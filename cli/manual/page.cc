#include "cli/manual/page.h"

#include <algorithm>

#include "cli/help_format.h"
#include "cli/version.h"

namespace lockstep {
namespace {

// The tree below `command`, itself first. Option groups are subcommands without a name.
void collect(const CLI::App& command, std::vector<const CLI::App*>& found) {
  found.push_back(&command);
  for (const CLI::App* sub : command.get_subcommands([](const CLI::App*) { return true; })) {
    if (!sub->get_name().empty()) collect(*sub, found);
  }
}

std::string page_name(const CLI::App& command) {
  std::string name = full_name(command);
  std::ranges::replace(name, ' ', '-');
  return name;
}

// "--ranks N" with the label in italics.
std::string option_line(const CLI::Option& option) {
  if (!option.nonpositional()) return "\\fI" + roff_text(option.get_name(true)) + "\\fR";
  std::string line = "\\fB" + roff_text(option.get_name(false, true)) + "\\fR";
  if (option.get_items_expected_max() > 0 && !option.get_type_name().empty()) {
    line += " \\fI" + roff_text(option.get_type_name()) + "\\fR";
  }
  return line;
}

std::string options_of(const CLI::App& command) {
  std::string out;
  for (const CLI::Option* option : command.get_options()) {
    out += ".TP\n" + option_line(*option) + "\n" + roff_text(option->get_description()) + "\n";
  }
  for (const CLI::App* group :
       command.get_subcommands([](const CLI::App* sub) { return sub->get_name().empty(); })) {
    for (const CLI::Option* option : group->get_options()) {
      if (option == group->get_help_ptr()) continue;
      out += ".TP\n" + option_line(*option) + "\n" + roff_text(option->get_description()) + "\n";
    }
  }
  return out;
}

std::string see_also(const CLI::App& command) {
  std::string out;
  if (command.get_parent() != nullptr) out = ".BR lockstep (1)";
  for (const CLI::App* sub :
       command.get_subcommands([](const CLI::App* one) { return !one->get_name().empty(); })) {
    out += (out.empty() ? "" : ",\n") + (".BR " + roff_text(page_name(*sub)) + " (1)");
  }
  return out + (out.empty() ? "" : ",\n") + ".BR lockstep-site.toml (5),\n.BR lockstep-slurm (8)\n";
}

// The lines of --help between a heading and the next empty line.
std::string paragraph(const std::string& help, const std::string& heading) {
  const std::size_t begin = help.find(heading);
  if (begin == std::string::npos) return "";
  const std::size_t text = begin + heading.size();
  return help.substr(text, help.find("\n\n", text) - text);
}

std::string synopsis(const std::string& help) {
  std::string out;
  std::string_view rest = help;
  const std::string text = paragraph(help, "\nUsage:\n");
  rest = text;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    std::string_view line = rest.substr(0, end);
    line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
    if (!line.empty()) out += (out.empty() ? "" : ".br\n") + roff_text(line) + "\n";
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return out;
}

}  // namespace

std::string roff_text(std::string_view text) {
  std::string out;
  bool at_start = true;
  for (const char c : text) {
    if (c == '\n') {
      out += ' ';
      at_start = false;
      continue;
    }
    if (at_start && (c == '.' || c == '\'')) out += "\\&";
    at_start = false;
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else if (c == '`') {
      out += "\\(ga";
    } else if (c == '\'') {
      out += "\\(aq";
    } else if (c == '~') {
      out += "\\(ti";
    } else if (c == '^') {
      out += "\\(ha";
    } else {
      out += c;
    }
  }
  return out;
}

std::vector<std::string> page_names(const CLI::App& root) {
  std::vector<const CLI::App*> commands;
  collect(root, commands);
  std::vector<std::string> names;
  for (const CLI::App* command : commands) names.push_back(page_name(*command));
  return names;
}

Result<std::string> manual_page(const CLI::App& root, const std::string& command) {
  std::string wanted = command.empty() ? root.get_name() : root.get_name() + "-" + command;
  std::ranges::replace(wanted, ' ', '-');
  std::vector<const CLI::App*> commands;
  collect(root, commands);
  const auto found =
      std::ranges::find(commands, wanted, [](const CLI::App* one) { return page_name(*one); });
  if (found == commands.end()) {
    std::string known;
    for (const std::string& name : page_names(root)) known += (known.empty() ? "" : ", ") + name;
    return Error{ErrorCode::kNotFound, "no page \"" + wanted + "\"; there are: " + known};
  }
  const CLI::App& app = **found;
  const std::string help = app.help();
  std::string title = wanted;
  std::ranges::transform(title, title.begin(), [](unsigned char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : static_cast<char>(c);
  });
  std::string summary = app.get_description();
  if (summary.empty()) summary = "runs one large language model over many ranks.";
  if (summary.ends_with('.')) summary.pop_back();
  std::string out = ".TH " + roff_text(title) + " 1 \"2026-11-22\" \"lockstep " + kProgramVersion +
                    "\" \"Lockstep\"\n.SH NAME\n" + roff_text(wanted) + " \\- " +
                    roff_text(summary) + "\n.SH SYNOPSIS\n.nh\n" + synopsis(help) +
                    ".hy\n.SH OPTIONS\n" + options_of(app);
  const std::string status = paragraph(help, "\nExit status: ");
  if (!status.empty()) out += ".SH EXIT STATUS\n" + roff_text(status) + "\n";
  return out + ".SH SEE ALSO\n" + see_also(app);
}

}  // namespace lockstep
