#include "worker/shared_group.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <ctime>
#include <new>

#include "base/check.h"
#include "base/spin_wait.h"

namespace lockstep {
namespace {

constexpr std::size_t kHeaderBytes = 4096;

// The barrier's words live apart, so that arriving ranks do not disturb those that watch the
// generation.
struct alignas(64) Word {
  std::atomic<std::uint32_t> value{0};
};

// Sleeps while *word == expected, at most 100 ms: an abort wakes all, but a peer may die without
// one.
void futex_wait(std::atomic<std::uint32_t>* word, std::uint32_t expected) {
  const timespec timeout{0, 100'000'000};
  // Not FUTEX_WAIT_PRIVATE: the word may be shared between processes.
  (void)::syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(word), FUTEX_WAIT, expected, &timeout,
                  nullptr, 0);
}

void futex_wake_all(std::atomic<std::uint32_t>* word) {
  (void)::syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(word), FUTEX_WAKE, INT_MAX, nullptr,
                  nullptr, 0);
}

Error lost_group() { return {ErrorCode::kUnavailable, "another rank gave up the group"}; }

// Half-open share of [0, count) that member `index` of `members` takes, in whole cache lines.
std::pair<std::size_t, std::size_t> share_of(std::size_t count, int index, int members) {
  constexpr std::size_t kLine = 16;
  const std::size_t lines = (count + kLine - 1) / kLine;
  const auto i = static_cast<std::size_t>(index);
  const auto n = static_cast<std::size_t>(members);
  return {std::min(count, lines * i / n * kLine), std::min(count, lines * (i + 1) / n * kLine)};
}

// Copies [0, count) but for `share`.
void copy_outside(const float* from, std::size_t count, std::pair<std::size_t, std::size_t> share,
                  float* to) {
  std::copy(from, from + share.first, to);
  std::copy(from + share.second, from + count, to + share.second);
}

// target[i] = ((segments[0][i] + segments[1][i]) + ...) for i in [begin, end), piece by piece, so
// that the target stays in the first-level cache.
void fold_from_left(std::span<const float* const> segments, std::size_t begin, std::size_t end,
                    float* target) {
  constexpr std::size_t kPiece = 2048;
  for (std::size_t at = begin; at < end; at += kPiece) {
    const std::size_t count = std::min(kPiece, end - at);
    float* sum = target + at;
    std::copy_n(segments[0] + at, count, sum);
    for (const float* segment : segments.subspan(1)) {
      for (std::size_t i = 0; i < count; ++i) sum[i] = sum[i] + segment[at + i];
    }
  }
}

}  // namespace

struct SharedGroup::Header {
  Word arrived;
  Word generation;
  Word sleepers;
  Word aborted;
};

std::size_t SharedGroup::region_bytes(int world_size) {
  const auto ranks = static_cast<std::size_t>(world_size);
  return kHeaderBytes + kSlotBytes * (ranks + 1) + kSmallSlotBytes * 2 * ranks;
}

void SharedGroup::initialize(void* region) {
  static_assert(sizeof(Header) <= kHeaderBytes);
  static_assert(std::atomic<std::uint32_t>::is_always_lock_free, "shared between processes");
  new (region) Header;
}

SharedGroup::SharedGroup(void* region, int rank, int world_size, std::shared_ptr<void> owner)
    : region_(region), rank_(rank), world_size_(world_size), owner_(std::move(owner)) {}

std::uint8_t* SharedGroup::slot(int rank) const {
  return static_cast<std::uint8_t*>(region_) + kHeaderBytes +
         kSlotBytes * static_cast<std::size_t>(rank);
}

std::uint8_t* SharedGroup::small_slot(int rank) const {
  const std::size_t before = 2 * static_cast<std::size_t>(rank) + small_turn_;
  return slot(world_size_ + 1) + kSmallSlotBytes * before;
}

Status SharedGroup::barrier() {
  Header& shared = *header();
  if (shared.aborted.value.load(std::memory_order_acquire) != 0) return lost_group();
  const std::uint32_t generation = shared.generation.value.load(std::memory_order_acquire);
  const auto last = static_cast<std::uint32_t>(world_size_ - 1);
  if (shared.arrived.value.fetch_add(1, std::memory_order_acq_rel) == last) {
    shared.arrived.value.store(0, std::memory_order_relaxed);
    // seq_cst against the sleeper's increment: either it sees the new generation, or we see it
    // sleeping.
    shared.generation.value.store(generation + 1, std::memory_order_seq_cst);
    if (shared.sleepers.value.load(std::memory_order_seq_cst) != 0) {
      futex_wake_all(&shared.generation.value);
    }
  } else {
    const auto passed = [&] {
      return shared.generation.value.load(std::memory_order_acquire) != generation;
    };
    if (spin_until(passed, exclusive_)) return {};
    while (!passed()) {
      if (shared.aborted.value.load(std::memory_order_acquire) != 0) {
        // A barrier that everyone reached is passed, even if somebody gives up right behind it.
        if (passed()) break;
        return lost_group();
      }
      shared.sleepers.value.fetch_add(1, std::memory_order_seq_cst);
      futex_wait(&shared.generation.value, generation);
      shared.sleepers.value.fetch_sub(1, std::memory_order_seq_cst);
    }
  }
  return {};
}

void SharedGroup::abort() {
  header()->aborted.value.store(1, std::memory_order_release);
  futex_wake_all(&header()->generation.value);
}

// Few outputs: every rank folds all of them.
Status SharedGroup::fold_few(const SegmentFold& fold) {
  std::vector<const float*> segments;
  for (int r = 0; r < world_size_; ++r) {
    auto* sums = reinterpret_cast<float*>(small_slot(r));
    const auto num_segments =
        static_cast<std::size_t>(fold.segments_of_rank[static_cast<std::size_t>(r)]);
    if (r == rank_) std::copy_n(fold.sums, num_segments * fold.count, sums);
    for (std::size_t s = 0; s < num_segments; ++s) segments.push_back(sums + s * fold.count);
  }
  LOCKSTEP_TRY(barrier(), "fold");
  fold_from_left(segments, 0, fold.count, fold.folded);
  small_turn_ = 1 - small_turn_;
  return {};
}

// One round of many outputs: [begin, begin + count). Every rank folds a share, from which it then
// gives to the others; what it folds of its own sums never goes through its slot.
Status SharedGroup::fold_round(const SegmentFold& fold, std::size_t begin, std::size_t count) {
  const auto share = share_of(count, rank_, world_size_);
  std::vector<const float*> segments;
  for (int r = 0; r < world_size_; ++r) {
    auto* sums = reinterpret_cast<float*>(slot(r));
    for (int s = 0; s < fold.segments_of_rank[static_cast<std::size_t>(r)]; ++s, sums += count) {
      if (r != rank_) {
        segments.push_back(sums);
        continue;
      }
      segments.push_back(fold.sums + static_cast<std::size_t>(s) * fold.count + begin);
      copy_outside(segments.back(), count, share, sums);
    }
  }
  LOCKSTEP_TRY(barrier(), "fold");
  float* folded = fold.folded + begin;
  fold_from_left(segments, share.first, share.second, folded);
  auto* result = reinterpret_cast<float*>(slot(world_size_));
  std::copy(folded + share.first, folded + share.second, result + share.first);
  LOCKSTEP_TRY(barrier(), "fold");  // Slots are free again, and the result is complete.
  // The result slot is written next behind the next round's first barrier, which no rank passes
  // before this copy.
  copy_outside(result, count, share, folded);
  return {};
}

Status SharedGroup::fold_segments(const SegmentFold& fold) {
  constexpr std::size_t kFew = 4096;  // More is faster by shares, with two barriers.
  const auto widest = static_cast<std::size_t>(std::ranges::max(fold.segments_of_rank));
  if (fold.count <= kFew && widest * fold.count * sizeof(float) <= kSmallSlotBytes) {
    return fold_few(fold);
  }
  const std::size_t most = std::min(fold.count, kSlotBytes / sizeof(float) / widest);
  CHECK(most > 0, "a rank owns too many segments for its slot");
  for (std::size_t begin = 0; begin < fold.count; begin += most) {
    LOCKSTEP_TRY(fold_round(fold, begin, std::min(most, fold.count - begin)), "segments");
  }
  return {};
}

Status SharedGroup::gather(std::span<const float> mine, std::span<const std::size_t> counts,
                           std::span<float> all, int root) {
  constexpr std::size_t kRound = kSlotBytes / sizeof(float);
  const std::size_t longest = std::ranges::max(counts);
  const bool receives = root == kAllRanks || root == rank_;
  for (std::size_t begin = 0; begin < longest; begin += kRound) {
    auto* out = reinterpret_cast<float*>(slot(rank_));
    if (begin < mine.size() && root != rank_) {
      std::copy_n(mine.data() + begin, std::min(kRound, mine.size() - begin), out);
    }
    LOCKSTEP_TRY(barrier(), "gather");
    std::size_t offset = 0;
    for (int r = 0; r < world_size_; ++r) {
      const std::size_t count = counts[static_cast<std::size_t>(r)];
      if (receives && begin < count) {
        const float* from =
            r == rank_ ? mine.data() + begin : reinterpret_cast<const float*>(slot(r));
        std::copy_n(from, std::min(kRound, count - begin), all.data() + offset + begin);
      }
      offset += count;
    }
    LOCKSTEP_TRY(barrier(), "gather");
  }
  return {};
}

Status SharedGroup::broadcast(Bytes& bytes) {
  constexpr std::size_t kRound = kSlotBytes - sizeof(std::uint64_t);
  std::uint8_t* out = slot(0);
  std::size_t begin = 0;
  std::uint64_t total = bytes.size();
  do {
    if (rank_ == 0) {
      std::memcpy(out, &total, sizeof total);
      std::copy_n(bytes.data() + begin, std::min(kRound, bytes.size() - begin), out + sizeof total);
    }
    LOCKSTEP_TRY(barrier(), "broadcast");
    if (rank_ != 0) {
      total = load_le<std::uint64_t>(out);
      bytes.resize(total);
      std::copy_n(out + sizeof total, std::min<std::size_t>(kRound, total - begin),
                  bytes.data() + begin);
    }
    LOCKSTEP_TRY(barrier(), "broadcast");
    begin += kRound;
  } while (begin < total);
  return {};
}

}  // namespace lockstep
