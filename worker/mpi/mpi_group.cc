#include "worker/mpi_group.h"

// Open MPI's C++ bindings are deprecated and do not compile cleanly.
#define OMPI_SKIP_MPICXX 1
#include <mpi.h>
#include <sched.h>

#include <algorithm>
#include <climits>
#include <cstdio>
#include <cstdlib>

#include "base/check.h"
#include "base/checked.h"
#include "base/config.h"
#include "worker/shared_group.h"

namespace lockstep {
namespace {

Status mpi_status(int code, const char* what) {
  if (code == MPI_SUCCESS) return {};
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  MPI_Error_string(code, text, &length);
  return Error{ErrorCode::kUnavailable,
               std::string(what) + ": " + std::string(text, static_cast<std::size_t>(length))};
}

[[noreturn]] void end_world(const std::string& reason) {
  std::fprintf(stderr, "lockstep: rank gives up: %s\n", reason.c_str());
  MPI_Abort(MPI_COMM_WORLD, 70);
  std::abort();  // MPI_Abort does not return.
}

int world_rank() {
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  return rank;
}

int size_of(MPI_Comm group) {
  int size = 0;
  MPI_Comm_size(group, &size);
  return size;
}

// Ranks of one node: a SharedGroup over an MPI shared-memory window.
class NodeCommunicator final : public Communicator {
 public:
  NodeCommunicator(SharedGroup group, MPI_Win window) : group_(std::move(group)), window_(window) {}
  ~NodeCommunicator() override { MPI_Win_free(&window_); }

  int rank() const override { return group_.rank(); }
  int world_size() const override { return group_.world_size(); }
  Status fold_segments(const SegmentFold& fold) override { return group_.fold_segments(fold); }
  Status gather(std::span<const float> mine, std::span<const std::size_t> counts,
                std::span<float> all, int root) override {
    return group_.gather(mine, counts, all, root);
  }
  Status broadcast(Bytes& bytes) override { return group_.broadcast(bytes); }
  void abort(const std::string& reason) override { end_world(reason); }

 private:
  SharedGroup group_;
  MPI_Win window_;
};

// Ranks anywhere: MPI collectives. Few outputs: all gather all segment sums and fold; many: each
// folds a share.
class CollectiveCommunicator final : public Communicator {
 public:
  int rank() const override { return world_rank(); }
  int world_size() const override { return size_of(MPI_COMM_WORLD); }

  Status fold_segments(const SegmentFold& fold) override {
    // MPI counts are int: long folds go in tiles.
    int segments = 0;
    for (const int owned : fold.segments_of_rank) segments += owned;
    const std::size_t tile = std::size_t{1} << 24;
    for (std::size_t begin = 0; begin < fold.count;
         begin += tile / static_cast<std::size_t>(segments)) {
      const std::size_t count =
          std::min(tile / static_cast<std::size_t>(segments), fold.count - begin);
      LOCKSTEP_TRY(count <= 4096 ? fold_all(fold, begin, count) : fold_shares(fold, begin, count),
                   "fold");
    }
    return {};
  }

  Status gather(std::span<const float> mine, std::span<const std::size_t> counts,
                std::span<float> all, int root) override {
    std::vector<int> sizes;
    std::vector<int> offsets;
    std::size_t total = 0;
    for (const std::size_t count : counts) {
      sizes.push_back(narrow<int>(count));
      offsets.push_back(narrow<int>(total));
      total += count;
    }
    const int size = narrow<int>(mine.size());
    if (root == kAllRanks) {
      return mpi_status(MPI_Allgatherv(mine.data(), size, MPI_FLOAT, all.data(), sizes.data(),
                                       offsets.data(), MPI_FLOAT, MPI_COMM_WORLD),
                        "MPI_Allgatherv");
    }
    return mpi_status(MPI_Gatherv(mine.data(), size, MPI_FLOAT, all.data(), sizes.data(),
                                  offsets.data(), MPI_FLOAT, root, MPI_COMM_WORLD),
                      "MPI_Gatherv");
  }

  Status broadcast(Bytes& bytes) override {
    std::uint64_t total = bytes.size();
    LOCKSTEP_TRY(mpi_status(MPI_Bcast(&total, 1, MPI_UINT64_T, 0, MPI_COMM_WORLD), "MPI_Bcast"),
                 "broadcast");
    bytes.resize(total);
    return mpi_status(MPI_Bcast(bytes.data(), narrow<int>(total), MPI_BYTE, 0, MPI_COMM_WORLD),
                      "MPI_Bcast");
  }

  void abort(const std::string& reason) override { end_world(reason); }

 private:
  // Left fold over `segments` rows of `count` values, `stride` apart.
  static void fold_rows(const float* rows, int segments, std::size_t count, float* out) {
    std::copy_n(rows, count, out);
    for (int s = 1; s < segments; ++s) {
      const float* row = rows + static_cast<std::size_t>(s) * count;
      for (std::size_t i = 0; i < count; ++i) out[i] = out[i] + row[i];
    }
  }

  Status fold_all(const SegmentFold& fold, std::size_t begin, std::size_t count) {
    const int owned = fold.segments_of_rank[static_cast<std::size_t>(rank())];
    send_.resize(static_cast<std::size_t>(owned) * count);
    for (std::size_t s = 0; s < static_cast<std::size_t>(owned); ++s) {
      std::copy_n(fold.sums + s * fold.count + begin, count, send_.data() + s * count);
    }
    std::vector<int> sizes;
    std::vector<int> offsets;
    int segments = 0;
    for (const int of_rank : fold.segments_of_rank) {
      sizes.push_back(narrow<int>(static_cast<std::size_t>(of_rank) * count));
      offsets.push_back(narrow<int>(static_cast<std::size_t>(segments) * count));
      segments += of_rank;
    }
    receive_.resize(static_cast<std::size_t>(segments) * count);
    LOCKSTEP_TRY(mpi_status(MPI_Allgatherv(send_.data(), narrow<int>(send_.size()), MPI_FLOAT,
                                           receive_.data(), sizes.data(), offsets.data(), MPI_FLOAT,
                                           MPI_COMM_WORLD),
                            "MPI_Allgatherv"),
                 "segment sums");
    fold_rows(receive_.data(), segments, count, fold.folded + begin);
    return {};
  }

  Status fold_shares(const SegmentFold& fold, std::size_t begin, std::size_t count) {
    const auto members = static_cast<std::size_t>(world_size());
    const auto bound = [&](std::size_t r) { return count * r / members; };
    const auto self = static_cast<std::size_t>(rank());
    const auto owned = static_cast<std::size_t>(fold.segments_of_rank[self]);
    const std::size_t share = bound(self + 1) - bound(self);

    std::vector<int> send_sizes, send_offsets, receive_sizes, receive_offsets, share_sizes,
        share_offsets;
    send_.clear();
    std::size_t segments = 0;
    for (std::size_t r = 0; r < members; ++r) {
      const std::size_t width = bound(r + 1) - bound(r);
      send_offsets.push_back(narrow<int>(send_.size()));
      for (std::size_t s = 0; s < owned; ++s) {
        const float* from = fold.sums + s * fold.count + begin + bound(r);
        send_.insert(send_.end(), from, from + width);
      }
      send_sizes.push_back(narrow<int>(owned * width));
      const auto theirs = static_cast<std::size_t>(fold.segments_of_rank[r]);
      receive_sizes.push_back(narrow<int>(theirs * share));
      receive_offsets.push_back(narrow<int>(segments * share));
      segments += theirs;
      share_sizes.push_back(narrow<int>(width));
      share_offsets.push_back(narrow<int>(bound(r)));
    }
    receive_.resize(segments * share);
    LOCKSTEP_TRY(mpi_status(MPI_Alltoallv(send_.data(), send_sizes.data(), send_offsets.data(),
                                          MPI_FLOAT, receive_.data(), receive_sizes.data(),
                                          receive_offsets.data(), MPI_FLOAT, MPI_COMM_WORLD),
                            "MPI_Alltoallv"),
                 "segment sums");
    send_.resize(share);
    fold_rows(receive_.data(), narrow<int>(segments), share, send_.data());
    return mpi_status(
        MPI_Allgatherv(send_.data(), narrow<int>(share), MPI_FLOAT, fold.folded + begin,
                       share_sizes.data(), share_offsets.data(), MPI_FLOAT, MPI_COMM_WORLD),
        "MPI_Allgatherv");
  }

  std::vector<float> send_;
  std::vector<float> receive_;
};

MPI_Comm node_group() {
  MPI_Comm node = MPI_COMM_NULL;
  MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
  return node;
}

Result<std::unique_ptr<Communicator>> make_node_communicator(bool exclusive) {
  MPI_Comm node = node_group();
  const int world_size = size_of(MPI_COMM_WORLD);
  if (size_of(node) != world_size) {
    MPI_Comm_free(&node);
    return Error{ErrorCode::kInvalidArgument,
                 "the ranks are on several nodes, which share no memory"};
  }
  const int rank = world_rank();
  const std::size_t bytes = rank == 0 ? SharedGroup::region_bytes(world_size) + 64 : 0;
  void* mine = nullptr;
  MPI_Win window = MPI_WIN_NULL;
  const Status allocated = mpi_status(
      MPI_Win_allocate_shared(static_cast<MPI_Aint>(bytes), 1, MPI_INFO_NULL, node, &mine, &window),
      "MPI_Win_allocate_shared");
  MPI_Comm_free(&node);
  LOCKSTEP_TRY(allocated, "shared memory of the ranks");
  MPI_Aint size = 0;
  int unit = 0;
  void* base = nullptr;
  MPI_Win_shared_query(window, 0, &size, &unit, &base);
  const auto address = reinterpret_cast<std::uintptr_t>(base);
  // Page offsets are the same in every process, so all round up alike.
  void* region = static_cast<std::uint8_t*>(base) + (64 - address % 64) % 64;
  if (rank == 0) SharedGroup::initialize(region);
  MPI_Barrier(MPI_COMM_WORLD);
  SharedGroup shared(region, rank, world_size, nullptr);
  shared.set_exclusive(exclusive);
  return std::unique_ptr<Communicator>(
      std::make_unique<NodeCommunicator>(std::move(shared), window));
}

}  // namespace

bool started_by_mpi_launcher() {
  return environment_variable("OMPI_COMM_WORLD_SIZE").has_value() ||
         environment_variable("PMIX_RANK").has_value() ||
         environment_variable("PMI_RANK").has_value();
}

Result<std::unique_ptr<MpiSession>> MpiSession::start() {
  int provided = 0;
  LOCKSTEP_TRY(mpi_status(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided),
                          "MPI_Init_thread"),
               "start MPI");
  std::unique_ptr<MpiSession> session(new MpiSession);
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  const auto promised = environment_variable("SLURM_NTASKS");
  const bool in_step = environment_variable("SLURM_STEP_ID").has_value() &&
                       !environment_variable("OMPI_COMM_WORLD_SIZE").has_value();
  if (promised && in_step && *promised != std::to_string(session->world_size())) {
    return Error{ErrorCode::kUnavailable,
                 "the MPI world has " + std::to_string(session->world_size()) +
                     " ranks, Slurm started " + *promised + " tasks; use srun --mpi=pmix"};
  }
  return session;
}

MpiSession::~MpiSession() { MPI_Finalize(); }

int MpiSession::rank() const { return world_rank(); }
int MpiSession::world_size() const { return size_of(MPI_COMM_WORLD); }

NodePlace MpiSession::place() const {
  MPI_Comm node = node_group();
  NodePlace place;
  place.ranks_on_node = size_of(node);
  int self = 0;
  MPI_Comm_rank(node, &self);
  place.local_rank = self;
  cpu_set_t mine;
  CPU_ZERO(&mine);
  (void)::sched_getaffinity(0, sizeof mine, &mine);
  std::vector<cpu_set_t> masks(static_cast<std::size_t>(place.ranks_on_node));
  MPI_Allgather(&mine, sizeof mine, MPI_BYTE, masks.data(), sizeof mine, MPI_BYTE, node);
  MPI_Comm_free(&node);
  place.sharers = 0;
  for (int r = 0; r < place.ranks_on_node; ++r) {
    if (!CPU_EQUAL(&mine, &masks[static_cast<std::size_t>(r)])) continue;
    ++place.sharers;
    if (r < self) ++place.index;
  }
  return place;
}

Result<std::unique_ptr<Communicator>> MpiSession::make_communicator(MpiTransport transport,
                                                                    bool exclusive) {
  // Every rank must choose alike: all on one node, or not.
  MPI_Comm node = node_group();
  int one_node = size_of(node) == world_size() ? 1 : 0;
  MPI_Comm_free(&node);
  MPI_Allreduce(MPI_IN_PLACE, &one_node, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
  if (transport == MpiTransport::kSharedMemory ||
      (transport == MpiTransport::kAuto && one_node == 1)) {
    return make_node_communicator(exclusive);
  }
  return std::unique_ptr<Communicator>(std::make_unique<CollectiveCommunicator>());
}

}  // namespace lockstep
