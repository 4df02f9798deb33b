#include "sharding/import.h"

#include <sys/resource.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <thread>

#include "base/canonical_json.h"
#include "base/checked.h"
#include "base/file.h"
#include "sharding/gguf/float_row.h"
#include "sharding/gguf/gguf_file.h"
#include "sharding/gguf/llama_source.h"
#include "sharding/store/file_hasher.h"
#include "sharding/store/file_name.h"
#include "sharding/store/file_split.h"
#include "sharding/store/hdf5_file.h"
#include "sharding/store/model_hashes.h"
#include "sharding/store/p16_pack.h"
#include "sharding/store/temporary_directory.h"
#include "sharding/store/tensor_plan.h"
#include "sharding/store/weights_root.h"
#include "sharding/tokenizer.h"

namespace lockstep {
namespace {

constexpr std::size_t kWriteBytes = 1 << 20;  // Written and hashed at once.
constexpr std::uint64_t kProgressBytes = 4 << 20;

// Counts bytes and reports now and then; `add` from any thread, `report` from the importing one.
class Progress {
 public:
  Progress(const ImportOptions& options, std::uint64_t total) : options_(options), total_(total) {}

  void add(std::uint64_t bytes) { done_ += bytes; }

  // kAborted when the import was cancelled.
  Status report() {
    if (options_.cancelled != nullptr && *options_.cancelled) {
      return Error{ErrorCode::kAborted, "cancelled; nothing is left of the store"};
    }
    const std::uint64_t done = std::min<std::uint64_t>(done_, total_);
    if (!options_.progress || (done < reported_ + kProgressBytes && done < total_)) return {};
    reported_ = done;
    options_.progress(done, total_);
    return {};
  }

  // The store is there.
  void finish() const {
    if (options_.progress) options_.progress(total_, total_);
  }

 private:
  const ImportOptions& options_;
  std::uint64_t total_;
  std::atomic<std::uint64_t> done_{0};
  std::uint64_t reported_ = 0;
};

// What one import reads from.
struct Source {
  GgufFile file;
  LlamaSource model;
};

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

// Hashes the source file and all rows; checks every value on the way.
Status hash_source(const Source& source, Progress& progress, Manifest& manifest) {
  std::jthread file_hash([&] { manifest.source_sha256 = sha256(source.file.bytes()); });
  const auto tensors = source.file.tensors();
  const std::thread::id importer = std::this_thread::get_id();
  LOCKSTEP_TRY_ASSIGN(
      manifest.weights_root,
      weights_root(source.model.tensors,
                   [&](std::size_t tensor, std::int64_t row, Bytes& scratch) -> Result<ByteView> {
                     progress.add(tensors[tensor].row_bytes);
                     if (std::this_thread::get_id() == importer) {
                       LOCKSTEP_TRY(progress.report(), "import");
                     }
                     return source_row(tensors[tensor], row, scratch);
                   }),
      "import");
  return {};
}

// Appends the bytes of one file in order: writes them unless they are there already, and hashes
// them.
class FileFiller {
 public:
  FileFiller(const File& file, Progress& progress) : file_(file), progress_(progress) {}

  // Hashes what the file holds up to `offset`: metadata and holes.
  Status skip_to(std::uint64_t offset) {
    LOCKSTEP_TRY(flush(), "store");
    Bytes buffer;
    while (position_ < offset) {
      buffer.resize(std::min<std::uint64_t>(kWriteBytes, offset - position_));
      LOCKSTEP_TRY(file_.read_exact(position_, buffer), "store");
      hasher_.update(buffer);
      position_ += buffer.size();
    }
    return {};
  }

  Status append(ByteView bytes) {
    pending_.insert(pending_.end(), bytes.begin(), bytes.end());
    progress_.add(bytes.size());
    return pending_.size() >= kWriteBytes ? flush() : Status{};
  }

  Status flush() {
    LOCKSTEP_TRY(file_.write_all(position_, pending_), "store");
    hasher_.update(pending_);
    position_ += pending_.size();
    pending_.clear();
    return progress_.report();
  }

  void finish(StoredFile& entry) { hasher_.finish(entry); }

 private:
  const File& file_;
  Progress& progress_;
  FileHasher hasher_;
  Bytes pending_;
  std::uint64_t position_ = 0;
};

// Writes a store's datasets from the source.
class StoreWriter {
 public:
  StoreWriter(const Source& source, Manifest& manifest, Progress& progress)
      : source_(source), manifest_(manifest), progress_(progress) {}

  Status write_file(const std::string& directory, const PlannedFile& plan, std::size_t index) {
    StoredFile entry;
    entry.name = store_file_name(index);
    const std::string path = directory + "/" + entry.name;
    const auto tensors =
        std::span(manifest_.tensors).subspan(plan.begin, plan.first_of_part.size());
    LOCKSTEP_TRY(create_hdf5(path, manifest_.source_sha256, tensors, plan.first_of_part), "store");
    LOCKSTEP_TRY_ASSIGN(const File file, File::open_write(path), "store");
    LOCKSTEP_TRY_ASSIGN(const std::uint64_t bytes, file.size(), "store");
    FileFiller filler(file, progress_);
    for (const StoredTensor& tensor : tensors) {
      LOCKSTEP_TRY(filler.skip_to(tensor.offset), "store");
      LOCKSTEP_TRY(write_tensor(tensor, filler), tensor.name);
      LOCKSTEP_TRY(filler.flush(), tensor.name);
    }
    LOCKSTEP_TRY(filler.skip_to(bytes), "store");
    LOCKSTEP_TRY(file.sync(), "store");
    filler.finish(entry);
    manifest_.files.push_back(std::move(entry));
    return {};
  }

 private:
  Status write_tensor(const StoredTensor& tensor, FileFiller& filler) {
    if (tensor.kind == TensorKind::kTokenizer) {
      return filler.append(as_bytes(source_.model.tokenizer));
    }
    if (tensor.kind == TensorKind::kChatTemplate) {
      return filler.append(as_bytes(source_.model.chat_template));
    }
    if (is_norm(tensor.kind)) {
      const std::string name = tensor.kind == TensorKind::kOutputNorm
                                   ? kOutputNormName
                                   : norm_name(tensor.kind == TensorKind::kAttnNorm, tensor.layer);
      LOCKSTEP_TRY_ASSIGN(const ByteView bytes, source_row(*find(name), 0, scratch_[0]), "norm");
      return filler.append(bytes);
    }
    return write_matrix(tensor, filler);
  }

  Status write_matrix(const StoredTensor& tensor, FileFiller& filler) {
    const MatrixOrigin origin(manifest_.config, manifest_.parts, tensor);
    const Range groups = origin.groups();
    panel_.resize(static_cast<std::size_t>(groups.size()) * p16_group_bytes(tensor.format));
    for (int first = 0; first < tensor.rows; first += kPanelRows) {
      PanelRows rows;
      for (int i = 0; i < std::min(kPanelRows, tensor.rows - first); ++i) {
        const auto from = origin.row(first + i);
        if (!from) continue;
        const auto slot = static_cast<std::size_t>(i);
        rows[slot] = row_blocks(matrix_of(*from, tensor.layer), from->row, groups, scratch_[slot]);
      }
      pack_panel(tensor.format, rows, groups.size(), panel_);
      LOCKSTEP_TRY(filler.append(panel_), "write");
    }
    return {};
  }

  const GgufTensor* find(const std::string& name) const {
    const GgufTensor* tensor = source_.file.find_tensor(name);
    CHECK(tensor != nullptr, "a source that was checked has all tensors");
    return tensor;
  }

  const GgufTensor& matrix_of(const RowOrigin& origin, int layer) {
    switch (origin.source) {
      case SourceMatrix::kEmbedding:
        return *find(kEmbeddingName);
      case SourceMatrix::kHead:
        return *find(kHeadName);
      case SourceMatrix::kLayer:
        break;
    }
    return *find(matrix_name(origin.matrix, layer));
  }

  const Source& source_;
  Manifest& manifest_;
  Progress& progress_;
  std::array<Bytes, kPanelRows> scratch_;
  Bytes panel_;
};

Status check_options(const ImportOptions& options) {
  const auto legal = [](int bits) { return bits == 16 || bits == 8; };
  if (!legal(options.activation_bits) || !legal(options.kv_bits)) {
    return Error{ErrorCode::kInvalidArgument, "activation_bits and kv_bits are 16 or 8"};
  }
  if (options.file_bytes == 0) {
    return Error{ErrorCode::kInvalidArgument, "file_bytes must be at least 1"};
  }
  return {};
}

// Fails early, with the numbers, where the files cannot fit.
Status check_space(const std::string& directory, std::span<const PlannedFile> files,
                   std::span<const StoredTensor> tensors) {
  std::uint64_t needed = 0;
  for (const StoredTensor& tensor : tensors) needed += tensor.bytes + kDatasetAlignment;
  struct statvfs space {};
  if (::statvfs(directory.c_str(), &space) != 0) return system_error(errno, directory, "statvfs");
  const std::uint64_t available = std::uint64_t{space.f_bavail} * space.f_frsize;
  if (available < needed) {
    return Error{ErrorCode::kExhausted, directory + ": disk full: the store needs " +
                                            std::to_string(needed) + " bytes, " +
                                            std::to_string(available) + " are free"};
  }
  struct rlimit limit {};
  if (::getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return {};
  for (const PlannedFile& file : files) {
    if (file.estimated_bytes <= limit.rlim_cur) continue;
    return Error{ErrorCode::kExhausted,
                 directory + ": a file of " + std::to_string(file.estimated_bytes) +
                     " bytes is larger than this process may write (RLIMIT_FSIZE " +
                     std::to_string(limit.rlim_cur) + "); raise it, or lower file_bytes"};
  }
  return {};
}

// A tokenizer that the engine could not read would make the store useless for text. A model without
// one serves token ids.
Status check_tokenizer(const std::string& blob) {
  LOCKSTEP_TRY_ASSIGN(const Json keys, parse_json(blob), "keys");
  if (!keys.contains("tokenizer.ggml.model")) return {};
  auto tokenizer = Tokenizer::from_json(blob);
  if (!tokenizer.ok()) return std::move(tokenizer).error();
  return {};
}

Result<Manifest> describe(const Source& source, const std::string& path,
                          const ImportOptions& options) {
  Manifest manifest;
  manifest.config = source.model.config;
  manifest.config.activation_bits = options.activation_bits;
  manifest.config.kv_bits = options.kv_bits;
  LOCKSTEP_TRY_ASSIGN(manifest.parts, make_parts(manifest.config, options.parts), "import");
  manifest.source_name = std::filesystem::path(path).filename().string();
  manifest.source_type = "gguf";
  manifest.source_tensors = source.model.tensors;
  manifest.rope_factors = source.model.rope_factors;
  LOCKSTEP_TRY(check_tokenizer(source.model.tokenizer), "tokenizer");
  manifest.tokenizer_hash = keccak256(source.model.tokenizer);
  manifest.template_hash = keccak256(source.model.chat_template);
  const BlobSizes blobs = {source.model.tokenizer.size(), source.model.chat_template.size()};
  manifest.tensors = plan_tensors(manifest.config, manifest.parts, source.model.formats, blobs);
  return manifest;
}

Status write_manifest(const std::string& directory, const std::string& text) {
  LOCKSTEP_TRY_ASSIGN(const File file, File::open_write(directory + "/" + kManifestName), "store");
  LOCKSTEP_TRY(file.write_all(0, as_bytes(text)), "store");
  return file.sync();
}

Result<Manifest> import_source(const Source& source, Manifest manifest,
                               const std::string& directory, const ImportOptions& options) {
  std::uint64_t total = source.file.bytes().size();
  for (const StoredTensor& tensor : manifest.tensors) total += tensor.bytes;
  Progress progress(options, total);
  LOCKSTEP_TRY_ASSIGN(TemporaryDirectory temporary, TemporaryDirectory::create(directory), "store");
  const std::vector<PlannedFile> files = split_files(manifest.tensors, options.file_bytes);
  LOCKSTEP_TRY(check_space(parent_directory(temporary.path()), files, manifest.tensors), "import");
  LOCKSTEP_TRY(hash_source(source, progress, manifest), "import");
  StoreWriter writer(source, manifest, progress);
  for (std::size_t i = 0; i < files.size(); ++i) {
    LOCKSTEP_TRY(writer.write_file(temporary.path(), files[i], i), "import");
  }
  set_model_hashes(manifest);
  LOCKSTEP_TRY_ASSIGN(const std::string text, manifest_to_json(manifest), "import");
  // Read back with every check: what is written can be opened.
  LOCKSTEP_TRY_ASSIGN(Manifest checked, manifest_from_json(text), "import");
  LOCKSTEP_TRY(write_manifest(temporary.path(), text), "import");
  LOCKSTEP_TRY(temporary.rename_to_target(), "import");
  progress.finish();
  return checked;
}

}  // namespace

Result<Manifest> import_gguf(const std::string& gguf_path, const std::string& directory,
                             const ImportOptions& options) {
  LOCKSTEP_TRY(check_options(options), "import");
  LOCKSTEP_TRY_ASSIGN(GgufFile file, GgufFile::open(gguf_path), "import");
  LOCKSTEP_TRY_ASSIGN(LlamaSource model, read_llama(file), "import " + gguf_path);
  const Source source{std::move(file), std::move(model)};
  LOCKSTEP_TRY_ASSIGN(Manifest manifest, describe(source, gguf_path, options),
                      "import " + gguf_path);
  return import_source(source, std::move(manifest), directory, options);
}

}  // namespace lockstep
