// Which dataset goes into which file. Pure arithmetic.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sharding/store.h"

namespace lockstep {

// One file of a store before it is written.
struct PlannedFile {
  std::vector<bool> first_of_part;    // For each of its tensors.
  std::size_t begin = 0;              // Its tensors: [begin, begin + first_of_part.size()).
  std::uint64_t estimated_bytes = 0;  // An upper bound of its size.
};

// Sets `file` of every tensor. A file ends before the dataset that could make it longer than
// `file_bytes`; a dataset that is longer stands alone.
std::vector<PlannedFile> split_files(std::span<StoredTensor> tensors, std::uint64_t file_bytes);

}  // namespace lockstep
