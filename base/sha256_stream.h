// SHA-256 of one or two streams on one core. The SHA instructions of a processor wait for each
// other within a stream, so a second stream is almost free: two are 1.8 times as fast as one after
// the other (Zen 3). Digests are those of `Sha256`, which computes them where there are no such
// instructions.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/digest.h"

namespace lockstep {

class Sha256Stream {
 public:
  Sha256Stream();

  void update(ByteView bytes);
  // The digest of all that was updated; the stream starts anew.
  Digest finish();

  // first.update(first_bytes) and second.update(second_bytes). Requires: two different streams.
  static void update_two(Sha256Stream& first, ByteView first_bytes, Sha256Stream& second,
                         ByteView second_bytes);

 private:
  static constexpr std::size_t kBlockBytes = 64;

  void restart();

  std::array<std::uint32_t, 8> state_;
  std::array<std::uint8_t, kBlockBytes> pending_;  // The first `bytes_ % kBlockBytes` are used.
  std::uint64_t bytes_;
  Sha256 portable_;
};

// The digests of two messages.
std::array<Digest, 2> sha256_two(ByteView first, ByteView second);

// Whether the processor has the instructions; tests print it.
bool has_sha_instructions();

}  // namespace lockstep
