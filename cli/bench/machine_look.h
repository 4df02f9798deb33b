// Whether the processors are free at this moment: what each gets done in a few hundredths of a
// second. A neighbour on the same core, or a host that gives time to others, shows at once.
#pragma once

#include "base/result.h"
#include "kernels/machine_peak.h"

namespace lockstep {

// Measures all processors of the affinity mask together and prints; gives the exit status.
Result<int> run_look(const kernels::MachinePeak& peak, bool json);

}  // namespace lockstep
