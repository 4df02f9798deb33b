#include "scheduler/block_pool.h"

#include <algorithm>
#include <bit>

#include "base/bytes.h"
#include "base/check.h"

namespace lockstep {
namespace {

// Spreads well enough to find blocks; what is found is compared.
std::uint64_t mix(std::uint64_t hash, std::uint64_t value) {
  hash = (hash ^ value) * 0x9E3779B97F4A7C15U;
  return hash ^ (hash >> 32);
}

std::uint64_t hash_salt(const CacheSalt& salt) {
  std::uint64_t hash = 0;
  for (std::size_t i = 0; i < salt.bytes.size(); i += 8) {
    hash = mix(hash, load_le<std::uint64_t>(salt.bytes.data() + i));
  }
  return hash;
}

std::uint64_t hash_block(std::uint64_t parent, std::span<const std::uint32_t> tokens) {
  std::uint64_t hash = parent + 1;
  for (std::size_t i = 0; i < kBlockTokens; i += 2) {
    hash = mix(hash, tokens[i] | std::uint64_t{tokens[i + 1]} << 32);
  }
  return hash;
}

}  // namespace

BlockPool::BlockPool(int num_blocks)
    : blocks_(static_cast<std::size_t>(num_blocks)),
      buckets_(std::bit_ceil(static_cast<std::size_t>(num_blocks) + 1), kNone) {
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

BlockId& BlockPool::bucket_of(std::uint64_t hash) { return buckets_[hash & (buckets_.size() - 1)]; }

BlockId BlockPool::bucket_of(std::uint64_t hash) const {
  return buckets_[hash & (buckets_.size() - 1)];
}

void BlockPool::append_newest(BlockId id) {
  Block& block = at(id);
  block.older = newest_;
  block.newer = kNone;
  (newest_ == kNone ? oldest_ : at(newest_).newer) = id;
  newest_ = id;
  ++num_cached_;
}

void BlockPool::unlink(BlockId id) {
  const Block& block = at(id);
  (block.older == kNone ? oldest_ : at(block.older).newer) = block.newer;
  (block.newer == kNone ? newest_ : at(block.newer).older) = block.older;
  --num_cached_;
}

void BlockPool::reference(BlockId id) {
  if (at(id).references++ == 0) unlink(id);
}

BlockId BlockPool::evict_oldest() {
  const BlockId id = oldest_;
  unlink(id);
  Block& block = at(id);
  BlockId* link = &bucket_of(block.hash);
  while (*link != id) link = &at(*link).next_in_bucket;
  *link = block.next_in_bucket;
  block.name = 0;
  return id;
}

bool BlockPool::take(int count, std::vector<BlockId>& table) {
  CHECK(count >= 0, "a negative number of KV blocks");
  if (count > num_available()) return false;
  for (int i = 0; i < count; ++i) {
    if (free_.empty()) free_.push_back(evict_oldest());
    const BlockId id = free_.back();
    free_.pop_back();
    at(id).references = 1;
    table.push_back(id);
  }
  return true;
}

BlockId BlockPool::find(const Prefix& parent, const CacheSalt& salt,
                        std::span<const std::uint32_t> tokens) const {
  const std::uint64_t hash = hash_block(parent.hash, tokens);
  BlockId id = bucket_of(hash);
  for (; id != kNone; id = at(id).next_in_bucket) {
    const Block& block = at(id);
    if (block.hash == hash && block.parent == parent.name &&
        (parent.name != 0 || block.salt == salt) && std::ranges::equal(block.tokens, tokens)) {
      break;
    }
  }
  return id;
}

template <typename Visit>
void BlockPool::walk_prefix(const CacheSalt& salt, std::span<const std::uint32_t> tokens,
                            Visit visit) const {
  Prefix prefix{0, hash_salt(salt)};
  while (tokens.size() >= kBlockTokens) {
    const BlockId id = find(prefix, salt, tokens.first(kBlockTokens));
    if (id == kNone) return;
    visit(id);
    prefix = {at(id).name, at(id).hash};
    tokens = tokens.subspan(kBlockTokens);
  }
}

void BlockPool::share_prefix(const CacheSalt& salt, std::span<const std::uint32_t> tokens,
                             std::vector<BlockId>& table) {
  const std::size_t before = table.size();
  walk_prefix(salt, tokens, [&](BlockId id) { table.push_back(id); });
  for (std::size_t i = before; i < table.size(); ++i) reference(table[i]);
}

BlockPool::PrefixMatch BlockPool::match_prefix(const CacheSalt& salt,
                                               std::span<const std::uint32_t> tokens) const {
  PrefixMatch match;
  walk_prefix(salt, tokens, [&](BlockId id) {
    ++match.blocks;
    if (at(id).references == 0) ++match.unreferenced;
  });
  return match;
}

void BlockPool::publish(BlockId id, std::optional<BlockId> parent, const CacheSalt& salt,
                        std::span<const std::uint32_t> tokens) {
  CHECK(tokens.size() == kBlockTokens, "only full KV blocks are published");
  Block& block = at(id);
  CHECK(block.references > 0, "publish of a KV block that nobody holds");
  if (block.name != 0) return;
  Prefix prefix{0, hash_salt(salt)};
  if (parent) prefix = {at(*parent).name, at(*parent).hash};
  if (parent && prefix.name == 0) return;  // The parent is a private copy: so is this one.
  if (find(prefix, salt, tokens) != kNone) return;
  const std::uint64_t hash = hash_block(prefix.hash, tokens);
  int chain = 0;
  for (BlockId i = bucket_of(hash); i != kNone; i = at(i).next_in_bucket) ++chain;
  if (chain >= kMaxChain) return;
  block.parent = prefix.name;
  block.hash = hash;
  block.salt = salt;
  std::ranges::copy(tokens, block.tokens.begin());
  block.next_in_bucket = bucket_of(hash);
  bucket_of(hash) = id;
  block.name = next_name_++;
}

void BlockPool::release(std::span<const BlockId> table) {
  for (std::size_t i = table.size(); i-- > 0;) {  // Tails first, so that they are evicted first.
    Block& block = at(table[i]);
    CHECK(block.references > 0, "release of a KV block that nobody holds");
    if (--block.references > 0) continue;
    if (block.name != 0) {
      append_newest(table[i]);
    } else {
      free_.push_back(table[i]);
    }
  }
}

}  // namespace lockstep
