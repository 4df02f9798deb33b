#pragma once

#include "kernels/machine_peak.h"

namespace lockstep::kernels::avx2 {

extern const MachinePeak kMachinePeak;

}  // namespace lockstep::kernels::avx2
