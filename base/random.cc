#include "base/random.h"

#include <sys/random.h>

#include <cerrno>

#include "base/check.h"

namespace lockstep {
namespace {

class SystemRandom final : public Random {
 public:
  void fill(std::span<std::uint8_t> out) override {
    while (!out.empty()) {
      const ssize_t got = ::getrandom(out.data(), out.size(), 0);
      if (got < 0 && errno == EINTR) continue;
      // Without randomness nothing that needs it may go on, and no caller could do better.
      CHECK(got > 0, "getrandom failed");
      out = out.subspan(static_cast<std::size_t>(got));
    }
  }
};

}  // namespace

Random& system_random() {
  static SystemRandom random;
  return random;
}

}  // namespace lockstep
