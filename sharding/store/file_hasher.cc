#include "sharding/store/file_hasher.h"

#include <algorithm>

#include "sharding/store/cid.h"

namespace lockstep {

void FileHasher::update(ByteView bytes) {
  while (!bytes.empty()) {
    const std::uint64_t left = kLeafBytes - bytes_ % kLeafBytes;
    const ByteView now = bytes.first(std::min<std::uint64_t>(left, bytes.size()));
    Sha256Stream::update_two(whole_, now, leaf_, now);
    bytes_ += now.size();
    if (now.size() == left) leaves_.push_back(leaf_.finish());
    bytes = bytes.subspan(now.size());
  }
}

void FileHasher::finish(StoredFile& file) {
  if (bytes_ % kLeafBytes != 0 || bytes_ == 0) leaves_.push_back(leaf_.finish());
  file.bytes = bytes_;
  file.sha256 = whole_.finish();
  file.cid = file_cid(bytes_, leaves_);
  file.leaves = std::move(leaves_);
}

}  // namespace lockstep
