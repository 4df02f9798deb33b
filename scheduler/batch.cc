#include "scheduler/batch.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace lockstep {
namespace {

constexpr std::array<std::string_view, kNumBatchStates> kNames = {
    "validating", "failed",  "in_progress", "finalizing",
    "completed",  "expired", "cancelling",  "cancelled"};
constexpr std::int64_t kMaxWindowMs = std::int64_t{30} * 24 * 3600 * 1000;
constexpr std::string_view kFilePrefix = "file-";
constexpr std::string_view kBatchPrefix = "batch_";

Error wrong_state(const BatchRecord& batch, std::string_view what) {
  std::string message = "batch " + batch_id_text(batch.id) + " is ";
  message.append(batch_state_name(batch.state)).append(" and cannot be ").append(what);
  return Error{ErrorCode::kInvalidArgument, std::move(message)};
}

Result<RequestId> parse_prefixed(std::string_view prefix, std::string_view text) {
  if (text.starts_with(prefix)) {
    const Result<RequestId> id = RequestId::parse(text.substr(prefix.size()));
    if (id.ok()) return id;
  }
  return Error{ErrorCode::kInvalidArgument,
               "expected \"" + std::string(prefix) + "\" and 32 hexadecimal digits"};
}

}  // namespace

std::string_view batch_state_name(BatchState state) {
  return kNames[static_cast<std::size_t>(state)];
}

bool is_terminal(BatchState state) {
  return state == BatchState::kFailed || state == BatchState::kCompleted ||
         state == BatchState::kExpired || state == BatchState::kCancelled;
}

std::int64_t BatchRecord::ended_ms() const {
  return is_terminal(state) ? std::max({completed_ms, failed_ms, expired_ms, cancelled_ms}) : 0;
}

Status begin_batch(BatchRecord& batch, std::uint32_t num_lines, std::int64_t now_ms) {
  if (batch.state != BatchState::kValidating) return wrong_state(batch, "begun");
  batch.state = BatchState::kInProgress;
  batch.counts = {.total = num_lines};
  batch.in_progress_ms = now_ms;
  return {};
}

Status fail_batch(BatchRecord& batch, std::vector<BatchError> errors, std::int64_t now_ms) {
  if (batch.state != BatchState::kValidating) return wrong_state(batch, "refused");
  batch.state = BatchState::kFailed;
  errors.resize(std::min(errors.size(), kMaxBatchErrors));
  batch.errors = std::move(errors);
  batch.failed_ms = now_ms;
  return {};
}

Status cancel_batch(BatchRecord& batch, std::int64_t now_ms) {
  if (batch.state == BatchState::kValidating) {
    batch.state = BatchState::kCancelled;
    batch.cancelling_ms = now_ms;
    batch.cancelled_ms = now_ms;
  } else if (batch.state == BatchState::kInProgress && !batch.is_expired) {
    batch.state = BatchState::kCancelling;
    batch.cancelling_ms = now_ms;
  } else if (batch.state != BatchState::kCancelling) {
    return wrong_state(batch, "cancelled");
  }
  batch.is_cancelled = true;
  return {};
}

Status expire_batch(BatchRecord& batch, std::int64_t now_ms) {
  if (batch.state == BatchState::kValidating) {
    batch.state = BatchState::kExpired;
    batch.expired_ms = now_ms;
  } else if (batch.state != BatchState::kInProgress) {
    return wrong_state(batch, "expired");
  }
  batch.is_expired = true;
  return {};
}

Status finalize_batch(BatchRecord& batch, RequestId output_file, RequestId error_file,
                      std::int64_t now_ms) {
  if (!is_ready_to_finalize(batch)) return wrong_state(batch, "finalized");
  if (batch.state == BatchState::kInProgress) batch.state = BatchState::kFinalizing;
  batch.finalizing_ms = now_ms;
  batch.output_file = output_file;
  batch.error_file = error_file;
  return {};
}

Status finish_batch(BatchRecord& batch, std::int64_t now_ms) {
  const bool finalized =
      batch.state == BatchState::kFinalizing || batch.state == BatchState::kCancelling;
  if (!finalized || batch.finalizing_ms == 0) return wrong_state(batch, "finished");
  if (batch.is_cancelled) {
    batch.state = BatchState::kCancelled;
    batch.cancelled_ms = now_ms;
  } else if (batch.is_expired) {
    batch.state = BatchState::kExpired;
    batch.expired_ms = now_ms;
  } else {
    batch.state = BatchState::kCompleted;
    batch.completed_ms = now_ms;
  }
  return {};
}

bool is_feeding(const BatchRecord& batch) {
  return batch.state == BatchState::kInProgress && !batch.is_expired &&
         batch.fed_lines < batch.counts.total;
}

bool is_ready_to_finalize(const BatchRecord& batch) {
  const bool open =
      batch.state == BatchState::kInProgress || batch.state == BatchState::kCancelling;
  return open && batch.finalizing_ms == 0 && !is_feeding(batch) &&
         batch.num_ended() == batch.fed_lines;
}

Result<std::int64_t> parse_completion_window(std::string_view text) {
  std::int64_t count = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), count);
  const std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  std::int64_t unit_ms = 0;
  if (unit == "s") unit_ms = 1'000;
  if (unit == "m") unit_ms = 60'000;
  if (unit == "h") unit_ms = 3'600'000;
  if (unit == "d") unit_ms = 86'400'000;
  if (fault == std::errc{} && unit_ms > 0 && count >= 1 && count <= kMaxWindowMs / unit_ms) {
    return count * unit_ms;
  }
  return Error{ErrorCode::kInvalidArgument,
               "completion_window: expected a time such as \"24h\", at most \"30d\", got \"" +
                   std::string(text.substr(0, 32)) + "\""};
}

std::string file_id_text(RequestId id) { return std::string(kFilePrefix) + id.text(); }
std::string batch_id_text(RequestId id) { return std::string(kBatchPrefix) + id.text(); }
Result<RequestId> parse_file_id(std::string_view text) { return parse_prefixed(kFilePrefix, text); }
Result<RequestId> parse_batch_id(std::string_view text) {
  return parse_prefixed(kBatchPrefix, text);
}

}  // namespace lockstep
