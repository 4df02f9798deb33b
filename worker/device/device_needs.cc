#include "worker/device/device_needs.h"

#include "worker/device/device_memory.h"
#include "worker/device/nccl_exchange.h"
#include "worker/gib.h"

namespace lockstep {

StepLimits limits_of(const RunnerConfig& config, const DeviceShapes& shapes) {
  StepLimits limits{config.max_step_tokens, config.context_tokens, config.num_blocks};
  if (config.exchange != nullptr) {
    limits.gathered =
        nccl_room(config.max_step_tokens, shapes.padded_dim(), config.segments_of_rank);
  }
  return limits;
}

Status check_device_memory(const Manifest& manifest, Range run, const RunnerConfig& config,
                           int sharers) {
  const cuda::DeviceTable& device = *config.device.table;
  cuda::DeviceProperties properties{};
  LOCKSTEP_TRY(device_status(device, device.runtime.properties(config.device.index, &properties),
                             "ask for free memory"),
               "device " + std::to_string(config.device.index));
  const DeviceShapes shapes = device_shapes(manifest, run);
  const DeviceNeeds needs = device_needs(shapes, limits_of(config, shapes));
  const std::uint64_t share = properties.free_bytes / static_cast<std::uint64_t>(sharers);
  if (needs.total() <= share) return {};
  return Error{ErrorCode::kExhausted,
               "device " + std::to_string(config.device.index) + " (" + properties.name +
                   "): the rank needs " + gib(needs.total()) + " (weights " + gib(needs.weights) +
                   ", KV cache of " + std::to_string(config.num_blocks) + " blocks " +
                   gib(needs.cache) + ", workspace " + gib(needs.workspace) + ") and may use " +
                   gib(share) + "; ask for a smaller --ctx-size, or for more ranks and devices"};
}

}  // namespace lockstep
