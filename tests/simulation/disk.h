// The gateway's disk: a JobStore whose rows outlive gateways. Slow, sometimes full or broken; when
// its gateway is killed, some prefix of the commits in flight has happened. It is told when to
// fail; what it holds is one half of what the checker reads.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "scheduler/job_store.h"
#include "tests/simulation/event_queue.h"
#include "tests/simulation/seeded_random.h"

namespace lockstep::simulation {

class Disk final : public JobStore {
 public:
  Disk(EventQueue& queue, SeededRandom& random) : queue_(queue), random_(random) {}

  void commit(std::vector<StoreWrite> writes, std::function<void(Status)> done) override;
  void load(std::string tenant, RequestId id, std::function<void(Result<StoredJob>)> done) override;
  void find_key(std::string tenant, std::string route, std::string key,
                std::function<void(Result<KeyHolder>)> done) override;
  void list(std::string tenant, RequestId before, std::uint32_t limit,
            std::function<void(Result<std::vector<JobSummary>>)> done) override;
  void load_waiting(std::function<void(Result<std::vector<WaitingJob>>)> done) override;

  // The gateway's process dies: nobody is told anything any more.
  void crash();
  // Of a gateway that starts.
  std::uint64_t begin_epoch() { return ++epoch_; }

  // ---- Faults.
  void set_latency_us(std::int64_t low, std::int64_t high);
  void set_full(bool full) { full_ = full; }
  // The next commit fails, and what it and those behind it have left on disk is unknown.
  void break_next_commit() { break_next_ = true; }
  // Commits that may wait.
  void set_max_queued(std::size_t count) { max_queued_ = count; }

  const std::map<RequestId, StoredJob>& rows() const { return rows_; }

 private:
  struct Operation {
    std::vector<StoreWrite> writes;
    std::function<void(Status)> done;  // Of a commit.
    std::function<void()> read;        // Of anything else.
  };
  using Key = std::tuple<std::string, std::string, std::string>;

  void enqueue(Operation operation);
  void begin();
  void end(std::uint64_t life);
  Status apply(const std::vector<StoreWrite>& writes);
  Status apply_one(const InsertJob& write);
  Status apply_one(const AppendTokens& write);
  Status apply_one(const EndChoice& write);
  Status apply_one(const EndJob& write);
  template <typename Write>
  Status apply_one(const Write&);
  void fail_all(const Status& status);

  EventQueue& queue_;
  SeededRandom& random_;
  std::map<RequestId, StoredJob> rows_;
  std::map<Key, KeyHolder> keys_;
  std::uint64_t epoch_ = 0;

  std::deque<Operation> operations_;
  std::size_t group_ = 0;   // Operations of the commit that runs.
  std::uint64_t life_ = 0;  // Ends with the gateway's.
  bool broken_ = false;     // Until the gateway starts again.
  bool full_ = false;
  bool break_next_ = false;
  std::size_t max_queued_ = 4096;
  std::int64_t latency_low_us_ = 200;
  std::int64_t latency_high_us_ = 3000;
};

}  // namespace lockstep::simulation
