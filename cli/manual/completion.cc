#include "cli/manual/completion.h"

#include <vector>

#include "cli/help_format.h"

namespace lockstep {
namespace {

std::vector<const CLI::App*> subcommands_of(const CLI::App& command) {
  return command.get_subcommands([](const CLI::App* sub) { return !sub->get_name().empty(); });
}

std::vector<const CLI::Option*> options_of(const CLI::App& command) {
  std::vector<const CLI::Option*> options;
  for (const CLI::Option* option : command.get_options()) {
    if (option->nonpositional()) options.push_back(option);
  }
  for (const CLI::App* group :
       command.get_subcommands([](const CLI::App* sub) { return sub->get_name().empty(); })) {
    for (const CLI::Option* option : group->get_options()) {
      if (option->nonpositional() && option != group->get_help_ptr()) options.push_back(option);
    }
  }
  return options;
}

std::vector<std::string> dashed_names(const CLI::Option& option) {
  std::vector<std::string> names;
  for (const std::string& name : option.get_lnames()) names.push_back("--" + name);
  for (const std::string& name : option.get_snames()) names.push_back("-" + name);
  return names;
}

// All words that may follow a command.
std::string words_of(const CLI::App& command) {
  std::string words;
  const auto add = [&words](const std::string& word) {
    words += (words.empty() ? "" : " ") + word;
  };
  for (const CLI::App* sub : subcommands_of(command)) add(sub->get_name());
  for (const CLI::Option* option : options_of(command)) {
    for (const std::string& name : dashed_names(*option)) add(name);
  }
  return words;
}

void bash_cases(const CLI::App& command, std::string& out) {
  out += "    \"" + full_name(command) + "\") words=\"" + words_of(command) + "\" ;;\n";
  for (const CLI::App* sub : subcommands_of(command)) bash_cases(*sub, out);
}

// Without quotes, brackets, or what a shell would expand.
std::string plain(const std::string& text) {
  std::string out;
  for (const char c : text.substr(0, text.find('\n'))) {
    if (c == '\'' || c == '`' || c == '"' || c == '$' || c == '\\') continue;
    out += c == '[' ? '(' : c == ']' ? ')' : c == ':' ? ',' : c;
  }
  return out;
}

void zsh_cases(const CLI::App& command, std::string& out) {
  out += "    '" + full_name(command) + "')\n      found=(\n";
  for (const CLI::App* sub : subcommands_of(command)) {
    out += "        '" + sub->get_name() + ":" + plain(sub->get_description()) + "'\n";
  }
  for (const CLI::Option* option : options_of(command)) {
    for (const std::string& name : dashed_names(*option)) {
      out += "        '" + name + ":" + plain(option->get_description()) + "'\n";
    }
  }
  out += "      ) ;;\n";
  for (const CLI::App* sub : subcommands_of(command)) zsh_cases(*sub, out);
}

void fish_lines(const CLI::App& command, std::string& out) {
  const std::string when =
      "complete -c lockstep -n 'test (__lockstep_command) = \"" + full_name(command) + "\"' ";
  for (const CLI::App* sub : subcommands_of(command)) {
    out += when + "-f -a " + sub->get_name() + " -d '" + plain(sub->get_description()) + "'\n";
  }
  for (const CLI::Option* option : options_of(command)) {
    out += when;
    for (const std::string& name : option->get_lnames()) out += "-l " + name + " ";
    for (const std::string& name : option->get_snames()) out += "-s " + name + " ";
    if (option->get_items_expected_max() > 0) out += "-r ";
    out += "-d '" + plain(option->get_description()) + "'\n";
  }
  for (const CLI::App* sub : subcommands_of(command)) fish_lines(*sub, out);
}

// "lockstep batch run" of the words so far: subcommands are looked for below each other.
void names_of(const CLI::App& command, std::string& out) {
  for (const CLI::App* sub : subcommands_of(command)) {
    out += (out.empty() ? "" : "|") + ("\"" + full_name(*sub) + "\"");
    names_of(*sub, out);
  }
}

}  // namespace

std::string bash_completion(const CLI::App& root) {
  std::string names;
  names_of(root, names);
  std::string cases;
  bash_cases(root, cases);
  return "# bash completion for lockstep; made by `lockstep manual bash`\n"
         "_lockstep() {\n"
         "  local command=lockstep word words\n"
         "  for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
         "    case \"$command $word\" in\n"
         "      " +
         names +
         ") command=\"$command $word\" ;;\n"
         "    esac\n"
         "  done\n"
         "  case $command in\n" +
         cases +
         "  esac\n"
         "  mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"${COMP_WORDS[COMP_CWORD]}\")\n"
         "}\n"
         "complete -o default -F _lockstep lockstep\n";
}

std::string zsh_completion(const CLI::App& root) {
  std::string names;
  names_of(root, names);
  std::string cases;
  zsh_cases(root, cases);
  return "#compdef lockstep\n# made by `lockstep manual zsh`\n"
         "_lockstep() {\n"
         "  local command=lockstep word\n"
         "  local -a before=(\"${(@)words[2,CURRENT-1]}\")\n"
         "  local -a found\n"
         "  for word in $before; do\n"
         "    case \"$command $word\" in\n"
         "      (" +
         names +
         ") command=\"$command $word\" ;;\n"
         "    esac\n"
         "  done\n"
         "  case $command in\n" +
         cases +
         "  esac\n"
         "  _describe lockstep found\n"
         "  _files\n"
         "}\n"
         "_lockstep \"$@\"\n";
}

std::string fish_completion(const CLI::App& root) {
  std::string names;
  names_of(root, names);
  for (std::size_t bar = names.find('|'); bar != std::string::npos; bar = names.find('|', bar)) {
    names[bar] = ' ';
  }
  std::string lines;
  fish_lines(root, lines);
  return "# fish completion for lockstep; made by `lockstep manual fish`\n"
         "function __lockstep_command\n"
         "  set -l command lockstep\n"
         "  for word in (commandline -opc)[2..]\n"
         "    if contains -- \"$command $word\" " +
         names +
         "\n"
         "      set command \"$command $word\"\n"
         "    end\n"
         "  end\n"
         "  echo $command\n"
         "end\n" +
         lines;
}

}  // namespace lockstep
