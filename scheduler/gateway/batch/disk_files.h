// Files of tenants: bytes below the state directory, rows in the store. A file is there once its
// row is; bytes without a row are removed at the next start.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/clock.h"
#include "base/request_id.h"
#include "scheduler/batch_store.h"
#include "scheduler/gateway/batch_backend.h"
#include "scheduler/gateway/store/state_directory.h"
#include "scheduler/gateway/task_thread.h"
#include "scheduler/job_store.h"

namespace lockstep {

struct DiskFilesConfig {
  std::uint64_t tenant_bytes = std::uint64_t{4} << 30;               // Of all files of a tenant.
  std::int64_t lifetime_ms = std::int64_t{30} * 24 * 3'600 * 1'000;  // Of files without an expiry.
};

class DiskFiles final : public FileBackend {
 public:
  // What files need; all of it outlives them, and the stores their uploads.
  struct Parts {
    const StateDirectory* directory = nullptr;
    JobStore* jobs = nullptr;
    BatchStore* batches = nullptr;
    const Clock* clock = nullptr;
    Random* random = nullptr;    // Thread-safe.
    TaskThread* disk = nullptr;  // Syncs and removes.
  };

  DiskFiles(const DiskFilesConfig& config, const Parts& parts);
  ~DiskFiles() override;

  Result<std::unique_ptr<UploadWriter>> create(std::string tenant) override;
  void find(std::string tenant, RequestId id,
            std::function<void(Result<FileRecord>)> done) override;
  void list(ListQuery query, std::function<void(Result<Listed<FileRecord>>)> done) override;
  void remove(std::string tenant, RequestId id, std::function<void(Status)> done) override;
  void open(std::string tenant, RequestId id,
            std::function<void(Result<std::unique_ptr<FileReader>>)> done) override;

 private:
  class Upload;
  struct Pending;
  struct Usage;
  struct Shared;

  std::shared_ptr<Shared> shared_;
};

}  // namespace lockstep
