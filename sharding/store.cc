#include "sharding/store.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <mutex>
#include <thread>

#include "base/checked.h"
#include "base/file.h"
#include "sharding/store/file_name.h"
#include "sharding/store/tensor_plan.h"

namespace lockstep {
namespace {

constexpr std::uint64_t kMaxManifestBytes = 256 << 20;
constexpr std::size_t kTensorAlignment = 64;
constexpr std::size_t kHugePage = 2 << 20;
constexpr int kNumReaders = 2;

// Memory in huge pages where the system has them.
class Arena {
 public:
  explicit Arena(std::size_t bytes)
      : data_(static_cast<std::uint8_t*>(
            std::aligned_alloc(kHugePage, round_up(std::max<std::size_t>(bytes, 1), kHugePage)))) {
    if (data_ != nullptr) ::madvise(data_, round_up(bytes, kHugePage), MADV_HUGEPAGE);
  }
  ~Arena() { std::free(data_); }
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  std::uint8_t* data() const { return data_; }

 private:
  std::uint8_t* data_;
};

// A tensor's key: file and offset are unique.
using Place = std::pair<int, std::uint64_t>;

Place place_of(const StoredTensor& tensor) { return {tensor.file, tensor.offset}; }

// One tensor on its way into memory.
struct Target {
  const StoredTensor* tensor;
  std::uint8_t* data;
};

// One leaf that must be read, and the first target that it touches.
struct LeafTask {
  int file = 0;
  std::uint64_t leaf = 0;
  std::size_t first_target = 0;
};

std::vector<LeafTask> leaves_of(std::span<const Target> targets) {
  std::vector<LeafTask> tasks;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    const StoredTensor& tensor = *targets[i].tensor;
    const std::uint64_t last = (tensor.offset + tensor.bytes - 1) / kLeafBytes;
    for (std::uint64_t leaf = tensor.offset / kLeafBytes; leaf <= last; ++leaf) {
      const bool seen =
          !tasks.empty() && tasks.back().file == tensor.file && tasks.back().leaf == leaf;
      if (!seen) tasks.push_back({tensor.file, leaf, i});
    }
  }
  return tasks;
}

Error bad_leaf(const std::string& path, std::uint64_t leaf) {
  return Error{ErrorCode::kCorrupt,
               path + ": leaf " + std::to_string(leaf) + ": hash differs from the manifest"};
}

// Reads leaves in order with a few threads, checks each and copies what the targets need.
class LeafReader {
 public:
  LeafReader(const std::string& directory, const Manifest& manifest,
             std::span<const Target> targets)
      : directory_(directory), manifest_(manifest), targets_(targets), tasks_(leaves_of(targets)) {}

  Status run() {
    for (const LeafTask& task : tasks_) {
      if (files_.contains(task.file)) continue;
      const std::string path =
          directory_ + "/" + manifest_.files[static_cast<std::size_t>(task.file)].name;
      LOCKSTEP_TRY_ASSIGN(files_[task.file], File::open_read(path), "store");
    }
    {
      std::vector<std::jthread> threads;
      const int extra = tasks_.size() > 1 ? kNumReaders - 1 : 0;
      for (int i = 0; i < extra; ++i) threads.emplace_back([this] { read_leaves(); });
      read_leaves();
    }
    if (first_error_) return *first_error_;
    return {};
  }

  std::uint64_t bytes_read() const { return bytes_read_; }

 private:
  void read_leaves() {
    Bytes buffer;
    while (true) {
      const std::size_t index = next_++;
      if (index >= tasks_.size() || failed_) return;
      const Status status = read_leaf(tasks_[index], buffer);
      if (status.ok()) continue;
      const std::lock_guard lock(mutex_);
      if (!first_error_) first_error_ = status.error();
      failed_ = true;
    }
  }

  Status read_leaf(const LeafTask& task, Bytes& buffer) {
    const StoredFile& file = manifest_.files[static_cast<std::size_t>(task.file)];
    const std::uint64_t begin = task.leaf * kLeafBytes;
    buffer.resize(std::min(kLeafBytes, file.bytes - begin));
    const File& source = files_.at(task.file);
    LOCKSTEP_TRY(source.read_exact(begin, buffer), "store");
    bytes_read_ += buffer.size();
    if (sha256(buffer) != file.leaves[task.leaf]) return bad_leaf(source.path(), task.leaf);
    for (std::size_t i = task.first_target; i < targets_.size(); ++i) {
      const StoredTensor& tensor = *targets_[i].tensor;
      if (tensor.file != task.file || tensor.offset >= begin + buffer.size()) break;
      const std::uint64_t from = std::max(begin, tensor.offset);
      const std::uint64_t to = std::min(begin + buffer.size(), tensor.offset + tensor.bytes);
      if (from >= to) continue;
      std::memcpy(targets_[i].data + (from - tensor.offset), buffer.data() + (from - begin),
                  to - from);
    }
    return {};
  }

  const std::string& directory_;
  const Manifest& manifest_;
  std::span<const Target> targets_;
  std::vector<LeafTask> tasks_;
  std::map<int, File> files_;
  std::atomic<std::size_t> next_{0};
  std::atomic<std::uint64_t> bytes_read_{0};
  std::atomic<bool> failed_{false};
  std::mutex mutex_;
  std::optional<Error> first_error_;
};

}  // namespace

struct LoadedTensors::Placed {
  explicit Placed(std::size_t bytes) : arena(bytes) {}
  Arena arena;
  std::map<Place, const std::uint8_t*> data;
};

const std::uint8_t* LoadedTensors::data(const StoredTensor& tensor) const {
  CHECK(placed_ != nullptr, "nothing was loaded");
  const auto found = placed_->data.find(place_of(tensor));
  CHECK(found != placed_->data.end(), "tensor was not asked for");
  return found->second;
}

Result<Store> Store::open(const std::string& directory) {
  LOCKSTEP_TRY_ASSIGN(const std::string text,
                      read_file(directory + "/" + kManifestName, kMaxManifestBytes), "store");
  LOCKSTEP_TRY_ASSIGN(Manifest manifest, manifest_from_json(text), directory + "/" + kManifestName);
  for (const StoredFile& entry : manifest.files) {
    LOCKSTEP_TRY_ASSIGN(const File file, File::open_read(directory + "/" + entry.name), "store");
    LOCKSTEP_TRY_ASSIGN(const std::uint64_t bytes, file.size(), "store");
    if (bytes != entry.bytes) {
      return Error{ErrorCode::kCorrupt, file.path() + ": has " + std::to_string(bytes) +
                                            " bytes, the manifest says " +
                                            std::to_string(entry.bytes)};
    }
  }
  Store store;
  store.directory_ = directory;
  store.manifest_ = std::make_shared<const Manifest>(std::move(manifest));
  return store;
}

Result<LoadedTensors> Store::load(std::span<const StoredTensor* const> tensors) const {
  std::vector<Target> targets;
  for (const StoredTensor* tensor : tensors) targets.push_back({tensor, nullptr});
  std::sort(targets.begin(), targets.end(), [](const Target& a, const Target& b) {
    return place_of(*a.tensor) < place_of(*b.tensor);
  });
  const auto same = [](const Target& a, const Target& b) {
    return place_of(*a.tensor) == place_of(*b.tensor);
  };
  targets.erase(std::unique(targets.begin(), targets.end(), same), targets.end());

  LoadedTensors loaded;
  std::uint64_t arena_bytes = 0;
  for (const Target& target : targets) {
    loaded.weight_bytes_ += target.tensor->bytes;
    arena_bytes += round_up<std::uint64_t>(target.tensor->bytes, kTensorAlignment);
  }
  const auto placed = std::make_shared<LoadedTensors::Placed>(arena_bytes);
  if (placed->arena.data() == nullptr) {
    return Error{ErrorCode::kExhausted,
                 "load: no memory for " + std::to_string(arena_bytes) + " bytes of weights"};
  }
  std::uint8_t* next = placed->arena.data();
  for (Target& target : targets) {
    target.data = next;
    placed->data[place_of(*target.tensor)] = next;
    next += round_up<std::uint64_t>(target.tensor->bytes, kTensorAlignment);
  }
  LeafReader reader(directory_, *manifest_, targets);
  LOCKSTEP_TRY(reader.run(), "load");
  loaded.bytes_read_ = reader.bytes_read();
  loaded.placed_ = placed;
  return loaded;
}

Result<std::string> Store::read_blob(TensorKind kind) const {
  CHECK(is_blob(kind), "read_blob of a tensor that is no blob");
  const bool tokenizer = kind == TensorKind::kTokenizer;
  const Digest& expected = tokenizer ? manifest_->tokenizer_hash : manifest_->template_hash;
  std::string text;
  if (const StoredTensor* tensor = manifest_->find(kind, -1, -1); tensor != nullptr) {
    LOCKSTEP_TRY_ASSIGN(const LoadedTensors loaded, load(std::span(&tensor, 1)), "blob");
    text = as_text({loaded.data(*tensor), tensor->bytes});
  }
  if (keccak256(text) != expected) {
    return Error{ErrorCode::kCorrupt, directory_ + ": the " +
                                          (tokenizer ? "tokenizer" : "chat template") +
                                          " has another hash than the manifest says"};
  }
  return text;
}

std::vector<const StoredTensor*> tensors_of(const Manifest& manifest, Range run) {
  const Range needed = kv_heads_of(manifest.parts, run);
  std::vector<const StoredTensor*> out;
  for (const StoredTensor& tensor : manifest.tensors) {
    if (tensor.part < 0) {
      if (!is_blob(tensor.kind)) out.push_back(&tensor);
      continue;
    }
    const bool shared = tensor.kind == TensorKind::kSharedKv ||
                        tensor.kind == TensorKind::kSharedK || tensor.kind == TensorKind::kSharedV;
    const int head = manifest.parts[static_cast<std::size_t>(tensor.part)].shared_kv;
    if (run.contains(tensor.part) || (shared && needed.contains(head))) out.push_back(&tensor);
  }
  return out;
}

}  // namespace lockstep
