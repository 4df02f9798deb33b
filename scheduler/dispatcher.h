// The gateway's decisions: which accepted job runs on which replica, what is put on disk when, and
// what follows when a replica dies, hangs or speaks out of turn. Pure: no clock, thread, socket,
// disk or random source. Time comes in with every call, everything to be done comes out as effects,
// in the order in which they must begin.
//
// Guarantees: a job is accepted only after its row is on disk, ends only after its terminal row is,
// and every token of every choice is handed out once, in order, whatever happens to replicas.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/wire.h"
#include "scheduler/fair_queue.h"
#include "scheduler/job.h"
#include "scheduler/job_store.h"
#include "scheduler/prefix_affinity.h"
#include "scheduler/replica_id.h"

namespace lockstep {

struct DispatcherConfig {
  Digest model_id;
  std::uint32_t numerics_version = 0;
  std::uint64_t gateway_epoch = 0;  // Greater than that of any gateway before on this state.

  std::int64_t lease_ms = 10'000;          // A replica that hears nothing for this long exits.
  std::int64_t beat_ms = 500;              // Between two leases, and between two beats.
  std::int64_t beat_timeout_ms = 4'000;    // Without a word for this long a replica is fenced.
  std::int64_t stall_ms = 3'500;           // A step that nobody works on for longer hangs,
  std::int64_t step_deadline_ms = 60'000;  // ... and one that runs longer.
  std::int64_t checkpoint_ms = 250;        // Tokens wait at most this long for the disk,
  std::uint32_t checkpoint_tokens = 64;    // ... or until a choice has this many.
  std::int64_t client_grace_ms = 30'000;   // A client that left is given this long to come back.
  std::int64_t age_after_ms = 30'000;      // What waits rises by a class each time.
  std::int64_t retry_store_ms = 1'000;     // Between two tries to write when the disk is full.

  std::size_t max_jobs = 250'000;   // Accepted and not ended.
  std::size_t max_loaded = 4'096;   // Jobs that wait with their prompts in memory.
  std::uint32_t max_attempts = 32;  // A choice that lost so many replicas fails.
};

// Monotonic for intervals, Unix time for what lasts.
struct Now {
  std::int64_t mono_ms = 0;
  std::int64_t unix_ms = 0;
};

// ---- Effects.

struct StoreEffect {
  std::uint64_t ticket = 0;  // For stored().
  std::vector<StoreWrite> writes;
};
struct LoadEffect {
  RequestId id;
};
struct SendEffect {
  ReplicaId replica{};
  ToReplica message;
};
// This generation of the replica is over: drop its key, kill its processes, start it again.
struct FenceEffect {
  ReplicaId replica{};
  std::uint64_t epoch = 0;
  std::string reason;
};
// A job that was submitted is on disk, or is not and will not be.
struct AcceptEffect {
  RequestId id;
  Status status;
};
struct TokensEffect {
  ChoiceKey key;
  std::uint32_t first = 0;
  std::vector<CompletionToken> tokens;
};
struct ChoiceEndEffect {
  ChoiceKey key;
  ChoiceEnd end;
};
// The terminal row is on disk.
struct EndEffect {
  RequestId id;
  JobOutcome outcome;
};
// The disk lost a write that it had promised, or every replica has let go after a drain: stop.
struct StopEffect {
  Status status;  // Ok: drained.
};

using Effect = std::variant<StoreEffect, LoadEffect, SendEffect, FenceEffect, AcceptEffect,
                            TokensEffect, ChoiceEndEffect, EndEffect, StopEffect>;

enum class ReplicaState : std::uint8_t { kAbsent, kReady, kDraining };

class Dispatcher {
 public:
  explicit Dispatcher(const DispatcherConfig& config);
  ~Dispatcher();

  // ---- What happens. Each may give effects.

  // A new job; AcceptEffect follows when its row is on disk or why not.
  void submit(Now now, JobRecord record);
  // New jobs in one commit with `with`: all or none. An AcceptEffect follows for each, in order.
  void submit_all(Now now, std::vector<JobRecord> records, std::vector<StoreWrite> with);
  // After a restart: the jobs that were accepted and have not ended. Requires: no job is known yet.
  void recover(Now now, const std::vector<WaitingJob>& waiting);
  // The answer to a LoadEffect.
  void loaded(Now now, RequestId id, Result<StoredJob> job);
  // The answer to a StoreEffect.
  void stored(Now now, std::uint64_t ticket, const Status& status);
  // Ends a job now; unknown and ended ones are ignored.
  void cancel(Now now, RequestId id);
  // A client's connection to a job opened (+1) or closed (-1).
  void watch(Now now, RequestId id, int change);
  // What a replica says, in the order in which it said it.
  void message(Now now, ReplicaId id, const ToGateway& message);
  // The replica's processes are gone, or its connection was refused.
  void replica_lost(Now now, ReplicaId id, const std::string& reason);
  // Nothing new is accepted or assigned from now on. What runs goes on for at most `patience_ms`,
  // then stays on disk as it is; StopEffect when nothing runs.
  void drain(Now now, std::int64_t patience_ms);
  // Call at least every 50 ms: deadlines, leases, checkpoints.
  void tick(Now now);

  // The effects since the last call.
  std::vector<Effect> take_effects();

  // ---- What is.

  struct Counts {
    std::uint64_t accepted = 0, done = 0, failed = 0, cancelled = 0, expired = 0;
    std::uint64_t moved = 0;     // Choices that went on elsewhere with tokens in hand.
    std::uint64_t requeued = 0;  // Choices that were taken back from a replica.
    std::uint64_t recalled = 0;  // Choices that made room for a higher class.
    std::uint64_t fenced = 0;    // Generations that ended.
    std::uint64_t stale = 0;     // Messages of ended generations or attempts.
    std::uint64_t prompt_tokens = 0, completion_tokens = 0;
    std::uint64_t checkpoints = 0;
  };
  struct ReplicaView {
    ReplicaId id{};
    ReplicaState state = ReplicaState::kAbsent;
    std::uint64_t epoch = 0;
    std::uint32_t assigned = 0;
    std::int64_t last_heard_ms = 0;
    HelloMessage hello;
    BeatMessage beat;
  };
  const Counts& counts() const { return counts_; }
  std::size_t num_jobs() const { return jobs_.size(); }
  std::size_t num_queued() const;   // Choices that wait.
  std::size_t num_running() const;  // Choices on replicas.
  bool any_ready() const;
  // Nothing: it was never heard.
  std::optional<ReplicaView> replica(ReplicaId id) const;
  // What is known of a job that has not ended; nullptr for an unknown one. Tokens are complete only
  // if `loaded`.
  struct JobView {
    std::shared_ptr<const JobRecord> record;  // Null when it was not loaded since a restart.
    std::vector<ChoiceRecord> choices;
  };
  std::optional<JobView> find(RequestId id) const;
  // The job has not ended and is this tenant's.
  bool holds(const std::string& tenant, RequestId id) const;

 private:
  using ReplicaOrder = decltype(ToReplica::body);
  struct Choice;
  struct Job;
  struct Replica;
  struct Commit;

  void emit(Effect effect) { effects_.push_back(std::move(effect)); }
  // dispatch/jobs.cc
  void store(std::vector<StoreWrite> writes, Commit commit);
  Status refusal(std::size_t num_jobs) const;
  template <typename Known>
  std::unique_ptr<Job> new_job(Now now, const Known& known);
  void inserted(Now now, RequestId id, const Status& status);
  void retry_tokens(Now now, const std::vector<ChoiceKey>& choices);
  void ended(Now now, RequestId id, const Status& status);
  void forget(RequestId id);
  void enqueue(Job& job, std::uint32_t choice);
  void dequeue(Choice& choice);
  void finish_choice(Now now, Job& job, std::uint32_t choice, const ChoiceEnd& end);
  void end_job(Now now, Job& job, JobOutcome outcome);
  void store_end(Job& job);
  void checkpoint(Now now, bool all);
  void append_tokens(Job& job, std::uint32_t choice, std::vector<StoreWrite>& writes);
  void watch_jobs(Now now);
  // dispatch/replicas.cc
  void assign_all(Now now);
  bool assign_next(Now now);
  Replica* choose_replica(const Job& job);
  void assign(Job& job, std::uint32_t choice, Replica& replica);
  void send(Replica& replica, ReplicaOrder body);
  void recall(ChoiceKey key);
  bool make_room(PriorityClass priority, PriorityClass lane);
  void take_back(Now now, Replica& replica, bool was_lost);
  void fence(Now now, Replica& replica, const std::string& reason);
  void hello(Now now, Replica& replica, const HelloMessage& message);
  void welcome(Now now, Replica& replica);
  Status beat(Replica& replica, const BeatMessage& message);
  Status progress(Now now, Replica& replica, const ChoiceProgress& message);
  Status take_tokens(Now now, Job& job, const ChoiceProgress& message);
  std::int64_t own_pause_ms(Now now) const;
  void watch_replicas(Now now);
  void check_drained(Now now);
  TenantId tenant_of(const std::string& name);

  DispatcherConfig config_;
  Counts counts_;
  std::vector<Effect> effects_;
  std::unordered_map<RequestId, std::unique_ptr<Job>> jobs_;
  std::map<ReplicaId, std::unique_ptr<Replica>> replicas_;
  FairQueue queue_;
  std::unordered_map<std::uint64_t, ChoiceKey> queued_;  // By the queue's item.
  std::map<std::string, TenantId> tenants_;
  std::deque<std::pair<std::uint64_t, Commit>> commits_;  // In flight, in order.
  std::set<RequestId> dirty_;                             // With tokens that no commit names.
  std::set<RequestId> left_;                              // Whose clients are away.
  std::set<RequestId> ending_;                            // Whose terminal rows did not fit.
  std::set<std::pair<std::int64_t, RequestId>> expiring_;
  PrefixAffinity affinity_;
  std::size_t num_loading_ = 0;
  std::uint64_t next_item_ = 1;
  std::uint64_t next_arrival_ = 0;
  std::uint64_t next_ticket_ = 1;
  std::uint64_t next_epoch_ = 1;
  std::int64_t last_tick_ms_ = 0;
  std::int64_t drain_until_ms_ = 0;
  bool draining_ = false;
  bool stopped_ = false;
};

}  // namespace lockstep
