// The long work on a batch's files: checking the input, reading lines, writing the output. Blocks;
// one thread that has nothing else to do.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/file.h"
#include "base/request_id.h"
#include "scheduler/batch_lines.h"
#include "scheduler/batch_runner.h"
#include "scheduler/batch_store.h"
#include "scheduler/gateway/store/state_directory.h"

namespace lockstep {

class BatchDisk {
 public:
  struct Parts {
    const StateDirectory* directory = nullptr;
    BatchStore* store = nullptr;  // Its thread never waits for this one.
    const BatchLines* lines = nullptr;
    const Clock* clock = nullptr;
    Random* random = nullptr;
  };
  // What `parts` point to outlives it.
  explicit BatchDisk(const Parts& parts) : parts_(parts), ids_(*parts.random) {}

  // Any thread: what is being done ends soon, with kAborted.
  void stop() { is_stopping_ = true; }

  Result<BatchValidator::Verdict> validate(const BatchRecord& batch) const;
  // At most `max_lines` lines behind those that were fed, and a few MiB.
  Result<LinesRead> read_lines(const BatchRecord& batch, std::uint32_t max_lines) const;
  // Both files whole and synced under their names, or none; lines in the order of the input.
  Result<WrittenFiles> write_output(const BatchRecord& batch);

 private:
  class OutputFile;

  Result<bool> visit_pieces(const BatchRecord& batch, std::uint64_t offset,
                            const std::function<Result<bool>(std::string_view)>& visit) const;
  // The lines of the input that were not fed, until the visitor says false.
  Status visit_unfed(const BatchRecord& batch,
                     const std::function<bool(const LineSplitter::Line&)>& visit) const;
  Status write_ended(const BatchRecord& batch, OutputFile& output, OutputFile& errors) const;
  Status write_unfed(const BatchRecord& batch, OutputFile& errors);

  Parts parts_;
  RequestIdSource ids_;
  std::atomic<bool> is_stopping_ = false;
};

}  // namespace lockstep
