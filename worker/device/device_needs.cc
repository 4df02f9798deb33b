#include "worker/device/device_needs.h"

#include "worker/device/device_memory.h"
#include "worker/device/device_shapes.h"
#include "worker/gib.h"

namespace lockstep {

Status check_device_memory(const Manifest& manifest, Range run, const RunnerConfig& config,
                           int sharers) {
  const cuda::DeviceTable& device = *config.device.table;
  cuda::DeviceProperties properties{};
  LOCKSTEP_TRY(device_status(device, device.runtime.properties(config.device.index, &properties),
                             "ask for free memory"),
               "device " + std::to_string(config.device.index));
  const DeviceShapes shapes = device_shapes(manifest, run);
  const DeviceNeeds needs =
      device_needs(shapes, {config.max_step_tokens, config.context_tokens, config.num_blocks});
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
