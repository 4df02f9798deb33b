// Hashes of a file as its bytes go by: SHA-256 of the whole and of every 1 MiB leaf.
#pragma once

#include <vector>

#include "base/digest.h"
#include "sharding/store.h"

namespace lockstep {

class FileHasher {
 public:
  void update(ByteView bytes);

  // Fills bytes, sha256, cid and leaves of `file`.
  void finish(StoredFile& file);

 private:
  Sha256 whole_;
  Sha256 leaf_;
  std::uint64_t bytes_ = 0;
  std::vector<Digest> leaves_;
};

}  // namespace lockstep
