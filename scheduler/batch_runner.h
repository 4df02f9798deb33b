// What happens to batches from their acceptance to their output files: when a file is checked, when
// which lines go into the queue, what follows from a cancellation, a deadline, a restart. Pure:
// time comes in with every call, ids from the source that is passed in, everything to be done comes
// out as effects.
//
// Guarantees: each line is fed once, because its row and the place behind it are one commit; a
// batch ends once every line that was fed has ended, and its state and its files become visible
// together.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "base/request_id.h"
#include "base/result.h"
#include "scheduler/batch.h"
#include "scheduler/batch_input.h"
#include "scheduler/batch_lines.h"
#include "scheduler/batch_store.h"
#include "scheduler/dispatcher.h"
#include "scheduler/job_store.h"

namespace lockstep {

struct BatchRunnerConfig {
  std::uint32_t window_lines = 256;    // Of a batch, in the queue or running.
  std::uint32_t tenant_lines = 1'024;  // Of all batches of a tenant.
  std::size_t max_open = 4'096;        // Batches that have not ended.
  std::size_t max_tenant_open = 256;
  std::int64_t retry_ms = 1'000;                                    // After a failed write or read.
  std::int64_t output_lifetime_ms = std::int64_t{30} * 86'400'000;  // Of output and error files.
};

// ---- What is to be done outside.

// Check the whole input file; validated() is the answer.
struct ValidateBatch {
  BatchRecord batch;
};
// Read up to `max_lines` lines behind those that were fed; lines_read().
struct ReadLines {
  BatchRecord batch;
  std::uint32_t max_lines = 0;
};
// Put lines into the queue, in one commit with the writes (`lines` may be empty); stored().
struct FeedLines {
  RequestId batch;
  std::vector<JobRecord> lines;
  std::vector<StoreWrite> with;
};
// stored().
struct StoreBatch {
  RequestId batch;
  std::vector<StoreWrite> writes;
};
struct CancelLines {
  std::vector<RequestId> lines;
};
// Write output and error file; written().
struct WriteOutput {
  BatchRecord batch;
};
// The answer to a cancel().
struct AnswerCancel {
  BatchRecord batch;
  Status status;
};
using BatchEffect = std::variant<ValidateBatch, ReadLines, FeedLines, StoreBatch, CancelLines,
                                 WriteOutput, AnswerCancel>;

// Lines of an input file, and the place behind them.
struct LinesRead {
  std::vector<LineJob> lines;
  std::uint64_t end_bytes = 0;
};
// Bytes of the output files; 0: it was not made, because it would be empty.
struct WrittenFiles {
  std::uint64_t output_bytes = 0;
  std::uint64_t error_bytes = 0;
};

class BatchRunner {
 public:
  // `ids` gives lines and output files their ids; it must outlive the runner.
  BatchRunner(const BatchRunnerConfig& config, RequestIdSource& ids);

  // After a restart. Requires: no batch is known yet.
  void recover(Now now, std::vector<BatchRecord> batches, const std::vector<OpenLine>& lines);
  // kExhausted: too many are open.
  Status admit(const std::string& tenant) const;
  // A batch whose row is on disk.
  void created(Now now, BatchRecord record);
  // AnswerCancel follows. False: there is no such batch, or it has ended.
  bool cancel(Now now, RequestId id);
  void line_ended(Now now, RequestId line, JobState state);
  // The answers to effects; those for a batch that has ended meanwhile are ignored.
  void validated(Now now, RequestId id, Result<BatchValidator::Verdict> verdict);
  void lines_read(Now now, RequestId id, Result<LinesRead> read);
  void stored(Now now, RequestId id, const Status& status);
  void written(Now now, RequestId id, const Result<WrittenFiles>& files);
  // Deadlines, and what is tried again.
  void tick(Now now);

  std::vector<BatchEffect> take_effects() { return std::exchange(effects_, {}); }
  std::size_t num_open() const { return batches_.size(); }
  // Null: it is not open.
  const BatchRecord* find(RequestId id) const;

 private:
  struct Batch {
    enum class Commit : std::uint8_t { kNone, kUpdate, kCancel, kFeed };
    BatchRecord record;  // As on disk.
    BatchRecord next;    // What the commit in flight makes of it.
    Commit commit = Commit::kNone;
    bool is_working = false;  // Something is validated, read or written for it.
    bool is_cancel_asked = false;
    std::set<RequestId> lines;         // Fed and not ended; those in flight to the disk, too.
    std::vector<RequestId> feeding;    // Of the commit in flight: those that run,
    std::uint32_t failed_at_once = 0;  // ... and those that have ended with it.
    std::int64_t retry_ms = 0;
  };

  void advance(Now now, Batch& batch);
  bool begin_change(Now now, Batch& batch);
  void begin_work(Batch& batch);
  std::uint32_t room_of(const Batch& batch) const;
  void update(Batch& batch, Batch::Commit commit);
  void feed(Now now, Batch& batch, LinesRead read);
  void take_commit(Now now, Batch& batch, const Status& status);
  void end_feeding(Batch& batch, bool is_stored);
  void end_if_terminal(RequestId id);

  BatchRunnerConfig config_;
  RequestIdSource& ids_;
  std::vector<BatchEffect> effects_;
  std::map<RequestId, Batch> batches_;  // Oldest first.
  std::unordered_map<RequestId, RequestId> batch_of_line_;
  std::map<std::string, std::uint32_t> lines_of_tenant_;
};

}  // namespace lockstep
