// Store::verify: every hash of every file, then what HDF5 says about it.
#include "base/file.h"
#include "sharding/store.h"
#include "sharding/store/file_hasher.h"
#include "sharding/store/hdf5_file.h"
#include "sharding/store/stored_rows.h"

namespace lockstep {
namespace {

constexpr std::size_t kReadBytes = 1 << 20;

Status check_file_hashes(const std::string& path, const StoredFile& expected) {
  LOCKSTEP_TRY_ASSIGN(const File file, File::open_read(path), "verify");
  LOCKSTEP_TRY_ASSIGN(const std::uint64_t bytes, file.size(), "verify");
  if (bytes != expected.bytes) {
    return Error{ErrorCode::kCorrupt, path + ": size differs from the manifest"};
  }
  FileHasher hasher;
  Bytes buffer;
  for (std::uint64_t offset = 0; offset < bytes; offset += buffer.size()) {
    buffer.resize(std::min<std::uint64_t>(kReadBytes, bytes - offset));
    LOCKSTEP_TRY(file.read_exact(offset, buffer), "verify");
    hasher.update(buffer);
  }
  StoredFile found;
  hasher.finish(found);
  for (std::size_t leaf = 0; leaf < expected.leaves.size(); ++leaf) {
    if (found.leaves[leaf] == expected.leaves[leaf]) continue;
    return Error{ErrorCode::kCorrupt,
                 path + ": leaf " + std::to_string(leaf) + ": hash differs from the manifest"};
  }
  if (found.sha256 != expected.sha256 || found.cid != expected.cid) {
    return Error{ErrorCode::kCorrupt, path + ": sha256 differs from the manifest"};
  }
  return {};
}

// The datasets of one file: they stand together in the manifest.
std::span<const StoredTensor> tensors_in(const Manifest& manifest, int file) {
  std::size_t begin = 0;
  while (begin < manifest.tensors.size() && manifest.tensors[begin].file < file) ++begin;
  std::size_t end = begin;
  while (end < manifest.tensors.size() && manifest.tensors[end].file == file) ++end;
  return std::span(manifest.tensors).subspan(begin, end - begin);
}

}  // namespace

Status Store::verify() const {
  for (std::size_t i = 0; i < manifest_->files.size(); ++i) {
    const std::string path = directory_ + "/" + manifest_->files[i].name;
    LOCKSTEP_TRY(check_file_hashes(path, manifest_->files[i]), "verify");
    LOCKSTEP_TRY(
        check_hdf5(path, manifest_->source_sha256, tensors_in(*manifest_, static_cast<int>(i))),
        "verify");
  }
  std::vector<MappedFile> mapped;
  for (const StoredFile& file : manifest_->files) {
    LOCKSTEP_TRY_ASSIGN(MappedFile one, MappedFile::open(directory_ + "/" + file.name), "verify");
    mapped.push_back(std::move(one));
  }
  LOCKSTEP_TRY(check_weights_root(*manifest_, mapped), "verify " + directory_);
  for (const TensorKind kind : {TensorKind::kTokenizer, TensorKind::kChatTemplate}) {
    const auto blob = read_blob(kind);
    if (!blob.ok()) return Error(blob.error()).with_context("verify");
  }
  return {};
}

}  // namespace lockstep
