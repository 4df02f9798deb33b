#include "scheduler/block_pool.h"

#include "base/check.h"

namespace lockstep {

BlockPool::BlockPool(int num_blocks) : blocks_(static_cast<std::size_t>(num_blocks)) {
  free_.reserve(blocks_.size());
  for (int i = num_blocks - 1; i >= 0; --i) free_.push_back(BlockId{i});
}

BlockPool::Block& BlockPool::at(BlockId id) {
  const auto index = static_cast<std::size_t>(id);
  CHECK(index < blocks_.size(), "no such KV block");
  return blocks_[index];
}

const BlockPool::Block& BlockPool::at(BlockId id) const {
  return const_cast<BlockPool*>(this)->at(id);
}

void BlockPool::reference(BlockId id) {
  Block& block = at(id);
  if (block.references++ == 0 && block.name != 0) unused_.erase(block.unused);
}

void BlockPool::forget(BlockId id) {
  Block& block = at(id);
  published_.erase(block.entry);
  block.name = 0;
}

std::optional<std::vector<BlockId>> BlockPool::take(int count) {
  CHECK(count >= 0, "a negative number of KV blocks");
  if (count > num_available()) return std::nullopt;
  std::vector<BlockId> taken;
  taken.reserve(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) {
    if (free_.empty()) {
      const BlockId evicted = unused_.front();
      unused_.pop_front();
      forget(evicted);
      free_.push_back(evicted);
    }
    const BlockId id = free_.back();
    free_.pop_back();
    at(id).references = 1;
    taken.push_back(id);
  }
  return taken;
}

template <typename Visit>
void BlockPool::walk_prefix(std::span<const std::uint32_t> tokens, Visit visit) const {
  std::uint64_t parent = 0;
  while (tokens.size() >= kBlockTokens) {
    const auto found =
        published_.find(Key{parent, {tokens.begin(), tokens.begin() + kBlockTokens}});
    if (found == published_.end()) return;
    visit(found->second);
    parent = at(found->second).name;
    tokens = tokens.subspan(kBlockTokens);
  }
}

std::vector<BlockId> BlockPool::share_prefix(std::span<const std::uint32_t> tokens) {
  std::vector<BlockId> shared;
  walk_prefix(tokens, [&](BlockId id) { shared.push_back(id); });
  for (const BlockId id : shared) reference(id);
  return shared;
}

BlockPool::PrefixMatch BlockPool::match_prefix(std::span<const std::uint32_t> tokens) const {
  PrefixMatch match;
  walk_prefix(tokens, [&](BlockId id) {
    ++match.blocks;
    if (at(id).references == 0) ++match.unreferenced;
  });
  return match;
}

void BlockPool::publish(BlockId id, std::optional<BlockId> parent,
                        std::span<const std::uint32_t> tokens) {
  CHECK(tokens.size() == kBlockTokens, "only full KV blocks are published");
  Block& block = at(id);
  CHECK(block.references > 0, "publish of a KV block that nobody holds");
  if (block.name != 0) return;
  const std::uint64_t parent_name = parent ? at(*parent).name : 0;
  if (parent && parent_name == 0) return;  // The parent is a private copy: so is this one.
  const auto [entry, inserted] =
      published_.try_emplace(Key{parent_name, {tokens.begin(), tokens.end()}}, id);
  if (!inserted) return;
  block.entry = entry;
  block.name = next_name_++;
}

void BlockPool::release(std::span<const BlockId> table) {
  for (std::size_t i = table.size(); i-- > 0;) {  // Tails first, so that they are evicted first.
    Block& block = at(table[i]);
    CHECK(block.references > 0, "release of a KV block that nobody holds");
    if (--block.references > 0) continue;
    if (block.name != 0) {
      block.unused = unused_.insert(unused_.end(), table[i]);
    } else {
      free_.push_back(table[i]);
    }
  }
}

}  // namespace lockstep
