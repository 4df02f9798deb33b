#include "kernels/machine_peak.h"

#include "kernels/avx2/machine_peak.h"
#include "kernels/avx512vnni/machine_peak.h"
#include "kernels/backend.h"

namespace lockstep::kernels {

std::uint64_t add_integers(std::int64_t rounds) {
  constexpr int kSums = 4;
  std::uint64_t sums[kSums] = {};
  for (std::int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 16
    for (int i = 0; i < kAdditions; ++i) {
      std::uint64_t& sum = sums[i % kSums];
      ++sum;
      asm volatile("" : "+r"(sum));  // The compiler may not put additions together.
    }
  }
  return sums[0] + sums[1] + sums[2] + sums[3];
}

const MachinePeak* machine_peak() {
  if (find_backend("cpu:avx512vnni").ok()) return &avx512vnni::kMachinePeak;
  if (find_backend("cpu:avx2").ok()) return &avx2::kMachinePeak;
  return nullptr;
}

}  // namespace lockstep::kernels
