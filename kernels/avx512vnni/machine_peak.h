#pragma once

#include "kernels/machine_peak.h"

namespace lockstep::kernels::avx512vnni {

extern const MachinePeak kMachinePeak;

}  // namespace lockstep::kernels::avx512vnni
