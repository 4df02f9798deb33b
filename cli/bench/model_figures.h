// What every bench says about model and machine, and what a token costs: the bounds of its speed.
#pragma once

#include <cstdint>
#include <string>

#include "sharding/store.h"

namespace lockstep {

struct ModelFigures {
  std::string type;          // "llama 134.5M q4_1"
  std::uint64_t bytes = 0;   // Of all tensors.
  std::uint64_t params = 0;  // Elements of matrices and vectors, a tied head once.
  // Weights that a step reads, whatever its tokens: all but an embedding that is not the head, too.
  std::uint64_t step_bytes = 0;
  std::uint64_t layer_multiply_adds = 0;  // Of one token in the layers' matrices.
  std::uint64_t head_multiply_adds = 0;   // Of one token whose logits are wanted.
};

ModelFigures figures_of(const Manifest& manifest);

std::string cpu_name();
std::string utc_now();  // "2026-11-21T06:00:00Z"

}  // namespace lockstep
