// The lines of a batch's output and error files, as JSON in the form of OpenAI's Batch API. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/request_id.h"
#include "base/result.h"
#include "scheduler/batch.h"

namespace lockstep {

// How one line ended: with a response, or without one because it was never run to its end.
struct BatchLineResult {
  RequestId id;  // Of its job.
  std::string custom_id;
  int status_code = 200;
  std::string body_json;   // Of the response; empty: there is none.
  std::string error_code;  // "batch_expired", "batch_cancelled"; empty with a response.
  std::string error_message;
};

// Ends with a newline. Requires: body_json is a JSON text.
std::string batch_output_line(const BatchLineResult& result);

// What a line says that its batch ended before it did.
inline constexpr std::string_view kBatchExpiredCode = "batch_expired";
inline constexpr std::string_view kBatchExpiredMessage =
    "This request could not be executed before the completion window expired.";
inline constexpr std::string_view kBatchCancelledCode = "batch_cancelled";
inline constexpr std::string_view kBatchCancelledMessage =
    "This request was not executed: its batch was cancelled.";

// What can be told from a line that was written before. kCorrupt: it is none.
struct WrittenLine {
  std::string custom_id;
  std::string fingerprint;  // `system_fingerprint` of the answer; empty: it is an error.
};
Result<WrittenLine> parse_output_line(std::string_view text);

// Whether a line goes into the output file; else into the error file.
bool is_output(const BatchLineResult& result);

}  // namespace lockstep
