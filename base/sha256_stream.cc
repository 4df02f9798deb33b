#include "base/sha256_stream.h"

#include <cpuid.h>
#include <immintrin.h>

#include <algorithm>
#include <bit>
#include <cstring>

namespace lockstep {
namespace {

constexpr std::array<std::uint32_t, 8> kInitialState = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

// FIPS 180-4, 4.2.2.
alignas(16) constexpr std::array<std::uint32_t, 64> kRoundConstants = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

#define LOCKSTEP_SHA_TARGET __attribute__((target("sha,sse4.1"), always_inline))

// A stream in the order that the instructions want: words a, b, e, f and c, d, g, h.
struct Lane {
  __m128i abef, cdgh;
  __m128i schedule[4];  // Of the next 16 rounds.
  const std::uint8_t* block;
};

LOCKSTEP_SHA_TARGET inline void load_state(const std::uint32_t* state, Lane& lane) {
  const __m128i dcba = _mm_loadu_si128(reinterpret_cast<const __m128i*>(state));
  const __m128i hgfe = _mm_loadu_si128(reinterpret_cast<const __m128i*>(state + 4));
  const __m128i cdab = _mm_shuffle_epi32(dcba, 0xB1);
  const __m128i efgh = _mm_shuffle_epi32(hgfe, 0x1B);
  lane.abef = _mm_alignr_epi8(cdab, efgh, 8);
  lane.cdgh = _mm_blend_epi16(efgh, cdab, 0xF0);
}

LOCKSTEP_SHA_TARGET inline void store_state(const Lane& lane, std::uint32_t* state) {
  const __m128i feba = _mm_shuffle_epi32(lane.abef, 0x1B);
  const __m128i dchg = _mm_shuffle_epi32(lane.cdgh, 0xB1);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(state), _mm_blend_epi16(feba, dchg, 0xF0));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

// Four rounds; `Quad` of 0 to 15 is known when this is compiled, so the schedule stays in
// registers.
template <int Quad>
LOCKSTEP_SHA_TARGET inline void four_rounds(Lane& lane) {
  __m128i(&w)[4] = lane.schedule;
  if constexpr (Quad < 4) {
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    w[Quad] = _mm_shuffle_epi8(
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(lane.block + 16 * Quad)), big_endian);
  } else {
    constexpr int kOldest = Quad % 4;
    const __m128i seventh = _mm_alignr_epi8(w[(Quad + 3) % 4], w[(Quad + 2) % 4], 4);
    const __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(w[kOldest], w[(Quad + 1) % 4]), seventh);
    w[kOldest] = _mm_sha256msg2_epu32(sum, w[(Quad + 3) % 4]);
  }
  const __m128i words = _mm_add_epi32(
      w[Quad % 4],
      _mm_load_si128(reinterpret_cast<const __m128i*>(kRoundConstants.data() + 4 * Quad)));
  lane.cdgh = _mm_sha256rnds2_epu32(lane.cdgh, lane.abef, words);
  lane.abef = _mm_sha256rnds2_epu32(lane.abef, lane.cdgh, _mm_shuffle_epi32(words, 0x0E));
}

template <int Quad, std::size_t NumLanes>
LOCKSTEP_SHA_TARGET inline void rounds_from(Lane (&lanes)[NumLanes]) {
  four_rounds<Quad>(lanes[0]);
  if constexpr (NumLanes == 2) four_rounds<Quad>(lanes[1]);
  if constexpr (Quad < 15) rounds_from<Quad + 1>(lanes);
}

template <std::size_t NumLanes>
LOCKSTEP_SHA_TARGET inline void compress_lanes(std::uint32_t* const (&states)[NumLanes],
                                               const std::uint8_t* const (&blocks)[NumLanes],
                                               std::size_t num_blocks) {
  Lane lanes[NumLanes];
  for (std::size_t i = 0; i < NumLanes; ++i) {
    load_state(states[i], lanes[i]);
    lanes[i].block = blocks[i];
  }
  for (std::size_t block = 0; block < num_blocks; ++block) {
    __m128i before[NumLanes][2];
    for (std::size_t i = 0; i < NumLanes; ++i) {
      before[i][0] = lanes[i].abef;
      before[i][1] = lanes[i].cdgh;
    }
    rounds_from<0>(lanes);
    for (std::size_t i = 0; i < NumLanes; ++i) {
      lanes[i].abef = _mm_add_epi32(lanes[i].abef, before[i][0]);
      lanes[i].cdgh = _mm_add_epi32(lanes[i].cdgh, before[i][1]);
      lanes[i].block += 64;
    }
  }
  for (std::size_t i = 0; i < NumLanes; ++i) store_state(lanes[i], states[i]);
}

__attribute__((target("sha,sse4.1"))) void compress_one(std::uint32_t* state,
                                                        const std::uint8_t* blocks,
                                                        std::size_t num_blocks) {
  compress_lanes<1>({state}, {blocks}, num_blocks);
}

__attribute__((target("sha,sse4.1"))) void compress_two(std::uint32_t* const (&states)[2],
                                                        const std::uint8_t* const (&blocks)[2],
                                                        std::size_t num_blocks) {
  compress_lanes<2>(states, blocks, num_blocks);
}

#undef LOCKSTEP_SHA_TARGET

}  // namespace

bool has_sha_instructions() {
  static const bool kHas = [] {
    constexpr unsigned kShaBit = 1U << 29;  // Of leaf 7, EBX.
    unsigned eax = 0;
    unsigned ebx = 0;
    unsigned ecx = 0;
    unsigned edx = 0;
    return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (ebx & kShaBit) != 0 &&
           __builtin_cpu_supports("sse4.1") != 0;
  }();
  return kHas;
}

Sha256Stream::Sha256Stream() { restart(); }

void Sha256Stream::restart() {
  state_ = kInitialState;
  bytes_ = 0;
}

void Sha256Stream::update(ByteView bytes) {
  if (!has_sha_instructions()) {
    portable_.update(bytes);
    return;
  }
  const std::size_t used = bytes_ % kBlockBytes;
  bytes_ += bytes.size();
  if (used != 0) {
    const std::size_t count = std::min(kBlockBytes - used, bytes.size());
    std::copy_n(bytes.data(), count, pending_.data() + used);
    bytes = bytes.subspan(count);
    if (used + count < kBlockBytes) return;
    compress_one(state_.data(), pending_.data(), 1);
  }
  compress_one(state_.data(), bytes.data(), bytes.size() / kBlockBytes);
  const ByteView rest = bytes.last(bytes.size() % kBlockBytes);
  std::copy(rest.begin(), rest.end(), pending_.begin());
}

void Sha256Stream::update_two(Sha256Stream& first, ByteView first_bytes, Sha256Stream& second,
                              ByteView second_bytes) {
  if (has_sha_instructions() && first.bytes_ % kBlockBytes == 0 &&
      second.bytes_ % kBlockBytes == 0) {
    const std::size_t blocks = std::min(first_bytes.size(), second_bytes.size()) / kBlockBytes;
    compress_two({first.state_.data(), second.state_.data()},
                 {first_bytes.data(), second_bytes.data()}, blocks);
    first.bytes_ += blocks * kBlockBytes;
    second.bytes_ += blocks * kBlockBytes;
    first_bytes = first_bytes.subspan(blocks * kBlockBytes);
    second_bytes = second_bytes.subspan(blocks * kBlockBytes);
  }
  first.update(first_bytes);
  second.update(second_bytes);
}

Digest Sha256Stream::finish() {
  if (!has_sha_instructions()) return portable_.finish();
  // A one bit, zeros, and the length in bits as the last eight bytes of a block.
  const std::uint64_t bits = 8 * bytes_;
  std::array<std::uint8_t, 2 * kBlockBytes> end{0x80};
  const std::size_t used = bytes_ % kBlockBytes;
  const std::size_t size = (used < kBlockBytes - 8 ? kBlockBytes : 2 * kBlockBytes) - used;
  for (std::size_t i = 0; i < 8; ++i) {
    end[size - 1 - i] = static_cast<std::uint8_t>(bits >> (8 * i));
  }
  update(ByteView(end).first(size));
  Digest digest;
  for (std::size_t i = 0; i < digest.bytes.size(); ++i) {
    digest.bytes[i] = static_cast<std::uint8_t>(state_[i / 4] >> (24 - 8 * (i % 4)));
  }
  restart();
  return digest;
}

std::array<Digest, 2> sha256_two(ByteView first, ByteView second) {
  Sha256Stream one;
  Sha256Stream two;
  Sha256Stream::update_two(one, first, two, second);
  return {one.finish(), two.finish()};
}

}  // namespace lockstep
