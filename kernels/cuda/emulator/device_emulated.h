// What kernels/cuda/device.h offers, on the emulated device: the names of CUDA C++ that the kernels
// use, and the instructions that they reach through functions of ours.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <tuple>

#include "kernels/cuda/emulator/grid.h"

// NOLINTBEGIN(readability-identifier-naming): these are CUDA's names.
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define threadIdx (::lockstep::emulator::this_lane().thread_index)
#define blockIdx (::lockstep::emulator::this_lane().shape->block_index)
#define blockDim (::lockstep::emulator::this_lane().shape->block)
#define gridDim (::lockstep::emulator::this_lane().shape->grid)

struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};

inline void __syncthreads() { ::lockstep::emulator::this_lane().meet_block("__syncthreads"); }
inline void __syncwarp() {
  ::lockstep::emulator::this_lane().meet_warp("__syncwarp", nullptr, nullptr);
}
// NOLINTEND(readability-identifier-naming)

// A __shared__ array: `type* name`, the same for all threads of a block.
#define DEVICE_SHARED(type, name, count) \
  static const char name##_key = 0;      \
  type* const name = static_cast<type*>( \
      ::lockstep::emulator::this_lane().static_shared(&name##_key, (count) * sizeof(type)))

namespace lockstep::cuda {

namespace emulated {

template <typename T>
struct Shuffle {
  T value;
  unsigned lane_mask;
  T result;

  static void execute(void* const* lanes) {
    for (unsigned i = 0; i < 32; ++i) {
      auto* self = static_cast<Shuffle*>(lanes[i]);
      self->result = static_cast<Shuffle*>(lanes[(i ^ self->lane_mask) % 32])->value;
    }
  }
};

struct Vote {
  bool value;
  unsigned result;

  static void execute(void* const* lanes) {
    unsigned ballot = 0;
    for (unsigned i = 0; i < 32; ++i) {
      ballot |= static_cast<unsigned>(static_cast<Vote*>(lanes[i])->value) << i;
    }
    for (unsigned i = 0; i < 32; ++i) static_cast<Vote*>(lanes[i])->result = ballot;
  }
};

// mma.sync.m16n8k32 of bytes; PTX ISA, "Matrix Fragments for mma.m16n8k32": with g = lane / 4 and
// t = lane % 4, register r of A has row g + 8 * (r % 2) and columns 16 * (r / 2) + 4 t to + 3;
// register r of B has rows 16 r + 4 t to + 3 of column g; register r of C has row g + 8 * (r / 2)
// of column 2 t + r % 2.
template <typename A, typename B>
struct MultiplyAccumulate {
  std::int32_t* c;
  std::uint32_t a[4];
  std::uint32_t b[2];

  static void execute(void* const* lanes) {
    A a[16][32];
    B b[8][32];
    for (unsigned lane = 0; lane < 32; ++lane) {
      const auto* self = static_cast<const MultiplyAccumulate*>(lanes[lane]);
      for (unsigned r = 0; r < 4; ++r) {
        std::memcpy(&a[lane / 4 + 8 * (r % 2)][16 * (r / 2) + 4 * (lane % 4)], &self->a[r], 4);
      }
      for (unsigned r = 0; r < 2; ++r) {
        std::memcpy(&b[lane / 4][16 * r + 4 * (lane % 4)], &self->b[r], 4);
      }
    }
    for (unsigned lane = 0; lane < 32; ++lane) {
      auto* self = static_cast<MultiplyAccumulate*>(lanes[lane]);
      for (unsigned r = 0; r < 4; ++r) {
        const A* row = a[lane / 4 + 8 * (r / 2)];
        const B* column = b[2 * (lane % 4) + r % 2];
        std::int32_t sum = 0;
        for (unsigned k = 0; k < 32; ++k) sum += row[k] * column[k];
        // Wraps, as the device does.
        self->c[r] = static_cast<std::int32_t>(static_cast<std::uint32_t>(self->c[r]) +
                                               static_cast<std::uint32_t>(sum));
      }
    }
  }
};

template <typename A, typename B>
void multiply_accumulate(const char* name, std::int32_t* c, const std::uint32_t* a,
                         const std::uint32_t* b) {
  MultiplyAccumulate<A, B> args{c, {a[0], a[1], a[2], a[3]}, {b[0], b[1]}};
  emulator::this_lane().meet_warp(name, &args, MultiplyAccumulate<A, B>::execute);
}

}  // namespace emulated

inline void mma_s8_s8(std::int32_t (&c)[4], const std::uint32_t (&a)[4],
                      const std::uint32_t (&b)[2]) {
  emulated::multiply_accumulate<std::int8_t, std::int8_t>("mma s8 s8", c, a, b);
}
inline void mma_u8_s8(std::int32_t (&c)[4], const std::uint32_t (&a)[4],
                      const std::uint32_t (&b)[2]) {
  emulated::multiply_accumulate<std::uint8_t, std::int8_t>("mma u8 s8", c, a, b);
}

inline void mma_s8_u8(std::int32_t (&c)[4], const std::uint32_t (&a)[4],
                      const std::uint32_t (&b)[2]) {
  emulated::multiply_accumulate<std::int8_t, std::uint8_t>("mma s8 u8", c, a, b);
}
inline void mma_u8_u8(std::int32_t (&c)[4], const std::uint32_t (&a)[4],
                      const std::uint32_t (&b)[2]) {
  emulated::multiply_accumulate<std::uint8_t, std::uint8_t>("mma u8 u8", c, a, b);
}

template <typename T>
T shuffle_xor(T value, unsigned lane_mask) {
  emulated::Shuffle<T> args{value, lane_mask, {}};
  emulator::this_lane().meet_warp("shuffle", &args, emulated::Shuffle<T>::execute);
  return args.result;
}

// Bit i: whether lane i said so.
inline unsigned ballot(bool value) {
  emulated::Vote args{value, 0};
  emulator::this_lane().meet_warp("ballot", &args, emulated::Vote::execute);
  return args.result;
}

inline std::uint8_t* dynamic_shared() {
  return reinterpret_cast<std::uint8_t*>(emulator::this_lane().dynamic_shared());
}
template <int kBytes>
void copy_async(void* shared, const void* global) {
  emulator::this_lane().copy_async(shared, global, kBytes);
}
inline void commit_copies() { emulator::this_lane().commit_copies(); }
template <int kNewestLeft>
void wait_copies() {
  emulator::this_lane().wait_copies(kNewestLeft);
}

// Kernels run one after another here; what is checked is that every thread waits.
inline void let_next_begin() {}
inline void wait_for_previous() { emulator::this_lane().wait_for_previous(); }

inline float fused_multiply_add(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
inline float divide(float a, float b) { return a / b; }
inline float square_root(float a) { return __builtin_sqrtf(a); }
inline float round_even(float a) { return __builtin_rintf(a); }
inline float int_to_float(std::int32_t a) { return static_cast<float>(a); }
inline std::int32_t float_to_int(float a) { return static_cast<std::int32_t>(a); }
inline std::uint32_t float_bits(float a) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &a, sizeof bits);
  return bits;
}
inline float bits_float(std::uint32_t bits) {
  float value = 0;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
// The value of a binary16, exact.
inline float half_to_float(std::uint32_t half) {
  const std::uint32_t sign = (half & 0x8000U) << 16;
  const std::uint32_t exponent = half >> 10 & 31U;
  const std::uint32_t fraction = half & 1023U;
  if (exponent == 0) {
    return bits_float(float_bits(static_cast<float>(fraction) * 0x1p-24F) | sign);
  }
  return bits_float(sign | (exponent == 31 ? 255U : exponent + 112) << 23 | fraction << 13);
}
// Byte i of the result is byte (selector >> 4 i) & 7 of b:a.
inline std::uint32_t byte_permute(std::uint32_t a, std::uint32_t b, std::uint32_t selector) {
  const std::uint64_t both = std::uint64_t{b} << 32 | a;
  std::uint32_t result = 0;
  for (unsigned i = 0; i < 4; ++i) {
    result |= static_cast<std::uint32_t>(both >> 8 * (selector >> 4 * i & 7U) & 255U) << 8 * i;
  }
  return result;
}

inline std::uint32_t atomic_min(std::uint32_t* target, std::uint32_t value) {
  std::uint32_t seen = __atomic_load_n(target, __ATOMIC_RELAXED);
  while (value < seen && !__atomic_compare_exchange_n(target, &seen, value, true, __ATOMIC_RELAXED,
                                                      __ATOMIC_RELAXED)) {
  }
  return seen;
}

struct LaunchShape {
  emulator::Extent3 grid;
  emulator::Extent3 block;
  std::size_t shared_bytes = 0;
};

enum class Error : int { kNone = 0, kInvalidConfiguration = 9, kLaunchFailure = 719 };
using Stream = void*;

// Enqueues kernel(args...); here, runs it to its end.
template <typename... Parameters, typename... Arguments>
Error launch(void (*kernel)(Parameters...), const LaunchShape& shape, Stream /*stream*/,
             const Arguments&... arguments) {
  struct Call {
    void (*kernel)(Parameters...);
    std::tuple<Parameters...> arguments;
  };
  const Call call{kernel, std::tuple<Parameters...>(arguments...)};
  emulator::BlockShape whole;
  whole.grid = shape.grid;
  whole.block = shape.block;
  whole.shared_bytes = shape.shared_bytes;
  const auto body = [](const void* pointer) {
    const Call& self = *static_cast<const Call*>(pointer);
    std::apply(self.kernel, self.arguments);
  };
  switch (emulator::run_grid(whole, body, &call)) {
    case emulator::LaunchResult::kDone:
      return Error::kNone;
    case emulator::LaunchResult::kRefused:
      return Error::kInvalidConfiguration;
    case emulator::LaunchResult::kFailed:
      return Error::kLaunchFailure;
  }
  return Error::kLaunchFailure;
}

}  // namespace lockstep::cuda
