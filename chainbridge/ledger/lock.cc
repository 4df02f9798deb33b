#include "chainbridge/ledger/lock.h"

#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <thread>

namespace lockstep {
namespace {

constexpr std::uint32_t kPollMs = 20;
constexpr unsigned kOwnerOnly = 0600;

std::string own_name() {
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) host[0] = '\0';
  return "process " + std::to_string(::getpid()) + " on " + host.data() + "\n";
}

// The first line of the lock file: for the message alone, so whatever cannot be read is left out.
std::string holder_name(const File& file) {
  const auto size = file.size();
  if (!size.ok()) return "another process";
  std::string text(std::min<std::uint64_t>(size.value(), 512), '\0');
  const std::span<std::uint8_t> bytes(reinterpret_cast<std::uint8_t*>(text.data()), text.size());
  if (text.empty() || !file.read_exact(0, bytes).ok()) return "another process";
  return text.substr(0, text.find('\n'));
}

}  // namespace

Result<LedgerLock> LedgerLock::take(const std::string& path, std::uint32_t timeout_ms) {
  LOCKSTEP_TRY_ASSIGN(File file, File::open_write(path, kOwnerOnly), "lock");
  for (std::uint32_t waited_ms = 0; ::flock(file.fd(), LOCK_EX | LOCK_NB) != 0;) {
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK) return system_error(errno, path, "lock");
    if (waited_ms >= timeout_ms) {
      return Error{ErrorCode::kUnavailable, path + ": held by " + holder_name(file) + ", waited " +
                                                std::to_string(timeout_ms) +
                                                " ms: let it end, or give this run another ledger"};
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(kPollMs));
    waited_ms += kPollMs;
  }
  LOCKSTEP_TRY(file.truncate(0), "lock");
  LOCKSTEP_TRY(file.write_all(0, as_bytes(own_name())), "lock");
  return LedgerLock(std::move(file));
}

}  // namespace lockstep
