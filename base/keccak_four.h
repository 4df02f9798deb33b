// Keccak-256 of four messages of one length at once: with AVX2 one word of four states is one
// register, and the four cost little more than one. Digests are those of `keccak256`, which
// computes them where there is no AVX2.
#pragma once

#include <array>

#include "base/digest.h"

namespace lockstep {

// Requires: the messages are equally long.
std::array<Digest, 4> keccak256_four(const std::array<ByteView, 4>& messages);

}  // namespace lockstep
