// The model store: a directory with manifest.json and HDF5 files, read by byte ranges, every byte
// checked against the manifest's leaf hashes while it streams. Loading makes no HDF5 call. Source:
// store design.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/digest.h"
#include "base/p16.h"
#include "base/result.h"
#include "sharding/model_config.h"
#include "sharding/part.h"

namespace lockstep {

inline constexpr int kNumericsVersion = 1;
inline constexpr int kStoreSchemaVersion = 1;  // Of manifest and HDF5 files.
inline constexpr std::uint64_t kLeafBytes = 1 << 20;

// One kind of dataset. Matrices are `p16`, norms `rows` (f32); row order within a part is given
// here.
enum class TensorKind : std::uint8_t {
  kAttnQkv,  // [q rows of `heads`, k rows of `own_kv`, v rows of `own_kv`]; when the formats agree
  kAttnQ,    // Else three: [heads * head_size, hidden]
  kAttnK,    // [own_kv * head_size, hidden]; absent when own_kv is empty
  kAttnV,
  kSharedKv,  // [k rows, v rows] of the one shared key/value head; when the formats agree
  kSharedK,   // Else two: [head_size, hidden]
  kSharedV,
  kAttnOutput,  // [hidden, heads * head_size]: this part's columns
  kFfnGateUp,   // [2 * ffn, hidden], panels of 16 rows alternating gate, up; when the formats agree
  kFfnGate,     // Else two: [ffn, hidden]
  kFfnUp,
  kFfnDown,         // [hidden, ffn]: this part's columns
  kTokenEmbedding,  // [vocab of the part, hidden]
  kOutputHead,      // [vocab of the part, hidden]; absent when tied
  kAttnNorm,        // [1, hidden], part -1, f32
  kFfnNorm,
  kOutputNorm,  // Layer -1.
  kTokenizer,   // Blobs, part -1, layer -1.
  kChatTemplate,
};

struct StoredTensor {
  std::string name;  // Its HDF5 path: "/part_03/layer_07/attn_qkv", "/common/layer_07/attn_norm".
  TensorKind kind{};
  int part = -1;
  int layer = -1;
  WeightFormat format = WeightFormat::kF32;
  int rows = 0;  // Logical, unpadded.
  int k = 0;
  int file = 0;  // Index into Manifest::files.
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
};

struct StoredFile {
  std::string name;  // Plain file name in the store's directory.
  std::uint64_t bytes = 0;
  Digest sha256;
  std::string cid;             // CIDv1, profile unixfs-v1-2025.
  std::vector<Digest> leaves;  // SHA-256 of every 1 MiB.
};

// One tensor of the source, as `weights_root` and `config_hash` name it.
struct SourceTensor {
  std::string name;  // Its GGUF name.
  WeightFormat format = WeightFormat::kF32;
  int rows = 0;  // 1 for a vector.
  int k = 0;

  bool operator==(const SourceTensor&) const = default;
};

struct Manifest {
  ModelConfig config;
  std::vector<Part> parts;
  std::string source_name;
  Digest source_sha256;
  std::string source_type;                   // "gguf"
  std::vector<SourceTensor> source_tensors;  // Sorted by name, bytewise.
  std::vector<float> rope_factors;  // `rope_freqs.weight` of the source; empty when it has none.
  Digest weights_root;
  Digest config_hash;
  Digest tokenizer_hash;
  Digest template_hash;
  Digest model_id;
  Digest manifest_hash;
  std::vector<StoredTensor> tensors;  // In the order of the files.
  std::vector<StoredFile> files;

  // Nothing when there is no such tensor.
  const StoredTensor* find(TensorKind kind, int part, int layer) const;
};

// Canonical JSON with its `manifest_hash`, and back. Parsing checks everything that can be checked
// without the files: schema, hash, every range inside its file, no overlap, formats, shapes against
// the architecture, the list complete.
Result<std::string> manifest_to_json(const Manifest& manifest);
Result<Manifest> manifest_from_json(std::string_view text);

// Weights in memory: one arena of huge pages, filled from the store's files.
class LoadedTensors {
 public:
  // The tensor's bytes, 64-byte aligned. Requires: it was asked for.
  const std::uint8_t* data(const StoredTensor& tensor) const;
  std::uint64_t bytes_read() const {
    return bytes_read_;
  }  // From files, leaves rounded out included.
  std::uint64_t weight_bytes() const { return weight_bytes_; }  // Sum over the tensors asked for.

 private:
  friend class Store;
  struct Placed;
  std::shared_ptr<const Placed> placed_;
  std::uint64_t bytes_read_ = 0;
  std::uint64_t weight_bytes_ = 0;
};

class Store {
 public:
  // Reads and checks the manifest; files only by name and size. Errors name directory, file and
  // reason.
  static Result<Store> open(const std::string& directory);

  const std::string& directory() const { return directory_; }
  const Manifest& manifest() const { return *manifest_; }

  // Reads the leaves that the tensors touch, with `num_threads` threads, and checks each. The first
  // bad one is kCorrupt and named: "model-00001.h5: leaf 17: hash differs from the manifest".
  // Thread-safe.
  Result<LoadedTensors> load(std::span<const StoredTensor* const> tensors,
                             int num_threads = 1) const;

  // Makes loads of this store and its copies, now and later, end with kAborted. From any thread.
  void stop_loading() const;

  // The tokenizer (canonical JSON of the GGUF `tokenizer.*` keys) or the chat template (text),
  // checked by hash.
  Result<std::string> read_blob(TensorKind kind) const;

  // Every hash of every file, and that the HDF5 structure says what the manifest says. Files pass
  // their hash before libhdf5 sees them.
  Status verify() const;

 private:
  std::string directory_;
  std::shared_ptr<const Manifest> manifest_;
  std::shared_ptr<std::atomic<bool>> stopped_;
};

// What a rank with this run of parts reads: its parts' tensors, the shared key/value heads it
// needs, `/common`'s norms.
std::vector<const StoredTensor*> tensors_of(const Manifest& manifest, Range run);

}  // namespace lockstep
