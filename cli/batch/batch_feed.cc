#include "cli/batch/batch_feed.h"

#include <utility>

namespace lockstep {

Status BatchFeed::enter(std::uint32_t block) {
  if (block_ && is_ours_) blocks_[*block_].is_fed = true;
  block_ = block;
  LOCKSTEP_TRY_ASSIGN(const LineLeases::Claim claim, leases_->claim(block), "leases");
  is_ours_ = claim == LineLeases::Claim::kOurs;
  if (!is_ours_) return {};
  blocks_.try_emplace(block);
  took_any_ = true;
  return {};
}

Result<std::optional<BatchLine>> BatchFeed::next() {
  for (;;) {
    LOCKSTEP_TRY_ASSIGN(std::optional<BatchLine> line, input_.next(), "IN");
    if (!line) {
      if (block_ && is_ours_) blocks_[*block_].is_fed = true;
      return line;
    }
    const std::uint32_t block = line_++ / kLeaseLines;
    if (leases_ != nullptr) {
      if (block != block_) LOCKSTEP_TRY(enter(block), "IN");
      if (!is_ours_) continue;
    }
    if (done_->contains(line->custom_id)) continue;
    if (leases_ != nullptr) {
      ++blocks_[block].open;
      block_of_.emplace(line->custom_id, block);
    }
    return line;
  }
}

void BatchFeed::ended(const std::string& custom_id) {
  const auto found = block_of_.find(custom_id);
  if (found == block_of_.end()) return;
  --blocks_[found->second].open;
  block_of_.erase(found);
}

Status BatchFeed::settle() {
  if (leases_ == nullptr) return {};
  LOCKSTEP_TRY(leases_->renew(), "leases");
  for (auto one = blocks_.begin(); one != blocks_.end();) {
    if (!one->second.is_fed || one->second.open > 0) {
      ++one;
      continue;
    }
    LOCKSTEP_TRY(leases_->finish(one->first), "leases");
    one = blocks_.erase(one);
  }
  return {};
}

Result<bool> BatchFeed::begin_pass(LineSource input) {
  if (leases_ == nullptr || !std::exchange(took_any_, false)) return false;
  input_ = std::move(input);
  line_ = 0;
  block_.reset();
  is_ours_ = false;
  return true;
}

}  // namespace lockstep
