// The lines of a batch through a leader: many at once, each answered and written once.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/request_id.h"
#include "scheduler/batch_lines.h"
#include "worker/leader.h"

namespace lockstep {

struct BatchFigures {
  std::uint64_t answered = 0;
  std::uint64_t failed = 0;
  std::uint64_t bytes = 0;  // Of the bodies of both.
  std::uint64_t prompt_tokens = 0;
  std::uint64_t completion_tokens = 0;
};

class BatchEngine {
 public:
  // Gets each ended line as text; an error ends the run.
  using Writer = std::function<Status(const BatchLineResult& result)>;

  // The references outlive it.
  BatchEngine(Leader& leader, const BatchLines& lines, Random& random, Writer write)
      : leader_(leader), lines_(lines), ids_(random), write_(std::move(write)) {}

  // A line that the model cannot take is written at once.
  Status add(const BatchLine& line, std::int64_t unix_ms);
  // One step of all that run.
  Status step(std::int64_t unix_ms);

  // Choices that wait or run.
  std::size_t num_choices() const { return choices_.size(); }
  const BatchFigures& figures() const { return figures_; }

 private:
  struct Line {
    StoredJob job;
    std::size_t num_open = 0;  // Choices that have not ended.
  };
  struct Choice {
    std::shared_ptr<Line> line;
    std::uint32_t index = 0;
  };

  Status end(Line& line);
  Status fail(const std::shared_ptr<Line>& line, const Status& why, std::int64_t unix_ms);
  Status take(SequenceEvent& event, std::int64_t unix_ms);

  Leader& leader_;
  const BatchLines& lines_;
  RequestIdSource ids_;
  Writer write_;
  std::map<SequenceId, Choice> choices_;
  BatchFigures figures_;
};

}  // namespace lockstep
