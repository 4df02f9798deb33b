#include "kernels/machine_peak.h"

#include "kernels/avx2/machine_peak.h"
#include "kernels/avx512vnni/machine_peak.h"
#include "kernels/backend.h"

namespace lockstep::kernels {

const MachinePeak* machine_peak() {
  if (find_backend("cpu:avx512vnni").ok()) return &avx512vnni::kMachinePeak;
  if (find_backend("cpu:avx2").ok()) return &avx2::kMachinePeak;
  return nullptr;
}

}  // namespace lockstep::kernels
