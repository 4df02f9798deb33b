// How the threads of a rank share out work.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <vector>

#include "sharding/part.h"

namespace lockstep {

// The share of [0, count) that member `member` of `members` takes.
inline Range share_of(int count, int member, int members) {
  const auto edge = [&](int m) { return static_cast<int>(std::int64_t{count} * m / members); };
  return {edge(member), edge(member + 1)};
}

// A range of several lists that are laid end to end: calls function(list, range) for each list that
// it has something of. `size_of(list)` is the length of a list.
template <typename SizeOf, typename Function>
void for_range_of_lists(int num_lists, SizeOf size_of, Range range, Function function) {
  int begin = 0;
  for (int i = 0; i < num_lists; ++i) {
    const int size = size_of(i);
    const Range part{std::max(range.begin, begin) - begin,
                     std::min(range.end, begin + size) - begin};
    if (part.begin < part.end) function(i, part);
    begin += size;
  }
}
template <typename SizeOf>
int total_size(int num_lists, SizeOf size_of) {
  int total = 0;
  for (int i = 0; i < num_lists; ++i) total += size_of(i);
  return total;
}

// Shares out operations, one after the other. Each thread begins with a contiguous share, so that
// it reads one stream, half of what is left of it at a time; one that is done takes from the
// others, because processors that share a machine are not equally fast from one moment to the next.
// Who computes what changes no bit.
class WorkSharing {
 public:
  explicit WorkSharing(int members) : members_(members), taken_(2 * slots()), turns_(slots()) {}

  // Calls function(range) until all of [0, count) is taken, in pieces of at least `min_piece`.
  // Every member calls it, in the same order with the same values, and meets the others at a
  // barrier between two calls.
  template <typename Function>
  void run(int member, int count, int min_piece, Function function) {
    if (members_ == 1) {
      if (count > 0) function(Range{0, count});
      return;
    }
    // The other half of the counters was used before the last barrier and is needed behind the
    // next.
    const std::uint32_t turn = turns_[static_cast<std::size_t>(member)].value++ % 2;
    slot(1 - turn, member).store(0, std::memory_order_relaxed);
    for (int i = 0; i < members_; ++i) {
      const int owner = (member + i) % members_;
      const Range share = share_of(count, owner, members_);
      std::atomic<int>& taken = slot(turn, owner);
      for (int begin = taken.load(std::memory_order_relaxed); begin < share.size();) {
        const int piece =
            std::min(std::max((share.size() - begin) / 2, min_piece), share.size() - begin);
        if (!taken.compare_exchange_weak(begin, begin + piece, std::memory_order_relaxed)) continue;
        function(Range{share.begin + begin, share.begin + begin + piece});
        begin = taken.load(std::memory_order_relaxed);
      }
    }
  }

 private:
  struct alignas(64) Taken {
    std::atomic<int> value{0};
  };
  struct alignas(64) Turn {
    std::uint32_t value = 0;
  };

  std::size_t slots() const { return static_cast<std::size_t>(members_); }
  std::atomic<int>& slot(std::uint32_t half, int member) {
    return taken_[half * slots() + static_cast<std::size_t>(member)].value;
  }

  int members_;
  std::vector<Taken> taken_;  // Of each member's share, this operation's and the next one's.
  std::vector<Turn> turns_;   // Operations that each member has begun.
};

}  // namespace lockstep
