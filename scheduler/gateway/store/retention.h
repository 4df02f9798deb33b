// Removes what is past its time, a bounded piece per call. A job that is removed leaves its id
// behind, so that one can say "gone" instead of "never was".
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/database.h"
#include "scheduler/gateway/store/job_tables.h"

namespace lockstep {

class Retention {
 public:
  static constexpr std::uint32_t kRowsAtOnce = 256;

  // Requires: `database` and `jobs` outlive it.
  static Result<Retention> prepare(Database& database, JobTables& jobs,
                                   const RetentionTimes& times);

  // One transaction. True when there is more to remove now.
  Result<bool> remove_some(std::int64_t now_ms);
  // Files whose rows the last call removed: their bytes may go.
  const std::vector<RequestId>& removed_files() const { return removed_files_; }

 private:
  Retention(Database& database, JobTables& jobs, const RetentionTimes& times)
      : database_(&database), jobs_(&jobs), times_(times) {}
  Result<bool> remove_rows(std::int64_t now_ms);
  Result<bool> remove_jobs(Statement& select);
  Result<bool> remove_lines(std::int64_t now_ms);
  Status remove_files(std::int64_t now_ms);

  Database* database_;
  JobTables* jobs_;
  RetentionTimes times_;
  Statement begin_, commit_, ended_jobs_, ended_batch_, lines_, lines_done_;
  Statement old_batches_, old_keys_, old_tombstones_, old_files_;
  std::vector<RequestId> removed_files_;
};

}  // namespace lockstep
