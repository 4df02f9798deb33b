// Where a gateway inside a job is to be found: a small JSON file that is replaced by renaming, so
// that whoever reads it sees the old one or the new one. It is renewed while the gateway runs and
// expires soon after it has ended, however it did. It holds no secret.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace lockstep {

inline constexpr std::int64_t kRegistryLeaseMs = 20'000;
inline constexpr std::int64_t kRegistryRenewMs = 5'000;
inline constexpr std::uint64_t kMaxRegistryBytes = 64 << 10;

struct Registration {
  std::string job;                // Slurm's id; empty outside a job.
  std::string url;                // "https://10.0.0.1:31000"
  std::string host;               // The node.
  std::string model;              // As clients ask for it.
  std::string certificate;        // PEM, what the gateway shows; empty: plain HTTP.
  std::string key_file;           // Where a client's API key lies, mode 0600; empty: nowhere.
  std::string state;              // The gateway's directory.
  std::int64_t published_ms = 0;  // Unix time.
  std::int64_t expires_ms = 0;
};

std::string encode_registration(const Registration& registration);
// kCorrupt names the field.
Result<Registration> parse_registration(std::string_view text);

// Atomically, and on disk. An old file at `path` is replaced.
Status publish(const std::string& path, const Registration& registration);

// kNotFound: no such file; kUnavailable: its lease has run out, with how long ago.
Result<Registration> look_up(const std::string& path, std::int64_t now_ms);

}  // namespace lockstep
