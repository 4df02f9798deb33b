// Configuration by name from three places: flags > environment (`LOCKSTEP_*`) > file (TOML). Every
// value knows where it came from. It knows no option of any program: names, ranges and defaults are
// given by who asks. The only place that reads the environment.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace lockstep {

struct ConfigValue {
  std::string text;
  // "--threads", "LOCKSTEP_THREADS" or "lockstep.toml:12".
  std::string origin;
};

// Names are written as the flag without its dashes: "max-tokens" is `--max-tokens`,
// `LOCKSTEP_MAX_TOKENS` and, in the file, `max-tokens` or `max_tokens`. A table of the file stands
// in front of its names ("run.threads"); flags and environment have none.
class Config {
 public:
  using Environment = std::vector<std::pair<std::string, std::string>>;

  // Reads the TOML text of a file named `path`. At most kMaxFileBytes, tables nested at most
  // kMaxTables deep, values scalars or lists of scalars (given as "1,2,3"). kInvalidArgument names
  // file and line.
  Status add_file(std::string_view text, const std::string& path);
  // The same for the file at `path`.
  Status read_file(const std::string& path);
  // Takes the variables that start with LOCKSTEP_.
  void add_environment(const Environment& environment);
  void set_flag(const std::string& name, std::string text);

  // The value that wins, or null. Looks up "table.name" when `table` is given, then "name".
  const ConfigValue* find(std::string_view name, std::string_view table = {}) const;

  // The value, checked; `fallback` when nobody gave one. kInvalidArgument:
  // `--threads: expected an integer in [1, 64], got "8x"`.
  Result<std::int64_t> integer(std::string_view name, std::int64_t min, std::int64_t max,
                               std::int64_t fallback);
  // A finite decimal number.
  Result<double> number(std::string_view name, double min, double max, double fallback);
  // true, false, yes, no, on, off, 1 or 0.
  Result<bool> flag(std::string_view name, bool fallback);
  Result<std::string> choice(std::string_view name, std::span<const std::string_view> choices,
                             std::string_view fallback);
  std::string text(std::string_view name, std::string_view fallback);

  // kInvalidArgument names the first value of the file or environment whose name is not in `known`
  // (a misspelled option must not be ignored), with its origin.
  Status check_names(std::span<const std::string_view> known) const;

  // What the getters gave, defaults too, one a line in order of names: `threads = 8  # --threads`.
  std::string describe() const;

  static constexpr std::uint64_t kMaxFileBytes = 64 << 10;
  static constexpr int kMaxTables = 4;

 private:
  // Rises with precedence.
  enum class Layer { kFile, kEnvironment, kFlag };
  struct Entry {
    Layer layer;
    ConfigValue value;
  };

  void put(Layer layer, const std::string& name, ConfigValue value);
  void note(std::string_view name, std::string text);

  std::map<std::string, Entry, std::less<>> entries_;
  std::map<std::string, ConfigValue, std::less<>> used_;
};

// The variables of this process. Requires: no other thread changes the environment.
Config::Environment process_environment();

// One variable of this process, for names that others own (SLURM_*, OMPI_*). As above.
std::optional<std::string> environment_variable(const char* name);

}  // namespace lockstep
