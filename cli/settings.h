// Values for the options that a command line leaves open: first the environment (LOCKSTEP_THREADS
// for `--threads`), then the TOML file of `--config` or LOCKSTEP_CONFIG (one table a subcommand,
// global keys above). Every value passes the same checks as one from the command line, and its
// origin is known for messages and the log.
#pragma once

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <memory>
#include <string>

namespace lockstep {

class SettingsSource {
 public:
  // Adds `--config` to `root`, the program's command tree, and fills options while it parses: after
  // the command line is read, before anything is checked. `root` must outlive this.
  explicit SettingsSource(CLI::App& root);
  ~SettingsSource();
  SettingsSource(const SettingsSource&) = delete;
  SettingsSource& operator=(const SettingsSource&) = delete;

  // Whether the environment or the file itself was refused (no such file, no TOML, unknown key).
  bool failed() const;

  // "LOCKSTEP_THREADS" or "site.toml:12" when `option` ("--threads") was filled from
  // there; else "".
  std::string origin_of(const std::string& option) const;

  // Logs every filled option with its origin, level debug.
  void log_origins() const;

 private:
  class Filler;
  std::shared_ptr<Filler> filler_;
};

}  // namespace lockstep
