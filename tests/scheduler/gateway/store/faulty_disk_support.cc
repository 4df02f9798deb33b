#include <sqlite3.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <mutex>

#include "base/check.h"
#include "tests/scheduler/gateway/store/faulty_disk.h"

namespace lockstep {
namespace {

struct Faults {
  std::mutex mutex;
  std::string full_while;  // Empty: not full.
  bool syncs_fail = false;
  std::size_t failures = 0;
};
Faults faults;
std::atomic<sqlite3_vfs*> real = nullptr;

// Ours in front, the real file behind it in the same memory.
struct FaultyFile {
  sqlite3_file base;
  sqlite3_io_methods methods;
  sqlite3_file* inner() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};

FaultyFile& ours(sqlite3_file* file) { return *reinterpret_cast<FaultyFile*>(file); }

bool is_full() {
  const std::scoped_lock lock(faults.mutex);
  if (faults.full_while.empty()) return false;
  if (::access(faults.full_while.c_str(), F_OK) == 0) {
    ++faults.failures;
    return true;
  }
  faults.full_while.clear();
  return false;
}

int write(sqlite3_file* file, const void* data, int bytes, sqlite3_int64 offset) {
  if (is_full()) return SQLITE_FULL;
  sqlite3_file* inner = ours(file).inner();
  return inner->pMethods->xWrite(inner, data, bytes, offset);
}

int sync(sqlite3_file* file, int flags) {
  {
    const std::scoped_lock lock(faults.mutex);
    if (faults.syncs_fail) {
      ++faults.failures;
      return SQLITE_IOERR_FSYNC;
    }
  }
  sqlite3_file* inner = ours(file).inner();
  return inner->pMethods->xSync(inner, flags);
}

// A method of version 1 that only passes its arguments on.
template <auto kMethod>
struct Pass;
template <typename... Arguments, int (*sqlite3_io_methods::*kMethod)(sqlite3_file*, Arguments...)>
struct Pass<kMethod> {
  static int call(sqlite3_file* file, Arguments... arguments) {
    sqlite3_file* inner = ours(file).inner();
    return (inner->pMethods->*kMethod)(inner, arguments...);
  }
};

sqlite3_io_methods faulty_methods() {
  using M = sqlite3_io_methods;
  M methods{};
  methods.iVersion = 1;  // Without shared memory: the log's index lies on the heap.
  methods.xClose = Pass<&M::xClose>::call;
  methods.xRead = Pass<&M::xRead>::call;
  methods.xWrite = write;
  methods.xTruncate = Pass<&M::xTruncate>::call;
  methods.xSync = sync;
  methods.xFileSize = Pass<&M::xFileSize>::call;
  methods.xLock = Pass<&M::xLock>::call;
  methods.xUnlock = Pass<&M::xUnlock>::call;
  methods.xCheckReservedLock = Pass<&M::xCheckReservedLock>::call;
  methods.xFileControl = Pass<&M::xFileControl>::call;
  methods.xSectorSize = Pass<&M::xSectorSize>::call;
  methods.xDeviceCharacteristics = Pass<&M::xDeviceCharacteristics>::call;
  return methods;
}

int open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out_flags) {
  FaultyFile& faulty = ours(file);
  faulty.methods = faulty_methods();
  faulty.base.pMethods = nullptr;
  sqlite3_vfs* vfs = real;
  const int code = vfs->xOpen(vfs, name, faulty.inner(), flags, out_flags);
  if (faulty.inner()->pMethods != nullptr) faulty.base.pMethods = &faulty.methods;
  return code;
}

sqlite3_vfs faulty_vfs;

}  // namespace

FaultyDisk::FaultyDisk() {
  real = sqlite3_vfs_find(nullptr);
  be_well();
  faulty_vfs = *real.load();
  faulty_vfs.zName = kName;
  faulty_vfs.szOsFile += static_cast<int>(sizeof(FaultyFile));
  faulty_vfs.xOpen = open;
  CHECK(sqlite3_vfs_register(&faulty_vfs, 0) == SQLITE_OK, "no faulty disk");
}

FaultyDisk::~FaultyDisk() { sqlite3_vfs_unregister(&faulty_vfs); }

void FaultyDisk::be_full_while(const std::string& path) {
  const std::scoped_lock lock(faults.mutex);
  faults.full_while = path;
}

void FaultyDisk::fail_syncs() {
  const std::scoped_lock lock(faults.mutex);
  faults.syncs_fail = true;
}

void FaultyDisk::be_well() {
  const std::scoped_lock lock(faults.mutex);
  faults.full_while.clear();
  faults.syncs_fail = false;
}

std::size_t FaultyDisk::num_failures() const {
  const std::scoped_lock lock(faults.mutex);
  return faults.failures;
}

}  // namespace lockstep
