// Ranks as threads: a SharedGroup over memory of this process.
#include <sys/mman.h>

#include "base/check.h"
#include "worker/communicator.h"
#include "worker/shared_group.h"

namespace lockstep {
namespace {

class LocalCommunicator final : public Communicator {
 public:
  explicit LocalCommunicator(SharedGroup group) : group_(std::move(group)) {}

  int rank() const override { return group_.rank(); }
  int world_size() const override { return group_.world_size(); }
  Status fold_segments(const SegmentFold& fold) override { return group_.fold_segments(fold); }
  Status gather(std::span<const float> mine, std::span<const std::size_t> counts,
                std::span<float> all, int root) override {
    return group_.gather(mine, counts, all, root);
  }
  Status broadcast(Bytes& bytes) override { return group_.broadcast(bytes); }
  void abort(const std::string& /*reason*/) override { group_.abort(); }

 private:
  SharedGroup group_;
};

}  // namespace

std::vector<std::unique_ptr<Communicator>> make_local_group(int world_size, bool exclusive) {
  CHECK(world_size >= 1, "a group needs a rank");
  const std::size_t bytes = SharedGroup::region_bytes(world_size);
  void* region = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  CHECK(region != MAP_FAILED, "no address space for a group of ranks");
  const std::shared_ptr<void> owner(region, [bytes](void* p) { ::munmap(p, bytes); });
  SharedGroup::initialize(region);
  std::vector<std::unique_ptr<Communicator>> group;
  for (int rank = 0; rank < world_size; ++rank) {
    SharedGroup shared(region, rank, world_size, owner);
    shared.set_exclusive(exclusive);
    group.push_back(std::make_unique<LocalCommunicator>(std::move(shared)));
  }
  return group;
}

}  // namespace lockstep
