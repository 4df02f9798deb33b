// What kernels and launchers are written in: CUDA C++ and, through functions of ours, the few
// instructions that it has no name for. The same sources are compiled by nvcc for a device and by a
// C++ compiler for the emulator; this is the only place that knows which.
#pragma once

#if defined(__CUDACC__)
#include "kernels/cuda/device_cuda.cuh"
#else
#include "kernels/cuda/emulator/device_emulated.h"
#endif
