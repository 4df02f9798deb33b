// Imports a GGUF file into a store.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"
#include "sharding/store.h"

namespace lockstep {

struct ImportOptions {
  int parts = 0;             // 0: the largest legal count.
  int activation_bits = 16;  // 16 or 8.
  int kv_bits = 16;          // 16 or 8.
  std::uint64_t file_bytes = std::uint64_t{4}
                             << 30;  // A dataset larger than this gets a file of its own.
  // Called now and then with bytes done and in all; may be empty.
  std::function<void(std::uint64_t done, std::uint64_t total)> progress;
  // May be null. When it becomes true, the import ends with kAborted where it would report
  // progress.
  const std::atomic<bool>* cancelled = nullptr;
};

// Writes the store under a temporary name next to `directory`, syncs, hashes, and renames it last;
// on any error nothing is left. kInvalidArgument when `directory` exists. Two imports give equal
// bytes. Errors name file, tensor and reason.
Result<Manifest> import_gguf(const std::string& gguf_path, const std::string& directory,
                             const ImportOptions& options);

}  // namespace lockstep
