// Ranks on devices of their own, over a library with NCCL's names: the processor's answers, what
// makes them go through the host instead, and what happens when a peer is silent.
#include <dlfcn.h>

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "base/check.h"
#include "tests/worker/replica_support.h"
#include "worker/device/join_devices.h"
#include "worker/device_choice.h"

namespace lockstep {
namespace {

template <typename Function>
Function* function_of(const char* library, const char* name) {
  void* opened = ::dlopen(library, RTLD_NOW | RTLD_LOCAL);
  return reinterpret_cast<Function*>(::dlsym(opened, name));
}

void emulate_devices(int count) {
  function_of<void(int)>(LOCKSTEP_EMULATED_PLUGIN, "lockstep_emulate_devices")(count);
}
void set_fault(const char* fault) {
  function_of<void(const char*)>(LOCKSTEP_FAKE_NCCL, "fake_nccl_fault")(fault);
}
long messages() { return function_of<long()>(LOCKSTEP_FAKE_NCCL, "fake_nccl_messages")(); }

class NcclReplica : public testing::Test {
 protected:
  void SetUp() override { emulate_devices(4); }
  void TearDown() override {
    set_fault("");
    emulate_devices(1);
  }

  static ReplicaConfig with(const std::string& nccl) {
    ReplicaConfig config;
    config.device = "cuda";
    config.cuda_plugin = LOCKSTEP_EMULATED_PLUGIN;
    config.nccl = nccl;
    return config;
  }

  // Messages that went between the devices while `ranks` gave the processor's answers.
  static long answer(const ReplicaConfig& config, int ranks) {
    const std::vector<Request> requests = {request_of(70, 3, 0.9F), request_of(9, 5)};
    const long before = messages();
    const auto replica = start(plain_store(), ranks, config);
    const std::vector<ReplicaAnswer> got = answers(*replica, requests);
    for (std::size_t i = 0; i < requests.size(); ++i) {
      expect_equal(got[i], answers(*start(plain_store(), 1), {requests[i]})[0],
                   "request " + std::to_string(i));
    }
    return messages() - before;
  }
};

TEST_F(NcclReplica, GivesTheProcessorsAnswer) {
  EXPECT_GT(answer(with(LOCKSTEP_FAKE_NCCL), 2), 0);
  EXPECT_GT(answer(with(LOCKSTEP_FAKE_NCCL), 3), 0);  // Unequal numbers of segments.
}

TEST_F(NcclReplica, GoesThroughTheHostWhereItMust) {
  EXPECT_EQ(answer(with("off"), 2), 0);
  EXPECT_EQ(answer(with("/nowhere/libnccl.so.2"), 2), 0);
  set_fault("begin");
  EXPECT_EQ(answer(with(LOCKSTEP_FAKE_NCCL), 2), 0);
  set_fault("");
  emulate_devices(2);
  EXPECT_EQ(answer(with(LOCKSTEP_FAKE_NCCL), 3), 0);  // Ranks 0 and 2 share one.
}

// Rank 0 of two folds, rank 1 never comes.
class LonelyRank {
 public:
  explicit LonelyRank(std::chrono::milliseconds deadline) {
    const auto group = make_local_group(2);
    std::vector<std::thread> ranks;
    for (std::size_t r = 0; r < 2; ++r) {
      ranks.emplace_back([&, r] {
        const auto choice = choose_device("cuda", LOCKSTEP_EMULATED_PLUGIN, static_cast<int>(r));
        CHECK(choice.ok(), "the emulated device");
        joined_[r] = join_devices({choice.value().device, LOCKSTEP_FAKE_NCCL, deadline}, *group[r]);
      });
    }
    for (std::thread& rank : ranks) rank.join();
  }

  Status fold() {
    std::vector<float> sums(16), gathered(32), folded(16);
    const std::vector<int> segments = {1, 1};
    return joined_[0]->fold({sums.data(), gathered.data(), folded.data(), 1, 16, nullptr},
                            segments);
  }

 private:
  std::shared_ptr<NcclExchange> joined_[2];
};

TEST_F(NcclReplica, FailsWithItsPeer) {
  LonelyRank rank(std::chrono::seconds(30));
  set_fault("remote");
  const Status status = rank.fold();
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.error().message.find("NCCL: exchange: remote process exited"), std::string::npos)
      << status.error().message;
}

TEST_F(NcclReplica, GivesUpASilentPeerAtTheDeadline) {
  LonelyRank rank(std::chrono::milliseconds(200));
  const auto start = std::chrono::steady_clock::now();
  const Status status = rank.fold();
  const auto took = std::chrono::steady_clock::now() - start;
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kUnavailable);
  EXPECT_NE(status.error().message.find("a peer does not answer"), std::string::npos);
  EXPECT_GE(took, std::chrono::milliseconds(200));
  EXPECT_LT(took, std::chrono::seconds(2));
  EXPECT_FALSE(rank.fold().ok());  // The exchange was given up.
}

}  // namespace
}  // namespace lockstep
