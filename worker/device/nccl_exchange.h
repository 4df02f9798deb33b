// Segment sums of ranks with devices, brought together between the devices. Order is ours: NCCL
// only sends and receives, a kernel folds. Numerics, "Quantized linear".
#pragma once

#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "worker/communicator.h"
#include "worker/device/nccl_library.h"
#include "worker/model_runner.h"

namespace lockstep {

// One step's sums of one matrix, on this rank's device.
struct DeviceFold {
  const float* sums;  // [segments of this rank, tokens, stride]
  float* gathered;    // Room: nccl_room().
  float* folded;      // [tokens, stride]: the left fold over all segments of all ranks.
  int tokens;
  int stride;
  cuda::DeviceStream stream;
};

class NcclExchange {
 public:
  // Collective, among ranks on devices of their own: all get one, or all the error of the lowest
  // that has none. Waits for `deadline` at most, now and whenever it waits later. `group` is used
  // until this returns.
  static Result<std::unique_ptr<NcclExchange>> create(const std::string& library,
                                                      const DeviceTarget& device,
                                                      Communicator& group,
                                                      std::chrono::milliseconds deadline);
  ~NcclExchange();

  // Enqueues. `segments_of_rank`: [world size], as in SegmentFold. With few tokens every rank gets
  // all sums and folds them; with many it folds a share of the tokens and gets the rest.
  Status fold(const DeviceFold& fold, std::span<const int> segments_of_rank);

  // Until all that was enqueued is done. kUnavailable when a peer is gone or the deadline has
  // passed: what was under way is given up then, and so is the exchange.
  Status wait(cuda::DeviceStream stream);

  const std::string& version() const { return version_; }

 private:
  NcclExchange(const NcclLibrary& nccl, const DeviceTarget& device, Communicator& group,
               std::chrono::milliseconds deadline)
      : nccl_(nccl),
        device_(device),
        rank_(group.rank()),
        world_size_(group.world_size()),
        deadline_(deadline) {}

  Status begin(const NcclId& id);
  Status gather_all(const DeviceFold& fold, std::span<const int> segments_of_rank);
  Status fold_share(const DeviceFold& fold, std::span<const int> segments_of_rank);
  Status fold_rows(const DeviceFold& fold, int segments, int first, int count);
  // One group of messages: every call of `enqueue` is between its begin and its end.
  template <typename Enqueue>
  Status group_of(Enqueue enqueue);
  Status settled(int result, std::string_view what);  // Waits while it is in progress.
  Status give_up(std::string reason);

  NcclLibrary nccl_;
  DeviceTarget device_;
  int rank_;
  int world_size_;
  std::chrono::milliseconds deadline_;
  std::string version_;
  NcclComm comm_ = nullptr;
};

// Floats of DeviceFold::gathered for steps of at most `tokens`.
std::size_t nccl_room(int tokens, int stride, std::span<const int> segments_of_rank);

}  // namespace lockstep
