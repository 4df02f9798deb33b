// A library with NCCL's names, for ranks that are threads of one process and "devices" whose memory
// is the host's. A group of messages ends at once and is in progress until every message has come:
// as of a communicator that does not block. Faults are set by fake_nccl_fault.
#include <algorithm>
#include <cstddef>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace {

constexpr int kSuccess = 0;
constexpr int kInvalidUsage = 5;
constexpr int kRemoteError = 6;
constexpr int kInProgress = 7;
constexpr int kFloat = 7;

struct World {
  int size = 0;
  int joined = 0;
  bool aborted = false;
  std::map<std::pair<int, int>, std::deque<std::vector<float>>> under_way;  // (from, to)
};

struct Message {
  struct Comm* comm;
  bool sends;
  const float* from;
  float* to;
  std::size_t count;
  int peer;
};

struct Comm {
  std::shared_ptr<World> world;
  int rank;
  std::deque<Message> expected;
};

struct Id {
  char bytes[128];
};

std::mutex mutex;
std::map<int, std::shared_ptr<World>> worlds;
int next_world = 0;
std::string fault;  // "", "begin" or "remote"
long messages = 0;
thread_local std::vector<Message> group;
thread_local int depth = 0;

// What has come for `comm`; the caller holds the mutex.
int progress(Comm& comm) {
  if (comm.world->aborted || fault == "remote") return kRemoteError;
  if (comm.world->joined < comm.world->size) return kInProgress;
  while (!comm.expected.empty()) {
    const Message& next = comm.expected.front();
    auto& queue = comm.world->under_way[{next.peer, comm.rank}];
    if (queue.empty()) return kInProgress;
    if (queue.front().size() != next.count) return kInvalidUsage;
    std::copy(queue.front().begin(), queue.front().end(), next.to);
    queue.pop_front();
    comm.expected.pop_front();
  }
  return kSuccess;
}

int enqueue(const Message& message) {
  if (depth == 0) return kInvalidUsage;  // Nobody here sends a message alone.
  group.push_back(message);
  return kSuccess;
}

}  // namespace

extern "C" {

void fake_nccl_fault(const char* what) {
  const std::lock_guard lock(mutex);
  fault = what;
}
long fake_nccl_messages() {
  const std::lock_guard lock(mutex);
  return messages;
}

int ncclGetVersion(int* version) {
  *version = 22809;
  return kSuccess;
}
const char* ncclGetErrorString(int result) {
  return result == kRemoteError ? "remote process exited or there was a network error"
                                : "invalid usage";
}
int ncclGetUniqueId(Id* id) {
  const std::lock_guard lock(mutex);
  std::memset(id, 0, sizeof *id);
  std::memcpy(id->bytes, &next_world, sizeof next_world);
  worlds[next_world++] = std::make_shared<World>();
  return kSuccess;
}
int ncclCommInitRankConfig(void** comm, int size, Id id, int rank, void* /*settings*/) {
  const std::lock_guard lock(mutex);
  int number = 0;
  std::memcpy(&number, id.bytes, sizeof number);
  if (fault == "begin") return kInvalidUsage;
  const auto& world = worlds.at(number);
  world->size = size;
  ++world->joined;
  *comm = new Comm{world, rank, {}};
  return kInProgress;
}
int ncclCommGetAsyncError(void* comm, int* result) {
  const std::lock_guard lock(mutex);
  *result = progress(*static_cast<Comm*>(comm));
  return kSuccess;
}
int ncclCommAbort(void* comm) {
  const std::lock_guard lock(mutex);
  auto* mine = static_cast<Comm*>(comm);
  mine->world->aborted = true;
  delete mine;
  return kSuccess;
}

int ncclGroupStart() {
  ++depth;
  return kSuccess;
}
int ncclGroupEnd() {
  const std::lock_guard lock(mutex);
  --depth;
  for (const Message& message : group) {
    Comm& comm = *message.comm;
    if (!message.sends) {
      comm.expected.push_back(message);
    } else {
      ++messages;
      comm.world->under_way[{comm.rank, message.peer}].emplace_back(message.from,
                                                                    message.from + message.count);
    }
  }
  group.clear();
  return kInProgress;
}
int ncclSend(const void* data, std::size_t count, int type, int peer, void* comm,
             void* /*stream*/) {
  if (type != kFloat) return kInvalidUsage;
  return enqueue(
      {static_cast<Comm*>(comm), true, static_cast<const float*>(data), nullptr, count, peer});
}
int ncclRecv(void* data, std::size_t count, int type, int peer, void* comm, void* /*stream*/) {
  if (type != kFloat) return kInvalidUsage;
  return enqueue(
      {static_cast<Comm*>(comm), false, nullptr, static_cast<float*>(data), count, peer});
}

}  // extern "C"
