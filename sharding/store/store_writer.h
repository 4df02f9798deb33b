// Writes the files of a store from a GGUF file: packs, writes and hashes leaf by leaf, each while
// it is in a cache, with several threads.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"
#include "sharding/gguf/gguf_file.h"
#include "sharding/gguf/llama_source.h"
#include "sharding/store.h"
#include "sharding/store/file_split.h"

namespace lockstep {

// Called with the number of bytes that were written since the last call; an error ends the writing.
// One thread calls it at a time.
using WriteProgress = std::function<Status(std::uint64_t bytes)>;

struct WriteSource {
  const GgufFile& file;
  const LlamaSource& model;
};

// Creates the file that comes behind `manifest.files` in `directory`, syncs it and returns its
// entry; sets the offsets of its tensors in `manifest`. Blocks; libhdf5 is used by one caller at a
// time.
Result<StoredFile> write_store_file(const std::string& directory, const PlannedFile& plan,
                                    const WriteSource& source, Manifest& manifest,
                                    const WriteProgress& progress);

// Checks row `row` and gives its bytes as `weights_root` takes them: blocks, or binary32.
Result<ByteView> source_row(const GgufTensor& tensor, std::int64_t row, Bytes& scratch);

// Threads that an import may use.
int import_threads();

}  // namespace lockstep
