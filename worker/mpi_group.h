// The ranks of one MPI world (Open MPI; started by mpirun or srun). On one node they exchange
// through shared memory, across nodes by MPI collectives; the bits are the same.
#pragma once

#include <memory>
#include <string_view>

#include "worker/communicator.h"

namespace lockstep {

enum class MpiTransport {
  kAuto,  // Shared memory when all ranks are on one node, else collectives.
  kSharedMemory,
  kCollectives,
};

// A rank among those of its node.
struct NodePlace {
  int ranks_on_node = 1;
  int local_rank = 0;  // This one among them.
  int sharers = 1;     // Ranks of the node with the same affinity mask, this one included ...
  int index = 0;       // ... and how many of them come before this one.
};

// What started this process: true when a launcher's environment says that it is a rank of an MPI
// world.
bool started_by_mpi_launcher();

// MPI_Init and MPI_Finalize of this process. One object per process, on the main thread.
class MpiSession {
 public:
  // kUnavailable when MPI cannot start, or when its world does not have the size that Slurm
  // promised.
  static Result<std::unique_ptr<MpiSession>> start();
  ~MpiSession();
  MpiSession(const MpiSession&) = delete;
  MpiSession& operator=(const MpiSession&) = delete;

  int rank() const;
  int world_size() const;
  // Where this rank is. Collective.
  NodePlace place() const;

  // The communicator of all ranks. Collective. This session must outlive it. `exclusive`: every
  // rank has its processors to itself.
  Result<std::unique_ptr<Communicator>> make_communicator(MpiTransport transport, bool exclusive);

 private:
  MpiSession() = default;
};

}  // namespace lockstep
