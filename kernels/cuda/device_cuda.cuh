// What kernels/cuda/device.h offers, on a real device.
#pragma once

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

// A __shared__ array: `type* name`.
#define DEVICE_SHARED(type, name, count)             \
  __shared__ alignas(16) type name##_array[(count)]; \
  type* const name = name##_array

namespace lockstep::cuda {

using Error = cudaError_t;
using Stream = cudaStream_t;

// c += a * b, 16 x 32 times 32 x 8 bytes. PTX ISA, "Matrix Fragments for mma.m16n8k32": with
// g = lane / 4 and t = lane % 4, register r of A has row g + 8 * (r % 2) and columns
// 16 * (r / 2) + 4 t to + 3; register r of B has rows 16 r + 4 t to + 3 of column g; register r of
// C has row g + 8 * (r / 2) of column 2 t + r % 2.
#define LOCKSTEP_MMA(a_type, b_type)                                                 \
  __device__ __forceinline__ void mma_##a_type##_##b_type(                           \
      std::int32_t(&c)[4], const std::uint32_t(&a)[4], const std::uint32_t(&b)[2]) { \
    asm("mma.sync.aligned.m16n8k32.row.col.s32." #a_type "." #b_type                 \
        ".s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"       \
        : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])                             \
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));         \
  }
LOCKSTEP_MMA(s8, s8)
LOCKSTEP_MMA(s8, u8)
LOCKSTEP_MMA(u8, s8)
LOCKSTEP_MMA(u8, u8)
#undef LOCKSTEP_MMA

template <typename T>
__device__ __forceinline__ T shuffle_xor(T value, unsigned lane_mask) {
  return __shfl_xor_sync(0xFFFFFFFFU, value, static_cast<int>(lane_mask));
}
__device__ __forceinline__ unsigned ballot(bool value) {
  return __ballot_sync(0xFFFFFFFFU, value ? 1 : 0);
}

__device__ __forceinline__ std::uint8_t* dynamic_shared() {
  extern __shared__ uint4 lockstep_dynamic_shared[];
  return reinterpret_cast<std::uint8_t*>(lockstep_dynamic_shared);
}

// cp.async; 16 bytes go around the first-level cache.
template <int kBytes>
__device__ __forceinline__ void copy_async(void* shared, const void* global) {
  const auto target = static_cast<std::uint32_t>(__cvta_generic_to_shared(shared));
  if constexpr (kBytes == 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(target), "l"(global) : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2;" ::"r"(target), "l"(global), "n"(kBytes)
                 : "memory");
  }
}
__device__ __forceinline__ void commit_copies() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
template <int kNewestLeft>
__device__ __forceinline__ void wait_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kNewestLeft) : "memory");
}

// A kernel may begin while the one before it on the stream still runs; every thread says from where
// on it needs what that one wrote (programmatic dependent launch, compute capability 9.0 on).
__device__ __forceinline__ void let_next_begin() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}
__device__ __forceinline__ void wait_for_previous() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

__device__ __forceinline__ float fused_multiply_add(float a, float b, float c) {
  return __fmaf_rn(a, b, c);
}
__device__ __forceinline__ float divide(float a, float b) { return __fdiv_rn(a, b); }
__device__ __forceinline__ float square_root(float a) { return __fsqrt_rn(a); }
__device__ __forceinline__ float round_even(float a) { return rintf(a); }
__device__ __forceinline__ float int_to_float(std::int32_t a) { return __int2float_rn(a); }
__device__ __forceinline__ std::int32_t float_to_int(float a) { return __float2int_rz(a); }
__device__ __forceinline__ std::uint32_t float_bits(float a) { return __float_as_uint(a); }
__device__ __forceinline__ float bits_float(std::uint32_t bits) { return __uint_as_float(bits); }
__device__ __forceinline__ float half_to_float(std::uint32_t half) {
  return __half2float(__ushort_as_half(static_cast<unsigned short>(half)));
}
__device__ __forceinline__ std::uint32_t byte_permute(std::uint32_t a, std::uint32_t b,
                                                      std::uint32_t selector) {
  return __byte_perm(a, b, selector);
}
__device__ __forceinline__ std::uint32_t atomic_min(std::uint32_t* target, std::uint32_t value) {
  return atomicMin(target, value);
}

struct LaunchShape {
  dim3 grid;
  dim3 block;
  std::size_t shared_bytes = 0;
};

inline Error can_begin_early(bool* can) {
  int device = 0;
  int major = 0;
  Error error = cudaGetDevice(&device);
  if (error == cudaSuccess) {
    error = cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
  }
  *can = major >= 9;
  return error;
}

// Enqueues kernel(args...), which must call wait_for_previous(), and returns launch errors; what
// goes wrong inside shows when the stream is next waited for.
template <typename... Parameters, typename... Arguments>
Error launch(void (*kernel)(Parameters...), const LaunchShape& shape, Stream stream,
             const Arguments&... arguments) {
  constexpr std::size_t kAlwaysThere = 48 * 1024;  // More has to be asked for, kernel by kernel.
  if (shape.shared_bytes > kAlwaysThere) {
    const cudaError_t raised = cudaFuncSetAttribute(
        kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shape.shared_bytes));
    if (raised != cudaSuccess) return raised;
  }
  cudaLaunchConfig_t config{};
  config.gridDim = shape.grid;
  config.blockDim = shape.block;
  config.dynamicSmemBytes = shape.shared_bytes;
  config.stream = stream;
  cudaLaunchAttribute early{};
  early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  early.val.programmaticStreamSerializationAllowed = 1;
  bool can = false;
  if (const Error error = can_begin_early(&can); error != cudaSuccess) return error;
  config.attrs = &early;
  config.numAttrs = can ? 1 : 0;
  return cudaLaunchKernelEx(&config, kernel, Parameters(arguments)...);
}

}  // namespace lockstep::cuda
