#include "sharding/store/file_split.h"

#include "base/checked.h"
#include "sharding/store/hdf5_file.h"

namespace lockstep {
namespace {

// More than HDF5 ever writes for the object headers, groups and attributes of one dataset, each in
// a block of 4 KiB (measured: at most 20 KiB, for the first dataset in a group three levels deep).
constexpr std::uint64_t kMetadataBytes = 32 << 10;

// A dataset smaller than this may be smaller than its own object header, which is aligned like it
// then.
constexpr std::uint64_t kTinyDataset = 4096;

std::uint64_t end_after(std::uint64_t begin, const StoredTensor& tensor, bool first_of_part) {
  const std::uint64_t alignment = first_of_part ? kPartAlignment : kDatasetAlignment;
  const std::uint64_t header = tensor.bytes < kTinyDataset ? 2 * alignment : 0;
  return round_up(begin + kMetadataBytes, alignment) + tensor.bytes + header;
}

}  // namespace

std::vector<PlannedFile> split_files(std::span<StoredTensor> tensors, std::uint64_t file_bytes) {
  std::vector<PlannedFile> files;
  int part = -1;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    StoredTensor& tensor = tensors[i];
    const bool first_of_part = tensor.part != part;
    part = tensor.part;
    if (files.empty() ||
        end_after(files.back().estimated_bytes, tensor, first_of_part) > file_bytes) {
      files.emplace_back().begin = i;
      files.back().estimated_bytes = kMetadataBytes;
    }
    PlannedFile& file = files.back();
    file.first_of_part.push_back(first_of_part);
    file.estimated_bytes = end_after(file.estimated_bytes, tensor, first_of_part);
    tensor.file = narrow<int>(files.size()) - 1;
  }
  return files;
}

}  // namespace lockstep
