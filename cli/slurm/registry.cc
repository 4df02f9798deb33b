#include "cli/slurm/registry.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "base/canonical_json.h"
#include "base/file.h"
#include "base/secret_file.h"

namespace lockstep {
namespace {

constexpr int kVersion = 1;
constexpr std::int64_t kMaxMs = std::int64_t{1} << 52;

}  // namespace

std::string encode_registration(const Registration& registration) {
  Json json = {{"version", kVersion},
               {"job", registration.job},
               {"url", registration.url},
               {"host", registration.host},
               {"model", registration.model},
               {"certificate", registration.certificate},
               {"key_file", registration.key_file},
               {"state", registration.state},
               {"published_ms", registration.published_ms},
               {"expires_ms", registration.expires_ms}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<Registration> parse_registration(std::string_view text) {
  LOCKSTEP_TRY_ASSIGN(const Json json, parse_json(text, 4), "registry file");
  LOCKSTEP_TRY(json_integer(json, "version", kVersion, kVersion).ok()
                   ? Status()
                   : Status(Error{ErrorCode::kCorrupt, "version: expected 1"}),
               "registry file");
  Registration out;
  const std::pair<std::string*, const char*> texts[] = {{&out.job, "job"},
                                                        {&out.url, "url"},
                                                        {&out.host, "host"},
                                                        {&out.model, "model"},
                                                        {&out.certificate, "certificate"},
                                                        {&out.key_file, "key_file"},
                                                        {&out.state, "state"}};
  for (const auto& [value, key] : texts) {
    LOCKSTEP_TRY_ASSIGN(*value, json_text(json, key), "registry file");
  }
  LOCKSTEP_TRY_ASSIGN(out.published_ms, json_integer(json, "published_ms", 0, kMaxMs),
                      "registry file");
  LOCKSTEP_TRY_ASSIGN(out.expires_ms, json_integer(json, "expires_ms", 0, kMaxMs), "registry file");
  return out;
}

Status publish(const std::string& path, const Registration& registration) {
  const std::string written = path + "." + std::to_string(::getpid()) + ".new";
  (void)::unlink(written.c_str());
  LOCKSTEP_TRY_ASSIGN(File file, File::open_write(written, 0600), "registry");
  const std::string text = encode_registration(registration);
  Status status = file.write_all(0, as_bytes(text));
  if (status.ok()) status = file.sync();
  if (status.ok() && std::rename(written.c_str(), path.c_str()) != 0) {
    status = system_error(errno, path, "rename");
  }
  if (!status.ok()) (void)::unlink(written.c_str());
  return status;
}

Result<Registration> look_up(const std::string& path, std::int64_t now_ms) {
  LOCKSTEP_TRY_ASSIGN(const std::string text, read_file(path, kMaxRegistryBytes), "registry");
  LOCKSTEP_TRY_ASSIGN(Registration found, parse_registration(text), path);
  if (found.expires_ms > now_ms) return found;
  return Error{ErrorCode::kUnavailable,
               path + ": its lease ran out " + std::to_string((now_ms - found.expires_ms) / 1000) +
                   " s ago: the gateway has ended; is job " + found.job + " still there (squeue)?"};
}

}  // namespace lockstep
