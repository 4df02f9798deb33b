// What a processor can do at best: loops that only read, and that only multiply bytes. Speeds are
// measured against them (`lockstep bench machine`).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace lockstep::kernels {

struct MachinePeak {
  std::string_view name;          // "avx2", "avx512vnni"
  std::string_view instructions;  // Of the dot product: "vpmaddubsw + vpmaddwd", "vpdpbusd"

  // Reads every byte once into eight vector sums; the result only keeps the compiler from leaving
  // it out. Requires: `data` on a cache line, `bytes` a multiple of kReadBlockBytes.
  std::uint64_t (*read)(const std::uint8_t* data, std::size_t bytes);

  // Multiplies `rounds` * multiply_adds pairs of bytes in registers and adds up the products.
  std::uint32_t (*dot)(std::int64_t rounds);
  int multiply_adds;
};

inline constexpr std::size_t kReadBlockBytes = 512;

// Adds 1 to one of four independent sums in general registers, kAdditions times a round. Unlike
// `dot` it feels another thread of the same core in whatever that one does.
std::uint64_t add_integers(std::int64_t rounds);
inline constexpr int kAdditions = 16;

// With the widest vectors that this processor has; null where it has not even AVX2.
const MachinePeak* machine_peak();

}  // namespace lockstep::kernels
