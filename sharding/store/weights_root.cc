#include "sharding/store/weights_root.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/tagged_hash.h"

namespace lockstep {
namespace {

constexpr std::uint64_t kSubtreeRows = 4096;
constexpr int kNumThreads = 2;

Digest node(const Digest& left, const Digest& right) {
  return TaggedHash("node").add(left).add(right).digest();
}

// Top of a tree whose leaves are padded with `padding` to `width`, a power of two.
Digest top_of(std::vector<Digest> level, std::uint64_t width, Digest padding) {
  for (; width > 1; width /= 2) {
    if (level.size() % 2 != 0) level.push_back(padding);
    for (std::size_t i = 0; i < level.size() / 2; ++i) {
      level[i] = node(level[2 * i], level[2 * i + 1]);
    }
    level.resize(level.size() / 2);
    padding = node(padding, padding);
  }
  return level.empty() ? padding : level.front();
}

// Where each tensor's rows begin among all rows.
struct RowIndex {
  std::vector<std::uint64_t> begin;
  std::vector<Digest> names;
  std::uint64_t count = 0;

  explicit RowIndex(std::span<const SourceTensor> tensors) {
    for (const SourceTensor& tensor : tensors) {
      begin.push_back(count);
      names.push_back(keccak256(tensor.name));
      count += static_cast<std::uint64_t>(tensor.rows);
    }
  }

  std::size_t tensor_of(std::uint64_t row) const {
    return static_cast<std::size_t>(std::upper_bound(begin.begin(), begin.end(), row) -
                                    begin.begin() - 1);
  }
};

// The state that the threads share.
struct Work {
  const RowIndex& index;
  const RowReader& read;
  std::vector<Digest> subtrees;
  std::atomic<std::uint64_t> next{0};
  std::atomic<bool> failed{false};
  std::mutex mutex;
  std::optional<Error> error;
};

Result<std::vector<Digest>> row_leaves(const Work& work, Range rows_of_subtree, Bytes& scratch) {
  std::vector<Digest> leaves;
  for (int i = rows_of_subtree.begin; i < rows_of_subtree.end; ++i) {
    const auto row = static_cast<std::uint64_t>(i);
    const std::size_t tensor = work.index.tensor_of(row);
    const std::uint64_t row_in_tensor = row - work.index.begin[tensor];
    LOCKSTEP_TRY_ASSIGN(const ByteView bytes,
                        work.read(tensor, static_cast<std::int64_t>(row_in_tensor), scratch),
                        "weights");
    leaves.push_back(TaggedHash("row")
                         .add(work.index.names[tensor])
                         .add(row_in_tensor)
                         .add(keccak256(bytes))
                         .digest());
  }
  return leaves;
}

void run(Work& work) {
  Bytes scratch;
  while (!work.failed) {
    const std::uint64_t subtree = work.next++;
    if (subtree >= work.subtrees.size()) return;
    const std::uint64_t begin = subtree * kSubtreeRows;
    const std::uint64_t end = std::min(begin + kSubtreeRows, work.index.count);
    auto leaves = row_leaves(work, {static_cast<int>(begin), static_cast<int>(end)}, scratch);
    if (!leaves.ok()) {
      const std::lock_guard lock(work.mutex);
      if (!work.error) work.error = leaves.error();
      work.failed = true;
      return;
    }
    const std::uint64_t width = std::min(kSubtreeRows, std::bit_ceil(work.index.count));
    work.subtrees[subtree] = top_of(std::move(leaves).value(), width, Digest{});
  }
}

}  // namespace

Result<Digest> weights_root(std::span<const SourceTensor> tensors, const RowReader& read) {
  const RowIndex index(tensors);
  if (index.count > INT32_MAX) {
    return Error{ErrorCode::kInvalidArgument, "the tensors have more than 2^31 rows in all"};
  }
  Work work{index, read, {}, {}, {}, {}, {}};
  work.subtrees.resize((index.count + kSubtreeRows - 1) / kSubtreeRows);
  {
    std::vector<std::jthread> threads;
    for (int i = 1; i < kNumThreads; ++i) threads.emplace_back([&work] { run(work); });
    run(work);
  }
  if (work.error) return *work.error;
  const std::uint64_t width = std::bit_ceil(work.subtrees.size());
  const Digest padding = top_of({}, kSubtreeRows, Digest{});
  const Digest top = index.count == 0 ? Digest{} : top_of(std::move(work.subtrees), width, padding);
  return TaggedHash("tree").add(index.count).add(top).digest();
}

}  // namespace lockstep
