#include "base/keccak_four.h"

#include <immintrin.h>

#include <cstring>

#include "base/check.h"

namespace lockstep {
namespace {

constexpr std::size_t kRateBytes = 136;  // 1600 bits of state less twice the 256 of the digest.
constexpr std::size_t kRateWords = kRateBytes / 8;

// Source: the Keccak reference, version 3.0, sections 1.2 and 2.
constexpr std::array<std::uint64_t, 24> kRoundConstants = {
    0x0000000000000001, 0x0000000000008082, 0x800000000000808a, 0x8000000080008000,
    0x000000000000808b, 0x0000000080000001, 0x8000000080008081, 0x8000000000008009,
    0x000000000000008a, 0x0000000000000088, 0x0000000080008009, 0x000000008000000a,
    0x000000008000808b, 0x800000000000008b, 0x8000000000008089, 0x8000000000008003,
    0x8000000000008002, 0x8000000000000080, 0x000000000000800a, 0x800000008000000a,
    0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008};

// Rotation of word [x + 5 * y] in rho.
constexpr std::array<int, 25> kRotations = {0,  1,  62, 28, 27, 36, 44, 6,  55, 20, 3,  10, 43,
                                            25, 39, 41, 45, 15, 21, 8,  18, 2,  61, 56, 14};

#define LOCKSTEP_AVX2 __attribute__((target("avx2"), always_inline)) inline

template <int Bits>
LOCKSTEP_AVX2 __m256i rotate(__m256i value) {
  if constexpr (Bits == 0) {
    return value;
  } else {
    return _mm256_or_si256(_mm256_slli_epi64(value, Bits), _mm256_srli_epi64(value, 64 - Bits));
  }
}

// theta's end, rho and pi for word `Index` of 25: where it goes in `out`.
template <int Index>
LOCKSTEP_AVX2 void move_words(const __m256i* state, const __m256i* parity, __m256i* out) {
  constexpr int kX = Index % 5;
  constexpr int kY = Index / 5;
  constexpr int kTarget = kY + 5 * ((2 * kX + 3 * kY) % 5);
  out[kTarget] = rotate<kRotations[Index]>(_mm256_xor_si256(state[Index], parity[kX]));
  if constexpr (Index < 24) move_words<Index + 1>(state, parity, out);
}

template <int Row>
LOCKSTEP_AVX2 void chi(const __m256i* in, __m256i* state) {
  const __m256i* row = in + 5 * Row;
  state[5 * Row + 0] = _mm256_xor_si256(row[0], _mm256_andnot_si256(row[1], row[2]));
  state[5 * Row + 1] = _mm256_xor_si256(row[1], _mm256_andnot_si256(row[2], row[3]));
  state[5 * Row + 2] = _mm256_xor_si256(row[2], _mm256_andnot_si256(row[3], row[4]));
  state[5 * Row + 3] = _mm256_xor_si256(row[3], _mm256_andnot_si256(row[4], row[0]));
  state[5 * Row + 4] = _mm256_xor_si256(row[4], _mm256_andnot_si256(row[0], row[1]));
  if constexpr (Row < 4) chi<Row + 1>(in, state);
}

template <int X>
LOCKSTEP_AVX2 __m256i column(const __m256i* state) {
  return _mm256_xor_si256(_mm256_xor_si256(_mm256_xor_si256(state[X], state[X + 5]),
                                           _mm256_xor_si256(state[X + 10], state[X + 15])),
                          state[X + 20]);
}

LOCKSTEP_AVX2 void permute(__m256i* state) {
  for (const std::uint64_t constant : kRoundConstants) {
    const __m256i c[5] = {column<0>(state), column<1>(state), column<2>(state), column<3>(state),
                          column<4>(state)};
    const __m256i parity[5] = {
        _mm256_xor_si256(c[4], rotate<1>(c[1])), _mm256_xor_si256(c[0], rotate<1>(c[2])),
        _mm256_xor_si256(c[1], rotate<1>(c[3])), _mm256_xor_si256(c[2], rotate<1>(c[4])),
        _mm256_xor_si256(c[3], rotate<1>(c[0]))};
    __m256i moved[25];
    move_words<0>(state, parity, moved);
    chi<0>(moved, state);
    state[0] = _mm256_xor_si256(state[0], _mm256_set1_epi64x(static_cast<long long>(constant)));
  }
}

// Word `index` of four blocks.
LOCKSTEP_AVX2 __m256i gather(const std::array<const std::uint8_t*, 4>& blocks, std::size_t index) {
  std::array<long long, 4> words;
  for (std::size_t i = 0; i < 4; ++i) std::memcpy(&words[i], blocks[i] + 8 * index, 8);
  return _mm256_set_epi64x(words[3], words[2], words[1], words[0]);
}

LOCKSTEP_AVX2 void absorb(const std::array<const std::uint8_t*, 4>& blocks, __m256i* state) {
  for (std::size_t i = 0; i < kRateWords; ++i) {
    state[i] = _mm256_xor_si256(state[i], gather(blocks, i));
  }
  permute(state);
}

#undef LOCKSTEP_AVX2

__attribute__((target("avx2"))) void hash_four(const std::array<ByteView, 4>& messages,
                                               std::array<Digest, 4>& digests) {
  const std::size_t size = messages[0].size();
  __m256i state[25];
  for (__m256i& word : state) word = _mm256_setzero_si256();
  std::array<const std::uint8_t*, 4> blocks;
  std::size_t done = 0;
  for (; size - done >= kRateBytes; done += kRateBytes) {
    for (std::size_t i = 0; i < 4; ++i) blocks[i] = messages[i].data() + done;
    absorb(blocks, state);
  }
  // Keccak's own padding: 0x01, zeros, 0x80 in the last byte of the block.
  std::array<std::array<std::uint8_t, kRateBytes>, 4> last{};
  for (std::size_t i = 0; i < 4; ++i) {
    std::copy(messages[i].begin() + static_cast<std::ptrdiff_t>(done), messages[i].end(),
              last[i].begin());
    last[i][size - done] = 0x01;
    last[i][kRateBytes - 1] |= 0x80;
    blocks[i] = last[i].data();
  }
  absorb(blocks, state);
  for (std::size_t word = 0; word < 4; ++word) {
    std::array<std::uint64_t, 4> words;
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(words.data()), state[word]);
    for (std::size_t i = 0; i < 4; ++i) {
      std::memcpy(digests[i].bytes.data() + 8 * word, &words[i], 8);
    }
  }
}

}  // namespace

std::array<Digest, 4> keccak256_four(const std::array<ByteView, 4>& messages) {
  for (const ByteView message : messages) {
    CHECK(message.size() == messages[0].size(), "four messages of different lengths");
  }
  static const bool kHasAvx2 = __builtin_cpu_supports("avx2") != 0;
  std::array<Digest, 4> digests;
  if (kHasAvx2) {
    hash_four(messages, digests);
  } else {
    for (std::size_t i = 0; i < 4; ++i) digests[i] = keccak256(messages[i]);
  }
  return digests;
}

}  // namespace lockstep
