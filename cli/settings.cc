#include "cli/settings.h"

#include <algorithm>
#include <istream>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "base/config.h"
#include "base/log.h"

namespace lockstep {
namespace {

// CLI11 calls a configuration reader only for a file that exists. This one exists everywhere and
// says nothing.
constexpr const char* kNoFile = "/dev/null";

// "chain.verify." for the table of that subcommand, "" for the root. An option group of CLI11 is a
// subcommand without a name: its options stand in its parent's table.
std::string table_of(const CLI::App& command) {
  const CLI::App* parent = command.get_parent();
  if (parent == nullptr) return "";
  return table_of(*parent) + (command.get_name().empty() ? "" : command.get_name() + ".");
}

std::vector<CLI::App*> option_groups(CLI::App& command) {
  return command.get_subcommands([](CLI::App* sub) { return sub->get_name().empty(); });
}

std::vector<CLI::App*> chosen_subcommands(const CLI::App& command) {
  std::vector<CLI::App*> chosen = command.get_subcommands();
  std::erase_if(chosen, [](const CLI::App* sub) { return sub->get_name().empty(); });
  return chosen;
}

// What a file may say: every option by itself (for all subcommands that have it) and in its
// subcommand's table.
void collect_names(const CLI::App& command, std::vector<std::string>& names) {
  for (const CLI::Option* option : command.get_options()) {
    if (!option->get_configurable()) continue;
    for (const std::string& name : option->get_lnames()) {
      names.push_back(name);
      names.push_back(table_of(command) + name);
    }
  }
  for (const CLI::App* sub : command.get_subcommands([](const CLI::App*) { return true; })) {
    collect_names(*sub, names);
  }
}

// Whether the command line has said something that rules this option out.
bool is_excluded(const CLI::Option& option) {
  const auto excludes = option.get_excludes();
  return std::ranges::any_of(excludes, [](const CLI::Option* other) { return !other->empty(); });
}

// Help must not depend on what a file says.
bool asks_for_help(const CLI::App& command) {
  if (!command.get_help_ptr()->empty()) return true;
  const auto chosen = chosen_subcommands(command);
  return std::ranges::any_of(chosen, [](const CLI::App* sub) { return asks_for_help(*sub); });
}

// Whether this is a group of which one option is wanted, and the command line has it.
bool has_its_only_option(const CLI::App& command) {
  const auto options = command.get_options();
  return command.get_require_option_max() == 1 &&
         std::ranges::any_of(options, [](const CLI::Option* option) { return !option->empty(); });
}

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> pieces;
  for (std::size_t begin = 0;;) {
    const std::size_t comma = text.find(',', begin);
    pieces.emplace_back(text.substr(begin, comma - begin));
    if (comma == std::string_view::npos) return pieces;
    begin = comma + 1;
  }
}

void add_flag_result(CLI::Option& option, const ConfigValue& value) {
  static constexpr std::string_view kTrue[] = {"true", "yes", "on", "1"};
  static constexpr std::string_view kFalse[] = {"false", "no", "off", "0"};
  if (std::ranges::find(kTrue, value.text) != std::end(kTrue)) {
    option.add_result("true");
  } else if (std::ranges::find(kFalse, value.text) == std::end(kFalse)) {
    throw CLI::ConfigError(value.origin + ": expected true or false, got \"" + value.text + "\"");
  }
}

void add_results(CLI::Option& option, const ConfigValue& value) {
  if (option.get_expected_max() == 0) {
    add_flag_result(option, value);
  } else if (option.get_items_expected_max() > 1 && !value.origin.starts_with("LOCKSTEP_")) {
    option.add_result(split(value.text));  // A list in the file; the environment has no lists.
  } else {
    option.add_result(value.text);
  }
}

}  // namespace

class SettingsSource::Filler final : public CLI::Config {
 public:
  explicit Filler(CLI::App& root) : root_(&root) {}

  std::string to_config(const CLI::App*, bool, bool, std::string) const override { return ""; }

  // CLI11 calls this after the command line has been read and before anything is checked.
  std::vector<CLI::ConfigItem> from_config(std::istream& /*input*/) const override {
    if (asks_for_help(*root_)) return {};
    failed_ = true;  // Unless the end is reached.
    lockstep::Config environment;
    environment.add_environment(process_environment());
    lockstep::Config config;
    const CLI::Option& given = *root_->get_option("--config");
    const ConfigValue* named = environment.find("config");
    if (!given.empty()) {
      read(config, given.as<std::string>(), "--config");
    } else if (named != nullptr) {
      read(config, named->text, named->origin);
    }
    config.add_environment(process_environment());
    fill(*root_, config);
    failed_ = false;
    return {};
  }

  bool failed() const { return failed_; }
  const std::map<std::string, std::string>& origins() const { return origins_; }

 private:
  void read(lockstep::Config& config, const std::string& path, const std::string& origin) const {
    Status status = config.read_file(path);
    if (!status.ok()) throw CLI::ConfigError(origin + ": " + status.error().message);
    std::vector<std::string> names;
    collect_names(*root_, names);
    status = config.check_names(std::vector<std::string_view>(names.begin(), names.end()));
    if (!status.ok()) throw CLI::ConfigError(origin + ": " + status.error().message);
  }

  // Fills `command` and the subcommand that was chosen below it.
  void fill(CLI::App& command, const lockstep::Config& config) const {
    if (has_its_only_option(command)) return;
    std::string table = table_of(command);
    if (!table.empty()) table.pop_back();
    for (CLI::Option* option : command.get_options([](const CLI::Option*) { return true; })) {
      if (!option->get_configurable() || !option->empty() || is_excluded(*option)) continue;
      for (const std::string& name : option->get_lnames()) {
        const ConfigValue* value = config.find(name, table);
        if (value == nullptr) continue;
        origins_["--" + name] = value->origin;
        add_results(*option, *value);
        break;
      }
    }
    for (CLI::App* group : option_groups(command)) fill(*group, config);
    for (CLI::App* sub : chosen_subcommands(command)) fill(*sub, config);
  }

  CLI::App* root_;
  // CLI11 reads through a const interface; what was found is remembered here.
  mutable bool failed_ = false;
  mutable std::map<std::string, std::string> origins_;
};

SettingsSource::SettingsSource(CLI::App& root) : filler_(std::make_shared<Filler>(root)) {
  root.set_config("--config", kNoFile,
                  "TOML: global keys, then a table a subcommand ([run], threads = 2). Flags win "
                  "over LOCKSTEP_* (LOCKSTEP_THREADS=2), which wins over the file. "
                  "[LOCKSTEP_CONFIG]")
      ->type_name("FILE");
  root.config_formatter(filler_);
  for (const char* name : {"--help", "--version"}) root.get_option(name)->configurable(false);
}

SettingsSource::~SettingsSource() = default;

bool SettingsSource::failed() const { return filler_->failed(); }

std::string SettingsSource::origin_of(const std::string& option) const {
  const auto found = filler_->origins().find(option);
  return found == filler_->origins().end() ? "" : found->second;
}

void SettingsSource::log_origins() const {
  for (const auto& [option, origin] : filler_->origins()) {
    log_event(LogLevel::kDebug, "option_filled", {{"option", option}, {"origin", origin}});
  }
}

}  // namespace lockstep
