// The HDF5 side of a store: makes a file whose datasets are allocated but not yet filled, and
// checks that a file's structure is what the manifest says. All calls of libhdf5 are in here, one
// at a time (the library is not thread-safe).
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/digest.h"
#include "base/result.h"
#include "sharding/store.h"

namespace lockstep {

inline constexpr const char* kStoreSchema = "lockstep.store";
inline constexpr std::uint64_t kDatasetAlignment = 4096;
inline constexpr std::uint64_t kPartAlignment = 2 << 20;  // Of the first dataset of a part.

// Creates `path` with these datasets, in order, and sets their `offset`. The bytes of the datasets
// are holes. `first_of_part[i]` asks for kPartAlignment.
Status create_hdf5(const std::string& path, const Digest& source_sha256,
                   std::span<StoredTensor> tensors, const std::vector<bool>& first_of_part);

// Whether the file holds exactly these datasets, with these offsets, sizes and attributes,
// contiguous and unfiltered. Requires: the file has passed its hash.
Status check_hdf5(const std::string& path, const Digest& source_sha256,
                  std::span<const StoredTensor> tensors);

// "q4_1", ..., or "bytes" for a blob; "p16", "rows" or "blob".
std::string stored_format_name(const StoredTensor& tensor);
std::string stored_layout_name(const StoredTensor& tensor);

}  // namespace lockstep
