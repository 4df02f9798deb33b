// Collectives among the ranks of one replica. One level of interface, no defaults: an operation
// that only some transports offer does not belong here. Every rank calls the same operations in the
// same order with equal shapes, from one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace lockstep {

inline constexpr int kAllRanks = -1;

// The segment sums of one matrix that is cut along K over the ranks.
struct SegmentFold {
  const float* sums;  // [segments of this rank, count]
  std::span<const int>
      segments_of_rank;  // [world_size]; sums of rank r are segments next to those of rank r - 1
  std::size_t count;     // Outputs: tokens times rows.
  float* folded;  // [count], apart from `sums`; on return, on every rank, ((p0 + p1) + p2) + ...
                  // over all segments in order
};

class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual int rank() const = 0;        // In [0, world_size()).
  virtual int world_size() const = 0;  // Ranks in the group.

  // Numerics, "Quantized linear": the left fold over all segments in order, bit for bit on every
  // rank.
  virtual Status fold_segments(const SegmentFold& fold) = 0;

  // `all` receives counts[r] values of each rank r, side by side in the order of ranks: on rank
  // `root`, or on every rank with kAllRanks. `mine` has counts[rank()] values. Elsewhere `all` is
  // not touched.
  virtual Status gather(std::span<const float> mine, std::span<const std::size_t> counts,
                        std::span<float> all, int root) = 0;

  // `bytes` of rank 0 on every rank; resized elsewhere.
  virtual Status broadcast(Bytes& bytes) = 0;

  // Gives up the group: this rank's later operations and those that others wait in fail with
  // kUnavailable. A transport that cannot unblock them (MPI) ends the process instead, with exit
  // status 70.
  virtual void abort(const std::string& reason) = 0;
};

// Every rank contributes a status; all get the same one: success, or the error of the lowest rank
// that has one, with "rank R: " in front.
Status agree(Communicator& group, const Status& mine);

// Ranks as threads of this process: one communicator per thread, over memory that they share.
// `exclusive`: every rank has its processors to itself.
std::vector<std::unique_ptr<Communicator>> make_local_group(int world_size, bool exclusive = false);

}  // namespace lockstep
