// The KV blocks of a replica: reference counts, and reuse of full blocks whose tokens, whole
// prefix and salt are equal.
//
// Every block is in one of three states: free, referenced (by one or more sequences), or cached
// (unreferenced, its contents still usable by a later sequence with the same prefix). Full blocks
// are shared, never written again; a partial block belongs to one sequence. Pure: no clock, thread
// or random source. Nothing allocates but the constructor, and tables that grow.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/digest.h"
#include "scheduler/step_plan.h"

namespace lockstep {

// Whose prefixes these are: blocks are shared among equal salts alone, so that nobody learns from
// the time of an answer what others have asked.
using CacheSalt = Digest;

class BlockPool {
 public:
  // Requires: num_blocks >= 0.
  explicit BlockPool(int num_blocks);

  int num_blocks() const { return static_cast<int>(blocks_.size()); }
  int num_free() const { return static_cast<int>(free_.size()); }
  int num_cached() const { return num_cached_; }
  int num_referenced() const { return num_blocks() - num_free() - num_cached(); }
  // What take() can give: free blocks, then cached ones, least recently used first.
  int num_available() const { return num_free() + num_cached(); }

  // Appends `count` blocks with one reference each, or nothing (and nothing changed): false.
  bool take(int count, std::vector<BlockId>& table);

  // Appends the longest run of cached or referenced full blocks that hold `tokens` from the start,
  // each with one reference more.
  void share_prefix(const CacheSalt& salt, std::span<const std::uint32_t> tokens,
                    std::vector<BlockId>& table);

  // How many blocks share_prefix would give, and how many of those are unreferenced now.
  struct PrefixMatch {
    int blocks = 0;
    int unreferenced = 0;
  };
  PrefixMatch match_prefix(const CacheSalt& salt, std::span<const std::uint32_t> tokens) const;

  // Says that `id` now holds these 16 tokens behind `parent` (nothing for the first block),
  // computed and complete. If an equal block is known already, `id` stays private. Requires:
  // `id` is referenced.
  void publish(BlockId id, std::optional<BlockId> parent, const CacheSalt& salt,
               std::span<const std::uint32_t> tokens);

  // Gives back one reference of each block of a sequence, in table order. Blocks that were
  // published become cached when nobody refers to them, tails least recently used; the others
  // become free.
  void release(std::span<const BlockId> table);

 private:
  static constexpr BlockId kNone{-1};
  // Blocks with one hash, at most: a look-up is bounded whatever tokens somebody chooses.
  static constexpr int kMaxChain = 32;

  // Where a walk along a prefix stands: the last block found, or the salt alone.
  struct Prefix {
    std::uint64_t name = 0;  // Of the last block; 0: none yet.
    std::uint64_t hash = 0;  // Of everything up to it.
  };

  // A published block is found by its hash and believed by its tokens and its parent's name; of the
  // first blocks, by the salt. Names are never given twice, so an equal parent is an equal prefix.
  struct Block {
    int references = 0;
    std::uint64_t name = 0;  // 0: not published.
    std::uint64_t parent = 0;
    std::uint64_t hash = 0;
    CacheSalt salt;
    std::array<std::uint32_t, kBlockTokens> tokens{};
    BlockId next_in_bucket = kNone;
    BlockId older = kNone;  // Among the cached ones.
    BlockId newer = kNone;
  };

  Block& at(BlockId id);
  const Block& at(BlockId id) const;
  BlockId& bucket_of(std::uint64_t hash);
  BlockId bucket_of(std::uint64_t hash) const;
  BlockId find(const Prefix& parent, const CacheSalt& salt,
               std::span<const std::uint32_t> tokens) const;
  void reference(BlockId id);
  void append_newest(BlockId id);
  void unlink(BlockId id);
  BlockId evict_oldest();
  template <typename Visit>
  void walk_prefix(const CacheSalt& salt, std::span<const std::uint32_t> tokens, Visit visit) const;

  std::vector<Block> blocks_;
  std::vector<BlockId> free_;
  std::vector<BlockId> buckets_;  // A power of two.
  BlockId oldest_ = kNone;        // The list of cached blocks; evicted from here.
  BlockId newest_ = kNone;
  int num_cached_ = 0;
  std::uint64_t next_name_ = 1;
};

}  // namespace lockstep
