#include "sharding/store/weights_root.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/keccak_four.h"
#include "base/tagged_hash.h"

namespace lockstep {
namespace {

constexpr std::uint64_t kSubtreeRows = 4096;
constexpr std::size_t kLanes = 4;  // Hashed at once.
constexpr std::size_t kWordBytes = 32;

const Digest& tag_of(std::string_view name) {
  static const Digest kRow = keccak256(std::string_view("lockstep.row.v1"));
  static const Digest kNode = keccak256(std::string_view("lockstep.node.v1"));
  return name == "row" ? kRow : kNode;
}

// H of `kFields` words under one tag, for up to four nodes or leaves at once: what TaggedHash gives
// one at a time.
template <std::size_t kFields>
class HashLanes {
 public:
  explicit HashLanes(std::string_view tag) {
    for (auto& message : messages_) put(message, 0, tag_of(tag).bytes);
  }

  void set(std::size_t lane, std::size_t field, const Digest& word) {
    put(messages_[lane], field + 1, word.bytes);
  }
  void set(std::size_t lane, std::size_t field, std::uint64_t value) {
    std::array<std::uint8_t, kWordBytes> word{};
    for (std::size_t i = 0; i < 8; ++i) {
      word[kWordBytes - 1 - i] = static_cast<std::uint8_t>(value >> (8 * i));
    }
    put(messages_[lane], field + 1, word);
  }

  std::array<Digest, kLanes> digests() const {
    return keccak256_four({messages_[0], messages_[1], messages_[2], messages_[3]});
  }

 private:
  using Message = std::array<std::uint8_t, (kFields + 1) * kWordBytes>;

  static void put(Message& message, std::size_t word,
                  const std::array<std::uint8_t, kWordBytes>& bytes) {
    std::copy(bytes.begin(), bytes.end(), message.data() + word * kWordBytes);
  }

  std::array<Message, kLanes> messages_{};
};

Digest node(const Digest& left, const Digest& right) {
  return TaggedHash("node").add(left).add(right).digest();
}

// Top of a tree whose leaves are padded with `padding` to `width`, a power of two.
Digest top_of(std::vector<Digest> level, std::uint64_t width, Digest padding) {
  HashLanes<2> lanes("node");
  for (; width > 1; width /= 2) {
    if (level.size() % 2 != 0) level.push_back(padding);
    const std::size_t nodes = level.size() / 2;
    for (std::size_t first = 0; first < nodes; first += kLanes) {
      const std::size_t count = std::min(kLanes, nodes - first);
      for (std::size_t i = 0; i < count; ++i) {
        lanes.set(i, 0, level[2 * (first + i)]);
        lanes.set(i, 1, level[2 * (first + i) + 1]);
      }
      std::copy_n(lanes.digests().begin(), count,
                  level.begin() + static_cast<std::ptrdiff_t>(first));
    }
    level.resize(nodes);
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
  std::uint64_t end_of(std::size_t tensor) const {
    return tensor + 1 < begin.size() ? begin[tensor + 1] : count;
  }
};

}  // namespace

struct WeightsRoot::State {
  RowIndex index;
  const RowReader& read;
  std::vector<Digest> subtrees;
  std::atomic<std::uint64_t> next{0};
  std::atomic<bool> stopped{false};
  std::mutex mutex;
  std::optional<Error> error;

  State(std::span<const SourceTensor> tensors, const RowReader& reader)
      : index(tensors), read(reader) {}

  // Rows [begin, end), four at a time: those of one tensor are equally long.
  Result<std::vector<Digest>> row_leaves(std::uint64_t begin, std::uint64_t end) const {
    std::vector<Digest> leaves;
    std::array<Bytes, kLanes> scratch;
    std::array<ByteView, kLanes> rows;
    HashLanes<3> lanes("row");
    for (std::uint64_t row = begin; row < end && !stopped;) {
      const std::size_t tensor = index.tensor_of(row);
      const std::uint64_t first = row - index.begin[tensor];
      const auto count = static_cast<std::size_t>(
          std::min<std::uint64_t>(kLanes, std::min(end, index.end_of(tensor)) - row));
      for (std::size_t i = 0; i < count; ++i) {
        LOCKSTEP_TRY_ASSIGN(rows[i], read(tensor, static_cast<std::int64_t>(first + i), scratch[i]),
                            "weights");
      }
      for (std::size_t i = count; i < kLanes; ++i) rows[i] = rows[0];
      const std::array<Digest, kLanes> contents = keccak256_four(rows);
      for (std::size_t i = 0; i < count; ++i) {
        lanes.set(i, 0, index.names[tensor]);
        lanes.set(i, 1, first + i);
        lanes.set(i, 2, contents[i]);
      }
      const std::array<Digest, kLanes> digests = lanes.digests();
      leaves.insert(leaves.end(), digests.begin(),
                    digests.begin() + static_cast<std::ptrdiff_t>(count));
      row += count;
    }
    return leaves;
  }
};

WeightsRoot::WeightsRoot(std::span<const SourceTensor> tensors, const RowReader& read)
    : state_(std::make_unique<State>(tensors, read)) {
  if (state_->index.count > INT32_MAX) {
    state_->error =
        Error{ErrorCode::kInvalidArgument, "the tensors have more than 2^31 rows in all"};
    return;
  }
  state_->subtrees.resize((state_->index.count + kSubtreeRows - 1) / kSubtreeRows);
}

WeightsRoot::~WeightsRoot() = default;

Status WeightsRoot::error() const { return state_->error ? Status(*state_->error) : Status(); }

void WeightsRoot::stop() { state_->stopped = true; }

void WeightsRoot::work() {
  State& state = *state_;
  while (!state.stopped) {
    const std::uint64_t subtree = state.next++;
    if (subtree >= state.subtrees.size()) return;
    const std::uint64_t begin = subtree * kSubtreeRows;
    auto leaves = state.row_leaves(begin, std::min(begin + kSubtreeRows, state.index.count));
    if (!leaves.ok()) {
      const std::lock_guard lock(state.mutex);
      if (!state.error) state.error = leaves.error();
      state.stopped = true;
      return;
    }
    const std::uint64_t width = std::min(kSubtreeRows, std::bit_ceil(state.index.count));
    state.subtrees[subtree] = top_of(std::move(leaves).value(), width, Digest{});
  }
}

Result<Digest> WeightsRoot::finish() {
  State& state = *state_;
  if (state.error) return *state.error;
  CHECK(!state.stopped, "the root of rows that were not all read");
  const std::uint64_t width = std::bit_ceil(state.subtrees.size());
  const Digest padding = top_of({}, kSubtreeRows, Digest{});
  const Digest top =
      state.index.count == 0 ? Digest{} : top_of(std::move(state.subtrees), width, padding);
  return TaggedHash("tree").add(state.index.count).add(top).digest();
}

Result<Digest> weights_root(std::span<const SourceTensor> tensors, const RowReader& read,
                            int num_threads) {
  WeightsRoot root(tensors, read);
  {
    std::vector<std::jthread> threads;
    for (int i = 1; i < num_threads; ++i) threads.emplace_back([&root] { root.work(); });
    root.work();
  }
  return root.finish();
}

}  // namespace lockstep
