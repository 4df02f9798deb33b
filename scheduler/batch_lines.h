// The lines of a batch file as jobs for a model, and ended jobs as lines of its output: what the
// gateway and `lockstep batch run` share, so that a body means in both what it means over HTTP.
// Immutable, thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/digest.h"
#include "base/result.h"
#include "scheduler/batch_input.h"
#include "scheduler/batch_output.h"
#include "scheduler/job.h"

namespace lockstep {

class ModelText;
class Store;

// A line as a job. Not ok: the model cannot take it (its prompt is too long, its template fails);
// then `record` has no prompt, and the line ends with this error.
struct LineJob {
  JobRecord record;  // Without id and tenant.
  Status status;
};

class BatchLines {
 public:
  explicit BatchLines(std::shared_ptr<const ModelText> text) : text_(std::move(text)) {}
  // Without a gateway. `name` is what requests may call the model; context_tokens 0: the model's.
  static Result<BatchLines> open(const Store& model, std::string name,
                                 std::uint32_t context_tokens);

  Digest model_id() const;
  std::uint32_t numerics_version() const;
  // As answers have it in `system_fingerprint`.
  std::string fingerprint() const;

  // What is wrong with the line's endpoint or the fields of its body, as the API would say it; an
  // empty code: nothing. It does not look at the prompt's tokens.
  BatchError check(const BatchLine& line) const;

  // Requires: check() found nothing. A body without a seed gets one made of `salt` and the line's
  // custom_id, so that a line which is read again asks for the same answer.
  LineJob make_job(const BatchLine& line, std::string_view salt, std::int64_t unix_ms) const;

  // How an ended job is told. `batch` says why lines were cancelled.
  BatchLineResult result_of(const StoredJob& job, const BatchRecord& batch) const;

 private:
  std::shared_ptr<const ModelText> text_;
};

// How a line is told that was never fed, because `batch` ended before.
BatchLineResult unfed_result(RequestId id, std::string custom_id, const BatchRecord& batch);

}  // namespace lockstep
