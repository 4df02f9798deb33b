#include "sharding/store/store_writer.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/checked.h"
#include "base/file.h"
#include "sharding/gguf/float_row.h"
#include "sharding/store/file_hasher.h"
#include "sharding/store/file_name.h"
#include "sharding/store/hdf5_file.h"
#include "sharding/store/p16_pack.h"
#include "sharding/store/tensor_plan.h"

namespace lockstep {
namespace {

constexpr int kMaxThreads = 8;             // Each has two leaves in memory.
constexpr std::uint64_t kHole = 64 << 10;  // Gaps between datasets from here on are not written.

// Packs runs of bytes of stored tensors. One thread.
class TensorPacker {
 public:
  TensorPacker(const WriteSource& source, const Manifest& manifest)
      : source_(source), manifest_(manifest) {}

  // Bytes [from, from + out.size()) of the dataset.
  Status pack(const StoredTensor& tensor, std::uint64_t from, std::span<std::uint8_t> out) {
    if (tensor.kind == TensorKind::kTokenizer) return copy(source_.model.tokenizer, from, out);
    if (tensor.kind == TensorKind::kChatTemplate) {
      return copy(source_.model.chat_template, from, out);
    }
    if (!is_norm(tensor.kind)) return pack_matrix(tensor, from, out);
    const std::string name = tensor.kind == TensorKind::kOutputNorm
                                 ? kOutputNormName
                                 : norm_name(tensor.kind == TensorKind::kAttnNorm, tensor.layer);
    LOCKSTEP_TRY_ASSIGN(const ByteView bytes, source_row(find(name), 0, scratch_[0]), "norm");
    return copy(as_text(bytes), from, out);
  }

 private:
  static Status copy(std::string_view text, std::uint64_t from, std::span<std::uint8_t> out) {
    std::memcpy(out.data(), text.data() + from, out.size());
    return {};
  }

  Status pack_matrix(const StoredTensor& tensor, std::uint64_t from, std::span<std::uint8_t> out) {
    const MatrixOrigin origin(manifest_.config, manifest_.parts, tensor);
    const std::size_t panel_bytes =
        static_cast<std::size_t>(origin.groups().size()) * p16_group_bytes(tensor.format);
    cached_ = nullptr;
    while (!out.empty()) {
      const auto panel = static_cast<int>(from / panel_bytes);
      const std::size_t inside = from % panel_bytes;
      const std::size_t count = std::min(panel_bytes - inside, out.size());
      if (count == panel_bytes) {
        LOCKSTEP_TRY(pack_rows(tensor, origin, panel, out.first(count)), "pack");
      } else {  // A leaf ends within this panel, or begins there.
        panel_.resize(panel_bytes);
        LOCKSTEP_TRY(pack_rows(tensor, origin, panel, panel_), "pack");
        std::memcpy(out.data(), panel_.data() + inside, count);
      }
      from += count;
      out = out.subspan(count);
    }
    return {};
  }

  Status pack_rows(const StoredTensor& tensor, const MatrixOrigin& origin, int panel,
                   std::span<std::uint8_t> out) {
    PanelRows rows;
    const int first = panel * kPanelRows;
    for (int i = 0; i < std::min(kPanelRows, tensor.rows - first); ++i) {
      const auto from = origin.row(first + i);
      if (!from) continue;
      const GgufTensor& matrix = matrix_of(*from, tensor.layer);
      // The other rows are checked by whoever hashes them; these could not be quantized.
      if (is_float_type(matrix.type)) LOCKSTEP_TRY(check_row(matrix, from->row), "weights");
      const auto slot = static_cast<std::size_t>(i);
      rows[slot] = row_blocks(matrix, from->row, origin.groups(), scratch_[slot]);
    }
    pack_panel(tensor.format, rows, origin.groups().size(), out);
    return {};
  }

  const GgufTensor& find(const std::string& name) const {
    const GgufTensor* tensor = source_.file.find_tensor(name);
    CHECK(tensor != nullptr, "a source that was checked has all tensors");
    return *tensor;
  }

  // The matrix of a row; rows that follow each other are mostly of the same one.
  const GgufTensor& matrix_of(const RowOrigin& origin, int layer) {
    if (cached_ == nullptr || origin.source != cached_source_ || origin.matrix != cached_matrix_) {
      cached_source_ = origin.source;
      cached_matrix_ = origin.matrix;
      cached_ = origin.source == SourceMatrix::kEmbedding ? &find(kEmbeddingName)
                : origin.source == SourceMatrix::kHead    ? &find(kHeadName)
                                                       : &find(matrix_name(origin.matrix, layer));
    }
    return *cached_;
  }

  const WriteSource& source_;
  const Manifest& manifest_;
  std::array<Bytes, kPanelRows> scratch_;
  Bytes panel_;
  const GgufTensor* cached_ = nullptr;
  SourceMatrix cached_source_{};
  Matrix cached_matrix_{};
};

// Fills the datasets of one file. Leaves are packed and written by whoever is free, and hashed in
// order, one at a time, by whoever has finished one.
class FileWriter {
 public:
  FileWriter(const File& file, std::uint64_t bytes, std::span<const StoredTensor> tensors,
             const WriteProgress& progress, std::size_t num_slots)
      : file_(file), bytes_(bytes), tensors_(tensors), progress_(progress), slots_(num_slots) {}

  void work(TensorPacker& packer) {
    for (;;) {
      const std::uint64_t leaf = next_++;
      if (leaf >= num_leaves()) return;
      Slot& slot = slots_[leaf % slots_.size()];
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return error_ || leaf < hashed_ + slots_.size(); });
        if (error_) return;
      }
      const std::uint64_t begin = leaf * kLeafBytes;
      slot.bytes.resize(std::min(kLeafBytes, bytes_ - begin));
      Status status = fill(packer, begin, slot);
      std::unique_lock lock(mutex_);
      if (status.ok()) slot.full = true;
      fail(std::move(status));
      hash_full_leaves(lock);
    }
  }

  Result<StoredFile> finish() {
    if (error_) return *error_;
    StoredFile entry;
    hasher_.finish(entry);
    return entry;
  }

 private:
  struct Slot {
    Bytes bytes;
    std::uint64_t dataset_bytes = 0;
    bool full = false;
  };

  std::uint64_t num_leaves() const { return ceil_div(bytes_, kLeafBytes); }

  // Requires: the mutex is held.
  void fail(Status status) {
    if (status.ok() || error_) return;
    error_ = std::move(status).error();
    changed_.notify_all();
  }

  // Hashes the leaves that are next, unless another thread is at it: that one sees them too.
  void hash_full_leaves(std::unique_lock<std::mutex>& lock) {
    if (hashing_) return;
    hashing_ = true;
    while (!error_ && hashed_ < num_leaves() && slots_[hashed_ % slots_.size()].full) {
      Slot& slot = slots_[hashed_ % slots_.size()];
      lock.unlock();
      hasher_.update(slot.bytes);
      Status status = progress_(slot.dataset_bytes);
      lock.lock();
      fail(std::move(status));
      slot.full = false;
      ++hashed_;
      changed_.notify_all();
    }
    hashing_ = false;
  }

  // Packs and writes the datasets of a leaf; what lies between them is HDF5's, and read.
  Status fill(TensorPacker& packer, std::uint64_t begin, Slot& slot) {
    const std::uint64_t end = begin + slot.bytes.size();
    slot.dataset_bytes = 0;
    const auto part = [&](std::uint64_t from, std::uint64_t to) {
      return std::span(slot.bytes).subspan(from - begin, to - from);
    };
    std::uint64_t done = begin;       // Up to here the slot is filled,
    std::uint64_t unwritten = begin;  // and up to here it is in the file as well.
    auto tensor = std::upper_bound(
        tensors_.begin(), tensors_.end(), begin,
        [](std::uint64_t at, const StoredTensor& t) { return at < t.offset + t.bytes; });
    for (; tensor != tensors_.end() && tensor->offset < end; ++tensor) {
      const std::uint64_t from = std::max(begin, tensor->offset);
      const std::uint64_t to = std::min(end, tensor->offset + tensor->bytes);
      LOCKSTEP_TRY(file_.read_exact(done, part(done, from)), "store");
      LOCKSTEP_TRY(packer.pack(*tensor, from - tensor->offset, part(from, to)), tensor->name);
      if (from - done >= kHole) {
        LOCKSTEP_TRY(file_.write_all(unwritten, part(unwritten, done)), tensor->name);
        unwritten = from;
      }
      done = to;
      slot.dataset_bytes += to - from;
    }
    LOCKSTEP_TRY(file_.write_all(unwritten, part(unwritten, done)), "store");
    LOCKSTEP_TRY(file_.read_exact(done, part(done, end)), "store");
    // The disk can begin while the rest is packed; `sync` waits for it.
    ::sync_file_range(file_.fd(), static_cast<off_t>(begin), static_cast<off_t>(end - begin),
                      SYNC_FILE_RANGE_WRITE);
    return {};
  }

  const File& file_;
  std::uint64_t bytes_;
  std::span<const StoredTensor> tensors_;
  const WriteProgress& progress_;
  std::atomic<std::uint64_t> next_{0};
  FileHasher hasher_;
  std::mutex mutex_;
  std::condition_variable changed_;  // `hashed_` or `error_`.
  std::vector<Slot> slots_;
  std::uint64_t hashed_ = 0;
  bool hashing_ = false;
  std::optional<Error> error_;
};

}  // namespace

int import_threads() {
  return std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1, kMaxThreads);
}

Result<ByteView> source_row(const GgufTensor& tensor, std::int64_t row, Bytes& scratch) {
  LOCKSTEP_TRY(check_row(tensor, row), "weights");
  if (!tensor.vector) {
    const auto groups = ceil_div<std::int64_t>(tensor.k, kGroupSize);
    return row_blocks(tensor, row, {0, static_cast<int>(groups)}, scratch);
  }
  std::vector<float> values(static_cast<std::size_t>(tensor.k));
  read_floats(tensor, row, 0, values);
  scratch.resize(values.size() * sizeof(float));
  std::memcpy(scratch.data(), values.data(), scratch.size());
  return ByteView(scratch);
}

Result<StoredFile> write_store_file(const std::string& directory, const PlannedFile& plan,
                                    const WriteSource& source, Manifest& manifest,
                                    const WriteProgress& progress) {
  const std::string name = store_file_name(manifest.files.size());
  const std::string path = directory + "/" + name;
  const auto tensors = std::span(manifest.tensors).subspan(plan.begin, plan.first_of_part.size());
  LOCKSTEP_TRY(create_hdf5(path, manifest.source_sha256, tensors, plan.first_of_part), "store");
  LOCKSTEP_TRY_ASSIGN(const File file, File::open_write(path), "store");
  LOCKSTEP_TRY_ASSIGN(const std::uint64_t bytes, file.size(), "store");
  const int num_threads = import_threads();
  FileWriter writer(file, bytes, tensors, progress, 2 * static_cast<std::size_t>(num_threads));
  const auto work = [&] {
    TensorPacker packer(source, manifest);
    writer.work(packer);
  };
  {
    std::vector<std::jthread> threads;
    for (int i = 1; i < num_threads; ++i) threads.emplace_back(work);
    work();
  }
  LOCKSTEP_TRY_ASSIGN(StoredFile entry, writer.finish(), "store");
  LOCKSTEP_TRY(file.sync(), "store");
  entry.name = name;
  return entry;
}

}  // namespace lockstep
