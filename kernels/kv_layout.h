// Where the codes of a KV block lie. One key/value head of one KV block is a run of codes, ordered
// so that vectors need no shuffles: 32-bit lanes are positions for keys and channels for values.
//
//   keys:   [channel / 8][slot / 8][channel % 8 / 2][slot % 8][channel % 2]
//   values: [slot / 2][channel][slot % 2]
//
// The head is padded to a multiple of 32 channels. With kv 8 a code is an int8. With kv 16 its
// magnitude is at most 2047, so 64 codes, as four vectors of 16, are packed into three vectors of
// 16-bit words: word w of vector j < 3 has code w of vector j in its upper 12 bits and bits 4 j to
// 4 j + 3 of code w of vector 3 in its lower 4. The four codes belong to one slot, so threads may
// append to different slots at once.
#pragma once

#include <cstddef>

namespace lockstep::kernels {

constexpr int kPackedCodes = 64;  // With kv 16: codes that are packed together, ...
constexpr int kPackedWords = 48;  // ... and the 16-bit words that they take.

constexpr int padded_head_size(int head_size) { return (head_size + 31) / 32 * 32; }

constexpr int key_code_index(int slot, int channel) {
  return channel / 8 * 128 + slot / 8 * 64 + channel % 8 / 2 * 16 + slot % 8 * 2 + channel % 2;
}

constexpr int value_code_index(int slot, int channel, int head_size) {
  return slot / 2 * 2 * padded_head_size(head_size) + 2 * channel + slot % 2;
}

// Bytes of the keys (or values) of one head in one KV block of 16 slots; a multiple of 64.
constexpr std::size_t kv_block_bytes(int head_size, int kv_bits) {
  const std::size_t codes = static_cast<std::size_t>(padded_head_size(head_size)) * 16;
  return kv_bits == 16 ? codes / 2 * 3 : codes;
}

}  // namespace lockstep::kernels
