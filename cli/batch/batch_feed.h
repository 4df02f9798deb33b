// The lines of a batch that this process is to answer: all that have no result yet, or, with
// leases, those of blocks that nobody else has.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "cli/batch/line_file.h"
#include "cli/batch/line_leases.h"

namespace lockstep {

class BatchFeed {
 public:
  // `done` are lines with a result of ours; it and `leases`, which may be null, must outlive this.
  BatchFeed(LineSource input, const std::unordered_set<std::string>& done, LineLeases* leases)
      : input_(std::move(input)), done_(&done), leases_(leases) {}

  // Nothing: no more in this pass over the input.
  Result<std::optional<BatchLine>> next();
  // The result of a line was written.
  void ended(const std::string& custom_id);
  // Everything that was written is on disk: says so of the blocks that are complete, and renews the
  // others.
  Status settle();
  // Another pass, over blocks that others had. False: the pass before took none.
  Result<bool> begin_pass(LineSource input);

 private:
  struct Block {
    std::uint32_t open = 0;  // Lines that have not ended.
    bool is_fed = false;     // All its lines were given out.
  };

  Status enter(std::uint32_t block);

  LineSource input_;
  const std::unordered_set<std::string>* done_;
  LineLeases* leases_;
  std::uint32_t line_ = 0;
  std::optional<std::uint32_t> block_;  // Where the input is.
  bool is_ours_ = false;
  bool took_any_ = false;
  std::map<std::uint32_t, Block> blocks_;                    // That are ours and not finished.
  std::unordered_map<std::string, std::uint32_t> block_of_;  // Of lines that have not ended.
};

}  // namespace lockstep
