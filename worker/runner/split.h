// How the threads of a rank share out work: contiguous runs, so that each reads one stream.
#pragma once

#include <algorithm>
#include <cstdint>

#include "sharding/part.h"

namespace lockstep {

// The share of [0, count) that member `member` of `members` takes.
inline Range share_of(int count, int member, int members) {
  const auto edge = [&](int m) { return static_cast<int>(std::int64_t{count} * m / members); };
  return {edge(member), edge(member + 1)};
}

// A share of several lists that are laid end to end: calls function(list, range) for each list that
// the member has something of. `size_of(list)` is the length of a list.
template <typename SizeOf, typename Function>
void for_share_of_lists(int num_lists, SizeOf size_of, int member, int members, Function function) {
  int total = 0;
  for (int i = 0; i < num_lists; ++i) total += size_of(i);
  const Range share = share_of(total, member, members);
  int begin = 0;
  for (int i = 0; i < num_lists; ++i) {
    const int size = size_of(i);
    const Range part{std::max(share.begin, begin) - begin,
                     std::min(share.end, begin + size) - begin};
    if (part.begin < part.end) function(i, part);
    begin += size;
  }
}

}  // namespace lockstep
