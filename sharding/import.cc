#include "sharding/import.h"

#include <sys/resource.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <thread>

#include "base/checked.h"
#include "base/file.h"
#include "base/sha256_stream.h"
#include "sharding/gguf/gguf_file.h"
#include "sharding/gguf/llama_source.h"
#include "sharding/store/file_name.h"
#include "sharding/store/file_split.h"
#include "sharding/store/hdf5_file.h"
#include "sharding/store/model_hashes.h"
#include "sharding/store/store_writer.h"
#include "sharding/store/temporary_directory.h"
#include "sharding/store/tensor_plan.h"
#include "sharding/store/weights_root.h"
#include "sharding/tokenizer.h"

namespace lockstep {
namespace {

constexpr std::size_t kHashBytes = 4 << 20;  // Hashed between two reports.
constexpr std::uint64_t kProgressBytes = 4 << 20;

// Counts bytes and reports now and then; `add` from any thread, `report` from one at a time.
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

// SHA-256 of the source file.
Result<Digest> hash_file(ByteView bytes, Progress& progress) {
  Sha256Stream hash;
  for (std::size_t done = 0; done < bytes.size(); done += kHashBytes) {
    LOCKSTEP_TRY(progress.report(), "import");
    hash.update(bytes.subspan(done, std::min(kHashBytes, bytes.size() - done)));
  }
  return hash.finish();
}

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
  // The blob is canonical JSON: inside a text, these quotes would have backslashes before them.
  if (blob.find("\"tokenizer.ggml.model\":") == blob.npos) return {};
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

// What needs the source alone, on threads of its own while the files are written: whether the
// tokenizer can be read, and `weights_root`, which checks every value on the way.
class SourceCheck {
 public:
  SourceCheck(const Source& source, Progress& progress)
      : source_(source),
        read_([this, &progress](std::size_t index, std::int64_t row, Bytes& scratch) {
          const GgufTensor& tensor = source_.file.tensors()[index];
          progress.add(tensor.row_bytes);
          return source_row(tensor, row, scratch);
        }),
        root_(source.model.tensors, read_) {
    threads_.emplace_back([this] {
      tokenizer_ = check_tokenizer(source_.model.tokenizer);
      if (!tokenizer_.ok()) root_.stop();
      root_.work();
    });
    for (int i = 2; i < import_threads(); ++i) threads_.emplace_back([this] { root_.work(); });
  }
  // Waits for the threads.
  ~SourceCheck() { root_.stop(); }

  // Ends the threads with the work half done: whether they had found something wrong.
  Status abandon() {
    root_.stop();
    threads_.clear();
    return tokenizer_.ok() ? root_.error() : tokenizer_;
  }

  // Helps them to finish.
  Result<Digest> finish() {
    root_.work();
    threads_.clear();
    LOCKSTEP_TRY(std::move(tokenizer_), "tokenizer");
    return root_.finish();
  }

 private:
  const Source& source_;
  RowReader read_;
  WeightsRoot root_;
  Status tokenizer_;
  std::vector<std::jthread> threads_;
};

// Everything but the hashes that come from the source alone.
Status write_files(const Source& source, const std::string& directory,
                   std::span<const PlannedFile> files, Manifest& manifest, Progress& progress) {
  LOCKSTEP_TRY_ASSIGN(manifest.source_sha256, hash_file(source.file.bytes(), progress), "import");
  const auto written = [&progress](std::uint64_t bytes) {
    progress.add(bytes);
    return progress.report();
  };
  for (const PlannedFile& file : files) {
    LOCKSTEP_TRY_ASSIGN(
        StoredFile entry,
        write_store_file(directory, file, {source.file, source.model}, manifest, written),
        "import");
    manifest.files.push_back(std::move(entry));
  }
  return {};
}

Result<Manifest> import_source(const Source& source, Manifest manifest,
                               const std::string& directory, const ImportOptions& options) {
  std::uint64_t total = source.file.bytes().size();
  for (const StoredTensor& tensor : manifest.tensors) total += tensor.bytes;
  Progress progress(options, total);
  LOCKSTEP_TRY_ASSIGN(TemporaryDirectory temporary, TemporaryDirectory::create(directory), "store");
  std::vector<PlannedFile> files = split_files(manifest.tensors, options.file_bytes);
  LOCKSTEP_TRY(check_space(parent_directory(temporary.path()), files, manifest.tensors), "import");
  SourceCheck check(source, progress);
  Status written = write_files(source, temporary.path(), files, manifest, progress);
  if (!written.ok()) {
    // What is wrong with the source is the better news: the writer met only a consequence.
    LOCKSTEP_TRY(check.abandon(), "import");
    return std::move(written).error();
  }
  LOCKSTEP_TRY_ASSIGN(manifest.weights_root, check.finish(), "import");
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
