// The folder of one gateway's state: where its files are, and the lock that keeps a second gateway
// out. The lock goes with the process, however it ends.
#pragma once

#include <string>

#include "base/file.h"
#include "base/request_id.h"
#include "base/result.h"

namespace lockstep {

// Below it: where one asks the running gateway (../admin/admin_socket.h).
inline constexpr const char* kAdminSocketName = "gateway.sock";

class StateDirectory {
 public:
  // Makes the folder (mode 0700) if it is missing and locks it. kUnavailable names the process that
  // holds the lock; kPermission when others than its owner may enter it.
  static Result<StateDirectory> lock(const std::string& path);

  const std::string& path() const { return path_; }
  std::string database_path() const { return path_ + "/gateway.sqlite"; }
  std::string reserve_path() const { return path_ + "/reserve"; }
  // The gateway's CURVE key pair, mode 0600.
  std::string gateway_key_path() const { return path_ + "/gateway.key"; }
  // The bytes of an uploaded or written file.
  std::string file_path(RequestId file) const;

 private:
  StateDirectory(std::string path, File lock) : path_(std::move(path)), lock_(std::move(lock)) {}

  std::string path_;
  File lock_;
};

// The API keys lie in a database of their own, which may be changed while a gateway runs.
std::string api_keys_path(const std::string& state_directory);

// As StateDirectory::lock does, without a lock: makes the folder and checks its mode.
Status make_state_directory(const std::string& path);

}  // namespace lockstep
