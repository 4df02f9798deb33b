// A batch: a file of requests that is answered within a day or so, as OpenAI's Batch API has it.
// Plain values, and the state machine over them; the time is passed in.
//
//   validating -> in_progress -> finalizing -> completed
//        |             |  \-> cancelling -> cancelled     (lines that are finished keep their
//        answers) |             \----> finalizing  -> expired      (so do they here)
//        \-> failed, cancelled
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/digest.h"
#include "base/request_id.h"
#include "base/result.h"

namespace lockstep {

inline constexpr std::uint64_t kMaxBatchBytes = std::uint64_t{512} << 20;
inline constexpr std::uint32_t kMaxBatchLines = 100'000;
inline constexpr std::size_t kMaxBatchErrors = 100;  // That are kept of a file that is refused.

// An uploaded or written file; its bytes lie below the state directory.
struct FileRecord {
  RequestId id;
  std::string tenant;
  std::string purpose;   // "batch", "batch_output"
  std::string filename;  // As its client calls it.
  std::uint64_t bytes = 0;
  std::int64_t created_ms = 0;
  std::int64_t expires_ms = 0;  // 0: never.
  bool operator==(const FileRecord&) const = default;
};

enum class BatchState : std::uint8_t {
  kValidating = 0,
  kFailed = 1,  // The input file was refused; nothing ran.
  kInProgress = 2,
  kFinalizing = 3,  // All lines have ended; the output is being written.
  kCompleted = 4,
  kExpired = 5,
  kCancelling = 6,
  kCancelled = 7,
};
inline constexpr int kNumBatchStates = 8;

// "validating", "failed", ...
std::string_view batch_state_name(BatchState state);
bool is_terminal(BatchState state);

// Why an input file was refused.
struct BatchError {
  std::string code;        // "duplicate_custom_id"
  std::string message;     // For a person.
  std::string param;       // Empty: none.
  std::uint32_t line = 0;  // From 1 on; 0: the whole file.
  bool operator==(const BatchError&) const = default;
};

struct BatchCounts {
  std::uint32_t total = 0;
  std::uint32_t completed = 0;  // With an answer.
  std::uint32_t failed = 0;     // With an error, cancelled and expired ones too.
  bool operator==(const BatchCounts&) const = default;
};

struct BatchRecord {
  RequestId id;
  std::string tenant;
  std::string endpoint;  // "/v1/chat/completions"
  RequestId input_file;
  std::string completion_window;  // "24h"
  std::vector<std::pair<std::string, std::string>> metadata;
  Digest model_id;  // Its lines are answered by this model or not at all.
  std::uint32_t numerics_version = 0;
  BatchState state = BatchState::kValidating;
  std::vector<BatchError> errors;
  RequestId output_file;  // Chosen on the way to `finalizing`, so that a restart writes the same.
  RequestId error_file;
  BatchCounts counts;
  // Where feeding its lines into the queue goes on: behind this many lines and bytes.
  std::uint32_t fed_lines = 0;
  std::uint64_t fed_bytes = 0;
  bool is_cancelled = false;  // What `finalizing` ends in.
  bool is_expired = false;
  // Unix time; 0: not yet.
  std::int64_t created_ms = 0;
  std::int64_t expires_ms = 0;
  std::int64_t in_progress_ms = 0;
  std::int64_t finalizing_ms = 0;
  std::int64_t completed_ms = 0;
  std::int64_t failed_ms = 0;
  std::int64_t expired_ms = 0;
  std::int64_t cancelling_ms = 0;
  std::int64_t cancelled_ms = 0;
  bool operator==(const BatchRecord&) const = default;

  std::uint32_t num_ended() const { return counts.completed + counts.failed; }
  // When it became terminal; 0 while it is not.
  std::int64_t ended_ms() const;
};

// Each returns kInvalidArgument, and changes nothing, where the state does not allow it; `cancel`
// says so to the client.

// The input is good and has so many lines: in_progress.
Status begin_batch(BatchRecord& batch, std::uint32_t num_lines, std::int64_t now_ms);
// The input is bad: failed. Keeps the first kMaxBatchErrors errors.
Status fail_batch(BatchRecord& batch, std::vector<BatchError> errors, std::int64_t now_ms);
// By its client: cancelling, or cancelled at once while nothing was fed. The caller ends its lines.
Status cancel_batch(BatchRecord& batch, std::int64_t now_ms);
// Its window has passed: no more lines are fed. The caller ends its lines.
Status expire_batch(BatchRecord& batch, std::int64_t now_ms);
// Every line that was fed has ended, and none will be fed: the output is to be written now, into
// these files. A cancelling batch stays `cancelling`.
Status finalize_batch(BatchRecord& batch, RequestId output_file, RequestId error_file,
                      std::int64_t now_ms);
// The output is on disk: completed, expired or cancelled.
Status finish_batch(BatchRecord& batch, std::int64_t now_ms);

// Whether more lines go into the queue, and whether all that were fed have ended and none will be.
bool is_feeding(const BatchRecord& batch);
bool is_ready_to_finalize(const BatchRecord& batch);

// "24h", "90s", "30m", "7d": milliseconds, at most 30 days. kInvalidArgument says what was
// expected.
Result<std::int64_t> parse_completion_window(std::string_view text);

// "file-HEX" and "batch_HEX", and back; kInvalidArgument.
std::string file_id_text(RequestId id);
std::string batch_id_text(RequestId id);
Result<RequestId> parse_file_id(std::string_view text);
Result<RequestId> parse_batch_id(std::string_view text);

}  // namespace lockstep
