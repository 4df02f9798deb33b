// A state store in a folder of its own, and its calls as blocking ones.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "scheduler/gateway/store/state_store.h"
#include "tests/support/scratch_directory.h"

namespace lockstep {

// Time passes when the test says so; the monotonic clock is the real one.
class SetClock final : public Clock {
 public:
  std::int64_t monotonic_ns() const override { return system_clock().monotonic_ns(); }
  std::int64_t unix_ms() const override { return seconds_ * 1000; }
  void set_seconds(std::int64_t seconds) { seconds_ = seconds; }

 private:
  std::atomic<std::int64_t> seconds_ = 1000;
};

// What a call that takes a callback last gives it.
template <typename T, typename Call>
T wait_for(Call call) {
  auto promise = std::make_shared<std::promise<T>>();
  std::future<T> future = promise->get_future();
  call([promise](T value) { promise->set_value(std::move(value)); });
  return future.get();
}

inline Status commit(StateStore& store, std::vector<StoreWrite> writes) {
  return wait_for<Status>(
      [&](auto done) { store.jobs().commit(std::move(writes), std::move(done)); });
}

inline Result<StoredJob> load(StateStore& store, RequestId id, const std::string& tenant = "") {
  return wait_for<Result<StoredJob>>(
      [&](auto done) { store.jobs().load(tenant, id, std::move(done)); });
}

inline std::vector<WaitingJob> load_waiting(StateStore& store) {
  Result<std::vector<WaitingJob>> jobs = wait_for<Result<std::vector<WaitingJob>>>(
      [&](auto done) { store.jobs().load_waiting(std::move(done)); });
  EXPECT_TRUE(jobs.ok()) << jobs.error().message;
  return jobs.ok() ? jobs.value() : std::vector<WaitingJob>{};
}

// An id whose time is `ms` and whose tail is `number`.
inline RequestId test_id(std::uint32_t number, std::int64_t ms = 1'000'000) {
  RequestId id;
  for (std::size_t i = 0; i < 6; ++i) id.bytes[i] = static_cast<std::uint8_t>(ms >> (40 - 8 * i));
  for (std::size_t i = 0; i < 4; ++i) {
    id.bytes[12 + i] = static_cast<std::uint8_t>(number >> (24 - 8 * i));
  }
  return id;
}

inline JobRecord test_job(std::uint32_t number) {
  JobRecord job;
  job.id = test_id(number);
  job.tenant = "alice";
  job.route = "/v1/completions";
  job.request_json = R"({"prompt":"Once upon a time"})";
  job.prompt = {1, 2, 3, number};
  job.created_ms = 1'000'000;
  return job;
}

inline CompletionToken test_token(std::uint32_t number) {
  CompletionToken token;
  token.token = number;
  token.logits_digest.bytes[0] = static_cast<std::uint8_t>(number + 1);
  return token;
}

inline std::vector<CompletionToken> test_tokens(std::uint32_t first, std::uint32_t count) {
  std::vector<CompletionToken> tokens;
  for (std::uint32_t i = 0; i < count; ++i) tokens.push_back(test_token(first + i));
  return tokens;
}

class StateStoreTest : public testing::Test {
 protected:
  StateOptions options() {
    StateOptions options;
    options.directory = scratch_.file("state");
    options.reserve_bytes = 64 << 10;
    options.clock = &clock_;
    return options;
  }
  void open(StateOptions options) {
    store_.reset();
    Result<std::unique_ptr<StateStore>> store = StateStore::open(std::move(options));
    ASSERT_TRUE(store.ok()) << store.error().message;
    store_ = std::move(store).value();
  }
  void open() { open(options()); }

  ScratchDirectory scratch_;
  SetClock clock_;
  std::unique_ptr<StateStore> store_;
};

}  // namespace lockstep
