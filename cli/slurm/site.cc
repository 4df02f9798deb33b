#include "cli/slurm/site.h"

#include <array>
#include <filesystem>
#include <sstream>
#include <utility>

#include "base/config.h"
#include "base/file.h"

namespace lockstep {
namespace {

constexpr std::string_view kNames[] = {
    "partition",     "account",     "qos",   "constraint",      "required",
    "forbidden",     "srun",        "mpi",   "interface",       "state-root",
    "scratch",       "templates",   "setup", "overlap-minutes", "signal-seconds",
    "drain-seconds", "max-restarts"};

// Options of Slurm have no spaces in them, but commas; a TOML list comes with commas between.
std::vector<std::string> words_of(std::string text) {
  for (std::size_t at = text.find(",--"); at != text.npos; at = text.find(",--", at)) {
    text[at] = ' ';
  }
  std::istringstream in(text);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

Status check_options(const std::vector<std::string>& options, const std::string& what) {
  for (const std::string& option : options) {
    if (option.starts_with("--") && option.size() > 2) continue;
    std::string message = what;
    message.append(": expected options such as --exclusive, got \"").append(option).append("\"");
    return Error{ErrorCode::kInvalidArgument, std::move(message)};
  }
  return {};
}

}  // namespace

Result<SlurmSite> parse_site(std::string_view text, const std::string& path) {
  Config config;
  LOCKSTEP_TRY(config.add_file(text, path), "site");
  LOCKSTEP_TRY(config.check_names(kNames), path);
  SlurmSite site;
  site.path = path;
  const std::pair<std::string*, const char*> texts[] = {{&site.partition, "partition"},
                                                        {&site.account, "account"},
                                                        {&site.qos, "qos"},
                                                        {&site.constraint, "constraint"},
                                                        {&site.mpi, "mpi"},
                                                        {&site.interface, "interface"},
                                                        {&site.state_root, "state-root"},
                                                        {&site.scratch, "scratch"},
                                                        {&site.templates, "templates"},
                                                        {&site.setup, "setup"}};
  for (const auto& [value, name] : texts) *value = config.text(name, *value);
  const std::pair<std::vector<std::string>*, const char*> lists[] = {
      {&site.required, "required"}, {&site.forbidden, "forbidden"}, {&site.srun, "srun"}};
  for (const auto& [value, name] : lists) {
    *value = words_of(config.text(name, ""));
    LOCKSTEP_TRY(check_options(*value, path + ": " + name), "site");
  }
  struct Number {
    int* value;
    const char* name;
    int min;
    int max;
  };
  const Number numbers[] = {{&site.overlap_minutes, "overlap-minutes", 0, 1440},
                            {&site.signal_seconds, "signal-seconds", 10, 65'535},
                            {&site.drain_seconds, "drain-seconds", 0, 65'535},
                            {&site.max_restarts, "max-restarts", 0, 10'000}};
  for (const Number& number : numbers) {
    LOCKSTEP_TRY_ASSIGN(const std::int64_t value,
                        config.integer(number.name, number.min, number.max, *number.value), path);
    *number.value = static_cast<int>(value);
  }
  return site;
}

Result<SlurmSite> read_site() {
  const auto named = environment_variable("LOCKSTEP_SITE");
  const std::string path = named.value_or(kSiteFile);
  if (!named && !std::filesystem::exists(path)) return SlurmSite{};
  LOCKSTEP_TRY_ASSIGN(const std::string text, read_file(path, Config::kMaxFileBytes), "site");
  return parse_site(text, path);
}

}  // namespace lockstep
