// The rows of files and batches: their statements. Runs inside the transaction of whoever calls.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/database.h"
#include "scheduler/batch.h"
#include "scheduler/gateway/store/job_tables.h"

namespace lockstep {

class BatchTables {
 public:
  static Result<BatchTables> prepare(Database& database, const RetentionTimes& retention);

  Status insert_file(const FileRecord& file);
  // kInvalidArgument while a batch that has not ended reads it.
  Status remove_file(const RequestId& id);
  Status insert_batch(const BatchRecord& batch);
  Status update_batch(const BatchRecord& batch);

  Result<FileRecord> load_file(const std::string& tenant, const RequestId& id);
  // Latest first; an empty purpose is any.
  Result<std::vector<FileRecord>> list_files(const std::string& tenant, const std::string& purpose,
                                             const RequestId& before, std::uint32_t limit);
  Result<std::uint64_t> sum_file_bytes(const std::string& tenant);
  Result<BatchRecord> load_batch(const std::string& tenant, const RequestId& id);
  Result<std::vector<BatchRecord>> list_batches(const std::string& tenant, const RequestId& before,
                                                std::uint32_t limit);
  Result<std::vector<BatchRecord>> load_open_batches();

 private:
  explicit BatchTables(const RetentionTimes& retention) : retention_(retention) {}

  RetentionTimes retention_;
  Statement insert_file_, find_reader_, remove_file_, load_file_, list_files_, sum_bytes_;
  Statement insert_batch_, update_batch_, load_batch_, list_batches_, open_batches_;
};

}  // namespace lockstep
