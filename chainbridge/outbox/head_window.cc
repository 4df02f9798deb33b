#include "chainbridge/outbox/head_window.h"

#include "base/check.h"

namespace lockstep {

HeadWindow::HeadWindow(std::vector<BlockId> blocks) : blocks_(std::move(blocks)) {
  CHECK(!blocks_.empty() && blocks_.size() <= kMaxHeadWindow + 1, "no window of blocks");
  for (std::size_t i = 1; i < blocks_.size(); ++i) {
    CHECK(blocks_[i].number == blocks_[0].number + i, "blocks are missing in the window");
  }
}

bool HeadWindow::contains(const BlockId& block) const {
  if (block.number < final().number || block.number > head().number) return false;
  return blocks_[block.number - final().number] == block;
}

bool HeadWindow::pop() {
  if (blocks_.size() == 1) return false;
  blocks_.pop_back();
  return true;
}

HeadWindow::Push HeadWindow::push(const BlockHeader& header) {
  CHECK(header.id.number == head().number + 1, "not the block behind the head");
  if (header.parent != head().hash) return Push::kDoesNotLink;
  if (blocks_.size() > kMaxHeadWindow) return Push::kFull;
  blocks_.push_back(header.id);
  return Push::kExtended;
}

bool HeadWindow::advance_final(const BlockId& final) {
  if (final.number < this->final().number) return true;  // Nodes that lag: nothing new.
  const std::uint64_t index = final.number - this->final().number;
  if (index >= blocks_.size()) {
    blocks_ = {final};
    return true;
  }
  if (blocks_[index] != final) return false;
  blocks_.erase(blocks_.begin(), blocks_.begin() + static_cast<std::ptrdiff_t>(index));
  return true;
}

}  // namespace lockstep
