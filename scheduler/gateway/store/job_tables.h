// The rows of jobs: their statements and what they mean. Runs inside the transaction of whoever
// calls; has no thread and no clock.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/database.h"
#include "scheduler/batch_store.h"
#include "scheduler/job_store.h"

namespace lockstep {

// How long rows are kept.
struct RetentionTimes {
  std::int64_t request_ms = 3'600'000;                 // After its end.
  std::int64_t job_ms = std::int64_t{7} * 86'400'000;  // After its end; chain jobs, too.
  std::int64_t batch_line_ms = 3'600'000;              // After the end of its batch.
  std::int64_t batch_ms = std::int64_t{30} * 86'400'000;
  std::int64_t idempotency_ms = 86'400'000;  // After it was accepted, and its job too.
  std::int64_t tombstone_ms = std::int64_t{30} * 86'400'000;  // After it was accepted.
};

class JobTables {
 public:
  static Result<JobTables> prepare(Database& database, const RetentionTimes& retention);

  // kAborted: its idempotency key is taken; kInvalidArgument: its id is.
  Status insert(const JobRecord& job);
  Status append(const AppendTokens& piece);
  Status end_choice(const EndChoice& end);
  Status end_job(const EndJob& end);

  Result<StoredJob> load(const std::string& tenant, const RequestId& id);
  Result<JobStore::KeyHolder> find_key(const std::string& tenant, const std::string& route,
                                       const std::string& key);
  Result<std::vector<JobSummary>> list(const std::string& tenant, const RequestId& before,
                                       std::uint32_t limit);
  Result<std::vector<WaitingJob>> load_waiting();
  // Lines of batches that have not ended.
  Result<std::vector<OpenLine>> load_open_lines();
  // Terminal lines of a batch behind `after`, in the order in which they were fed.
  Result<std::vector<StoredJob>> load_lines(const RequestId& batch, const RequestId& after,
                                            std::uint32_t limit);

  // Removes the rows of a job for good and leaves a tombstone.
  Status remove(std::int64_t job);

 private:
  struct Place {
    std::int64_t job = 0;
    bool is_terminal = false;
  };

  JobTables(Database& database, const RetentionTimes& retention)
      : database_(&database), retention_(retention) {}
  Status take_key(const JobRecord& job);
  Result<Place> find(const RequestId& id);
  Result<std::uint32_t> count_tokens(std::int64_t job, std::uint32_t choice);
  Status count_ended_line(std::int64_t job, JobState state);
  std::int64_t removal_ms(const Statement& row, std::int64_t ended_ms) const;
  Status load_outcome(std::int64_t job, StoredJob& out);
  Status load_choices(std::int64_t job, StoredJob& out);
  Status load_tokens(std::int64_t job, StoredJob& out);
  Result<StoredJob> load_row(Statement& row);
  Error why_missing(const std::string& tenant, const RequestId& id);

  Database* database_;
  RetentionTimes retention_;
  Statement insert_job_, insert_waiting_, find_key_, put_key_;
  Statement find_job_, count_tokens_, insert_tokens_, find_choice_, insert_choice_;
  Statement delete_waiting_, insert_outcome_, job_kind_, count_line_;
  Statement load_job_, load_outcome_, load_choices_, load_tokens_, find_tombstone_;
  Statement list_jobs_, load_waiting_, load_open_lines_, load_lines_;
  Statement remove_choices_, remove_tokens_, remove_outcome_, put_tombstone_, remove_job_;
};

}  // namespace lockstep
