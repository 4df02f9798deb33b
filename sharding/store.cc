#include "sharding/store.h"

#include <algorithm>
#include <map>

#include "base/checked.h"
#include "base/file.h"
#include "base/huge_arena.h"
#include "sharding/store/file_name.h"
#include "sharding/store/leaf_reader.h"
#include "sharding/store/tensor_plan.h"

namespace lockstep {
namespace {

constexpr std::uint64_t kMaxManifestBytes = 256 << 20;
// A tensor's key: file and offset are unique.
using Place = std::pair<int, std::uint64_t>;

Place place_of(const StoredTensor& tensor) { return {tensor.file, tensor.offset}; }

constexpr std::uint64_t kPage = 4096;

// The leaves that these tensors touch, in order. Requires: the tensors are in the order of their
// places, and have bytes.
std::vector<LeafTarget> leaves_of(std::span<const StoredTensor* const> tensors,
                                  std::vector<std::size_t>& first_leaf) {
  std::vector<LeafTarget> leaves;
  for (const StoredTensor* tensor : tensors) {
    const std::uint64_t first = tensor->offset / kLeafBytes;
    const std::uint64_t last = (tensor->offset + tensor->bytes - 1) / kLeafBytes;
    // Tensors do not overlap, so only the last leaf of the one before can be among these.
    const bool shared =
        !leaves.empty() && leaves.back().file == tensor->file && leaves.back().leaf == first;
    first_leaf.push_back(leaves.size() - (shared ? 1 : 0));
    for (std::uint64_t leaf = first + (shared ? 1 : 0); leaf <= last; ++leaf) {
      leaves.push_back({tensor->file, leaf, {}});
    }
  }
  return leaves;
}

}  // namespace

struct LoadedTensors::Placed {
  HugeArena arena;
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
  store.stopped_ = std::make_shared<std::atomic<bool>>(false);
  return store;
}

// Leaves keep the order of the files and stand side by side, so a rank's weights lie in memory as
// in its files, the gaps between datasets included, and nothing is copied.
Result<LoadedTensors> Store::load(std::span<const StoredTensor* const> tensors,
                                  int num_threads) const {
  std::vector<const StoredTensor*> wanted(tensors.begin(), tensors.end());
  const auto by_place = [](const StoredTensor* tensor) { return place_of(*tensor); };
  std::ranges::sort(wanted, {}, by_place);
  wanted.erase(std::ranges::unique(wanted, {}, by_place).begin(), wanted.end());

  std::vector<std::size_t> first_leaf;
  std::vector<LeafTarget> leaves = leaves_of(wanted, first_leaf);
  const auto leaf_bytes = [&](const LeafTarget& target) {
    const std::uint64_t begin = target.leaf * kLeafBytes;
    return std::min(kLeafBytes,
                    manifest_->files[static_cast<std::size_t>(target.file)].bytes - begin);
  };
  std::uint64_t arena_bytes = 0;
  for (const LeafTarget& leaf : leaves) arena_bytes += round_up(leaf_bytes(leaf), kPage);
  const auto placed = std::make_shared<LoadedTensors::Placed>();
  LOCKSTEP_TRY_ASSIGN(placed->arena, HugeArena::allocate(arena_bytes), "load");

  LoadedTensors loaded;
  std::uint8_t* next = placed->arena.bytes().data();
  for (LeafTarget& leaf : leaves) {
    leaf.bytes = {next, leaf_bytes(leaf)};
    loaded.bytes_read_ += leaf.bytes.size();
    next += round_up<std::uint64_t>(leaf.bytes.size(), kPage);
  }
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    loaded.weight_bytes_ += wanted[i]->bytes;
    placed->data[place_of(*wanted[i])] =
        leaves[first_leaf[i]].bytes.data() + wanted[i]->offset % kLeafBytes;
  }
  LOCKSTEP_TRY(read_leaves(directory_, *manifest_, leaves, num_threads, *stopped_), "load");
  loaded.placed_ = placed;
  return loaded;
}

void Store::stop_loading() const { *stopped_ = true; }

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
