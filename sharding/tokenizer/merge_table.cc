#include "sharding/tokenizer/merge_table.h"

#include <bit>

namespace lockstep {

MergeTable::MergeTable(std::size_t count)
    : slots_(std::bit_ceil(count * 2 + 1)), mask_(slots_.size() - 1) {}

void MergeTable::insert(TokenId left, TokenId right, Merge merge) {
  const std::uint64_t key = key_of(left, right);
  Slot& slot = slots_[slot_of(key)];
  if (slot.key == kEmpty) slot = {key, merge};
}

}  // namespace lockstep
