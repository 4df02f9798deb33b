#include "sharding/store/leaf_reader.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/file.h"
#include "base/sha256_stream.h"

namespace lockstep {
namespace {

// Read and hashed at once, of each of two leaves: both fit into a core's second-level cache.
constexpr std::size_t kPieceBytes = 128 << 10;

class LeafReader {
 public:
  LeafReader(const Manifest& manifest, std::span<const LeafTarget> targets,
             const std::atomic<bool>& stopped)
      : manifest_(manifest), targets_(targets), stopped_(stopped) {}

  Status open_files(const std::string& directory) {
    for (const LeafTarget& target : targets_) {
      if (files_.contains(target.file)) continue;
      LOCKSTEP_TRY_ASSIGN(files_[target.file],
                          File::open_read(directory + "/" + entry_of(target).name), "store");
    }
    return {};
  }

  // Takes pairs until none is left. Pairs are taken in order and each that was taken is finished,
  // so the first bad leaf is found by whoever has it.
  void work() {
    while (!failed_ && !stopped_) {
      const std::size_t first = 2 * next_++;
      if (first >= targets_.size()) return;
      const Status status =
          read_pair(targets_.subspan(first, std::min<std::size_t>(2, targets_.size() - first)));
      if (status.ok()) continue;
      failed_ = true;
      const std::lock_guard lock(mutex_);
      if (error_ && error_first_ < first) continue;
      error_ = status.error();
      error_first_ = first;
    }
  }

  Status status() const {
    if (error_) return *error_;
    if (2 * next_ < targets_.size()) return Error{ErrorCode::kAborted, "stopped"};
    return {};
  }

 private:
  const StoredFile& entry_of(const LeafTarget& target) const {
    return manifest_.files[static_cast<std::size_t>(target.file)];
  }

  Result<ByteView> read_piece(const LeafTarget& target, std::size_t begin) const {
    if (begin >= target.bytes.size()) return ByteView{};
    const auto piece =
        target.bytes.subspan(begin, std::min(kPieceBytes, target.bytes.size() - begin));
    LOCKSTEP_TRY(files_.at(target.file).read_exact(target.leaf * kLeafBytes + begin, piece),
                 "store");
    return ByteView(piece);
  }

  Status check(const LeafTarget& target, const Digest& found) const {
    if (found == entry_of(target).leaves[target.leaf]) return {};
    return Error{ErrorCode::kCorrupt, files_.at(target.file).path() + ": leaf " +
                                          std::to_string(target.leaf) +
                                          ": hash differs from the manifest"};
  }

  // One leaf or two, their hashes side by side.
  Status read_pair(std::span<const LeafTarget> pair) const {
    const LeafTarget& first = pair.front();
    const LeafTarget second = pair.size() == 2 ? pair.back() : LeafTarget{};
    Sha256Stream one;
    Sha256Stream two;
    // A leaf that cannot be read does not hide that the one before it is bad.
    Status second_read;
    for (std::size_t begin = 0; begin < std::max(first.bytes.size(), second.bytes.size());
         begin += kPieceBytes) {
      const auto ones = read_piece(first, begin);
      if (!ones.ok()) return ones.error();
      ByteView second_piece;
      if (second_read.ok()) {
        auto twos = read_piece(second, begin);
        if (twos.ok()) {
          second_piece = twos.value();
        } else {
          second_read = std::move(twos).error();
        }
      }
      Sha256Stream::update_two(one, ones.value(), two, second_piece);
    }
    Status checked = check(first, one.finish());
    if (checked.ok()) checked = std::move(second_read);
    if (checked.ok() && pair.size() == 2) checked = check(second, two.finish());
    return checked;
  }

  const Manifest& manifest_;
  std::span<const LeafTarget> targets_;
  const std::atomic<bool>& stopped_;
  std::map<int, File> files_;
  std::atomic<std::size_t> next_{0};
  std::atomic<bool> failed_{false};
  std::mutex mutex_;
  std::optional<Error> error_;
  std::size_t error_first_ = 0;  // The pair that `error_` is of.
};

}  // namespace

Status read_leaves(const std::string& directory, const Manifest& manifest,
                   std::span<const LeafTarget> targets, int num_threads,
                   const std::atomic<bool>& stopped) {
  LeafReader reader(manifest, targets, stopped);
  LOCKSTEP_TRY(reader.open_files(directory), "open");
  {
    const auto pairs = static_cast<int>((targets.size() + 1) / 2);
    std::vector<std::jthread> threads;
    for (int i = 1; i < std::min(num_threads, pairs); ++i) {
      threads.emplace_back([&reader] { reader.work(); });
    }
    reader.work();
  }
  return reader.status();
}

}  // namespace lockstep
