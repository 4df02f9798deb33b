#include "cli/batch/line_leases.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "base/file.h"

namespace lockstep {
namespace {

constexpr std::uint64_t kMaxHolderBytes = 256;
constexpr int kMaxTries = 3;  // At a lease that others take or end at the same moment.

std::int64_t changed_ms(const struct stat& info) {
  return std::int64_t{info.st_mtim.tv_sec} * 1000 + info.st_mtim.tv_nsec / 1'000'000;
}

// False: not there.
Result<bool> look(const std::string& path, struct stat& info) {
  if (::stat(path.c_str(), &info) == 0) return true;
  if (errno == ENOENT || errno == ESTALE) return false;
  return system_error(errno, path, "stat");
}

}  // namespace

Result<LineLeases> LineLeases::open(const std::string& folder, const std::string& holder,
                                    std::int64_t lease_ms) {
  const bool is_name = !holder.empty() && holder.size() < 64 &&
                       holder.find_first_not_of(
                           "0123456789_abcdefghijklmnopqrstuvwxyz"
                           "ABCDEFGHIJKLMNOPQRSTUVWXYZ.-") == std::string::npos;
  if (!is_name) {
    return Error{
        ErrorCode::kInvalidArgument,
        "expected a holder's name of letters, digits, . _ -, got \"" + holder.substr(0, 64) + "\""};
  }
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return Error{ErrorCode::kIo, folder + ": " + error.message()};
  LineLeases leases(folder, holder, lease_ms);
  leases.own_ = folder + "/holder-" + holder;
  LOCKSTEP_TRY_ASSIGN(const File file, File::open_write(leases.own_, 0600), "leases");
  LOCKSTEP_TRY(file.truncate(0), "leases");
  const std::string text = holder + "\n";
  LOCKSTEP_TRY(file.write_all(0, as_bytes(text)), "leases");
  return leases;
}

std::string LineLeases::path(std::uint32_t block, const char* ending) const {
  return folder_ + "/block-" + std::to_string(block) + ending;
}

Result<bool> LineLeases::link_to(const std::string& target) const {
  if (::link(own_.c_str(), target.c_str()) == 0) return true;
  const int why = errno;
  // An answer that NFS lost: the link may be ours all the same.
  struct stat own {};
  struct stat there {};
  if (::stat(own_.c_str(), &own) == 0 && ::stat(target.c_str(), &there) == 0 &&
      own.st_ino == there.st_ino && own.st_dev == there.st_dev) {
    return true;
  }
  if (why == EEXIST) return false;
  return system_error(why, target, "link");
}

Result<bool> LineLeases::has_run_out(const std::string& lease) const {
  LOCKSTEP_TRY(touch(), "leases");
  struct stat own {};
  struct stat theirs {};
  LOCKSTEP_TRY_ASSIGN(const bool is_ours_there, look(own_, own), "leases");
  LOCKSTEP_TRY_ASSIGN(const bool is_there, look(lease, theirs), "leases");
  if (!is_ours_there) return Error{ErrorCode::kIo, own_ + ": was removed"};
  if (!is_there) return true;
  return changed_ms(own) - changed_ms(theirs) > lease_ms_;
}

Status LineLeases::touch() const {
  if (::utimensat(AT_FDCWD, own_.c_str(), nullptr, 0) == 0) return {};
  return system_error(errno, own_, "renew");
}

Result<LineLeases::Claim> LineLeases::claim(std::uint32_t block) {
  struct stat info {};
  LOCKSTEP_TRY_ASSIGN(const bool is_done, look(path(block, ".done"), info), "leases");
  if (is_done) return Claim::kDone;
  const std::string lease = path(block, ".lease");
  for (int tries = 0; tries < kMaxTries; ++tries) {
    LOCKSTEP_TRY_ASSIGN(const bool is_taken, link_to(lease), "leases");
    if (is_taken) {
      // Whoever finished it removed the lease after that.
      LOCKSTEP_TRY_ASSIGN(const bool was_done, look(path(block, ".done"), info), "leases");
      return was_done ? Claim::kDone : Claim::kOurs;
    }
    const auto holder = read_file(lease, kMaxHolderBytes);
    const bool was_ours = holder.ok() && holder.value() == holder_ + "\n";
    LOCKSTEP_TRY_ASSIGN(const bool is_free, has_run_out(lease), "leases");
    if (!was_ours && !is_free) return Claim::kOthers;
    // Renamed, not removed: of several that try, one moves this lease away.
    const std::string old = own_ + ".old";
    if (std::rename(lease.c_str(), old.c_str()) != 0) continue;
    LOCKSTEP_TRY_ASSIGN(const bool has_ended, has_run_out(old), "leases");
    const bool is_old = was_ours || has_ended;
    // Another was faster, and this is its new lease: it goes back.
    if (!is_old) (void)::link(old.c_str(), lease.c_str());
    (void)::unlink(old.c_str());
    if (!is_old) return Claim::kOthers;
  }
  return Claim::kOthers;
}

Status LineLeases::renew() { return touch(); }

Status LineLeases::finish(std::uint32_t block) {
  LOCKSTEP_TRY_ASSIGN(const bool is_first, link_to(path(block, ".done")), "leases");
  (void)is_first;
  LOCKSTEP_TRY(sync_directory(folder_), "leases");
  (void)::unlink(path(block, ".lease").c_str());
  return {};
}

}  // namespace lockstep
