#include "scheduler/gateway/store/disk_reserve.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"

namespace lockstep {

Status DiskReserve::make() {
  if (is_held_) return {};
  LOCKSTEP_TRY_ASSIGN(const File file, File::open_write(path_, 0600), "disk reserve");
  // A quarter more is asked for and given back: what is left then keeps the next write from
  // needing the reserve at once.
  const std::uint64_t wanted = bytes_ + bytes_ / 4;
  const int fault = ::posix_fallocate(file.fd(), 0, static_cast<off_t>(wanted));
  Status status = fault == 0 ? file.truncate(bytes_) : system_error(fault, path_, "reserve");
  if (status.ok()) status = file.sync();
  if (!status.ok()) {
    ::unlink(path_.c_str());
    return status;
  }
  is_held_ = true;
  return {};
}

void DiskReserve::give_up() {
  ::unlink(path_.c_str());
  is_held_ = false;
}

}  // namespace lockstep
