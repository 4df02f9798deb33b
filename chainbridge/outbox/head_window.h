// The last blocks of a chain as they were seen, from the final one on: tells an extension from a
// reorganization, and a reorganization from the end of all trust. Pure.
#pragma once

#include <cstdint>
#include <vector>

#include "chainbridge/evm/json_rpc.h"

namespace lockstep {

inline constexpr std::size_t kMaxHeadWindow = 256;  // Blocks behind the final one.

class HeadWindow {
 public:
  explicit HeadWindow(const BlockId& final) : blocks_{final} {}
  // From disk. Requires: not empty, numbers that follow each other.
  explicit HeadWindow(std::vector<BlockId> blocks);

  const BlockId& final() const { return blocks_.front(); }
  const BlockId& head() const { return blocks_.back(); }
  const std::vector<BlockId>& blocks() const { return blocks_; }

  bool contains(const BlockId& block) const;

  // Takes the head off: the chain no longer has it. False when it is the final one, which must not
  // happen.
  bool pop();

  enum class Push { kExtended, kDoesNotLink, kFull };
  // Takes the block behind the head. Requires: header.id.number == head().number + 1.
  Push push(const BlockHeader& header);

  // Makes a later block the final one. Within the window it must be the block that was seen there
  // (false otherwise: a reorganization is under way); beyond it the window starts anew there.
  bool advance_final(const BlockId& final);

 private:
  std::vector<BlockId> blocks_;  // Ascending; the first is final.
};

}  // namespace lockstep
