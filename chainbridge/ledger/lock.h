// The exclusive right to write a ledger: flock on a file that stays where it is. Ends with the
// process that holds it, however that ends.
#pragma once

#include <cstdint>
#include <string>

#include "base/file.h"
#include "base/result.h"

namespace lockstep {

class LedgerLock {
 public:
  // Waits up to `timeout_ms` for the holder; then kUnavailable names it.
  static Result<LedgerLock> take(const std::string& path, std::uint32_t timeout_ms);

 private:
  explicit LedgerLock(File file) : file_(std::move(file)) {}

  File file_;  // Closing it gives the lock back.
};

}  // namespace lockstep
