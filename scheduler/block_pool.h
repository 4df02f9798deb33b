// The KV blocks of a replica: reference counts, and reuse of full blocks whose tokens and whole
// prefix are equal.
//
// Every block is in one of three states: free, referenced (by one or more sequences), or cached
// (unreferenced, its contents still usable by a later sequence with the same prefix). Full blocks
// are shared, never written again; a partial block belongs to one sequence. Pure: no clock, thread
// or random source.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "scheduler/step_plan.h"

namespace lockstep {

class BlockPool {
 public:
  // Requires: num_blocks >= 0.
  explicit BlockPool(int num_blocks);

  int num_blocks() const { return static_cast<int>(blocks_.size()); }
  int num_free() const { return static_cast<int>(free_.size()); }
  int num_cached() const { return static_cast<int>(unused_.size()); }
  int num_referenced() const { return num_blocks() - num_free() - num_cached(); }
  // What take() can give: free blocks, then cached ones, least recently used first.
  int num_available() const { return num_free() + num_cached(); }

  // `count` blocks with one reference each, or nothing (and nothing changed).
  std::optional<std::vector<BlockId>> take(int count);

  // The longest run of cached or referenced full blocks that hold `tokens` from the start, each
  // with one reference more.
  std::vector<BlockId> share_prefix(std::span<const std::uint32_t> tokens);

  // How many blocks share_prefix would give, and how many of those are unreferenced now.
  struct PrefixMatch {
    int blocks = 0;
    int unreferenced = 0;
  };
  PrefixMatch match_prefix(std::span<const std::uint32_t> tokens) const;

  // Says that `id` now holds these 16 tokens behind `parent` (nothing for the first block),
  // computed and complete. If an equal block is known already, `id` stays private. Requires:
  // `id` is referenced.
  void publish(BlockId id, std::optional<BlockId> parent, std::span<const std::uint32_t> tokens);

  // Gives back one reference of each block of a sequence, in table order. Blocks that were
  // published become cached when nobody refers to them, tails least recently used; the others
  // become free.
  void release(std::span<const BlockId> table);

 private:
  // Names a full block by its tokens and by the name of its parent, so equal keys mean equal
  // prefixes.
  struct Key {
    std::uint64_t parent = 0;  // Name of the parent; 0 for the first block.
    std::vector<std::uint32_t> tokens;
    auto operator<=>(const Key&) const = default;
  };
  struct Block {
    int references = 0;
    std::uint64_t name = 0;  // Unique, never used again; 0: not published.
    std::map<Key, BlockId>::iterator entry;
    std::list<BlockId>::iterator unused;
  };

  Block& at(BlockId id);
  const Block& at(BlockId id) const;
  void reference(BlockId id);
  void forget(BlockId id);
  template <typename Visit>
  void walk_prefix(std::span<const std::uint32_t> tokens, Visit visit) const;

  std::vector<Block> blocks_;
  std::vector<BlockId> free_;
  std::list<BlockId> unused_;  // Cached blocks; the front is evicted first.
  std::map<Key, BlockId> published_;
  std::uint64_t next_name_ = 1;
};

}  // namespace lockstep
