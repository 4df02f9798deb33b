// Where the codes of a KV block of 16 tokens lie on a device: in the order in which the lanes of a
// warp hold them as the B operand of mma.m16n8k32. One key/value head of one block is, with the
// head padded to groups of 32 channels, g = lane / 4 and t = lane % 4:
//
//   low bytes [group][lane] 16 bytes
//     keys: of slot g, channels 4t + i and 16 + 4t + i; the same of slot g + 8
//     values: of channel 8j + g, j = 0 to 3, slots 2t, 2t + 1, 8 + 2t, 9 + 2t. (Keys of a score
//       fragment come in this order, so probabilities go from one product to the next in
//       registers.)
//   upper nibbles, kv 16 only: code = 256 * nibble + low byte, the nibble signed and the byte not
//   (a signed byte would leave the nibble -8 to 8) [group][lane] 8 bytes
//     keys: byte 4 (slot / 8) + i: channels 4t + i (low nibble) and 16 + 4t + i
//     values: byte 4 (j / 2) + slot as above: channel 8j + g of even j (low nibble) and of odd j
//
// A byte belongs to one slot, so tokens can be appended by different threads at once.
#pragma once

#include <cstddef>

namespace lockstep::cuda {

inline constexpr int kKvSlots = 16;

constexpr int kv_groups(int head_size) { return (head_size + 31) / 32; }
constexpr std::size_t kv_tile_bytes(int head_size, int kv_bits) {
  return static_cast<std::size_t>(kv_groups(head_size)) * (kv_bits == 16 ? 768 : 512);
}

// Where the low byte of a code is, and the byte and half of its upper nibble.
struct KvPlace {
  int low;
  int upper;
  bool high_half;
};

constexpr KvPlace key_place(int slot, int channel, int groups) {
  const int in_group = channel % 32;
  const int lane = slot % 8 * 4 + in_group % 16 / 4;
  const int half = in_group / 16;
  const int i = channel % 4;
  return {channel / 32 * 512 + lane * 16 + slot / 8 * 8 + half * 4 + i,
          groups * 512 + channel / 32 * 256 + lane * 8 + slot / 8 * 4 + i, half == 1};
}

constexpr KvPlace value_place(int slot, int channel, int groups) {
  const int j = channel % 32 / 8;
  const int lane = channel % 8 * 4 + slot % 8 / 2;
  const int i = slot / 8 * 2 + slot % 2;
  return {channel / 32 * 512 + lane * 16 + j * 4 + i,
          groups * 512 + channel / 32 * 256 + lane * 8 + j / 2 * 4 + i, j % 2 == 1};
}

// The channels whose upper nibbles share a byte are this far apart.
inline constexpr int kKeyPartner = 16;
inline constexpr int kValuePartner = 8;

}  // namespace lockstep::cuda
