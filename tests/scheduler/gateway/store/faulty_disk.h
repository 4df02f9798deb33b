// SQLite's file system with faults: while one lives, databases opened with its name write to a disk
// that may be full or whose syncs fail. (A VFS is how SQLite offers the seam of the disk.)
#pragma once

#include <cstddef>
#include <string>

namespace lockstep {

class FaultyDisk {
 public:
  static constexpr const char* kName = "lockstep-faulty";

  FaultyDisk();  // One at a time.
  ~FaultyDisk();
  FaultyDisk(const FaultyDisk&) = delete;
  FaultyDisk& operator=(const FaultyDisk&) = delete;

  // Nothing can be written as long as there is a file at `path`.
  void be_full_while(const std::string& path);
  void fail_syncs();
  void be_well();
  std::size_t num_failures() const;
};

}  // namespace lockstep
