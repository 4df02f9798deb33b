// Hashes of a file as its bytes go by: SHA-256 of the whole and of every 1 MiB leaf.
#pragma once

#include <vector>

#include "base/digest.h"
#include "base/sha256_stream.h"
#include "sharding/store.h"

namespace lockstep {

class FileHasher {
 public:
  void update(ByteView bytes);

  // Fills bytes, sha256, cid and leaves of `file`.
  void finish(StoredFile& file);

 private:
  Sha256Stream whole_;
  Sha256Stream leaf_;
  std::uint64_t bytes_ = 0;
  std::vector<Digest> leaves_;
};

}  // namespace lockstep
