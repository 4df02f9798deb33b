// The operations that look for NaN and infinity, in the order in which they run.
#pragma once

#include <cstdint>

namespace lockstep {

enum class Operation : std::uint32_t {
  kAttentionInput,
  kKeysValues,
  kQueries,
  kAttentionOutput,
  kFfnInput,
  kFfnActivation,
  kHeadInput,  // Behind all layers.
  kCount,
};

// NonFinite::code of a value that `operation` of `layer` found: the earlier, the smaller; never 0.
constexpr std::uint32_t non_finite_code(int layer, Operation operation) {
  return 1 + static_cast<std::uint32_t>(layer) * static_cast<std::uint32_t>(Operation::kCount) +
         static_cast<std::uint32_t>(operation);
}

}  // namespace lockstep
