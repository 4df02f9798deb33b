// The gateway behind its interfaces: carries out what the dispatcher decides, keeps the feeds of
// answers, and answers for idempotency keys. It knows the store, the transport and the launcher as
// functions alone, so that a simulation can stand in for them.
//
// One thread calls it (the router's); callbacks of the store are brought there by `post`.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/request_id.h"
#include "scheduler/dispatcher.h"
#include "scheduler/gateway/api_backend.h"
#include "scheduler/gateway/feed.h"
#include "scheduler/job_store.h"

namespace lockstep {

struct ServicePorts {
  JobStore* store = nullptr;
  std::function<Now()> now;
  // Runs a function on the service's thread, soon.
  std::function<void(std::function<void()>)> post;
  // A message that cannot be sent is lost; its number tells.
  std::function<void(ReplicaId, const ToReplica&)> send;
  // Ends a generation: the key is refused, the processes are killed and, unless the gateway stops,
  // started again.
  std::function<void(ReplicaId, std::uint64_t epoch, const std::string& reason)> fence;
  // A job's terminal row is on disk. May be empty.
  std::function<void(RequestId, JobState)> ended;
  // The gateway's process is to end: drained (ok), or because the store cannot be trusted.
  std::function<void(const Status&)> stop;
};

class GatewayService {
 public:
  // What the ports point to must outlive the service; `random` too.
  GatewayService(const DispatcherConfig& config, ServicePorts ports, Random& random);

  // Takes up what was accepted before; `ready` when everything is in the queue.
  void recover(std::function<void(Status)> ready);

  // As in ApiBackend. The job's id, model and time are set here; cancel() answers when the terminal
  // row is on disk.
  void submit(JobRecord job, std::function<void(Result<Accepted>)> done);
  // Lines of a batch, which have their ids, in one commit with `with`; `done` when they are on
  // disk.
  void submit_lines(std::vector<JobRecord> lines, std::vector<StoreWrite> with,
                    const std::function<void(Status)>& done);
  void cancel_lines(const std::vector<RequestId>& lines);
  void find(const std::string& tenant, RequestId id,
            std::function<void(Result<std::shared_ptr<JobFeed>>)> done);
  void cancel(const std::string& tenant, RequestId id, std::function<void(Status)> done);
  void watch(RequestId id, int change);

  void replica_message(ReplicaId replica, const ToGateway& message);
  void replica_lost(ReplicaId replica, const std::string& reason);
  void drain(std::int64_t patience_ms);
  void tick();

  const Dispatcher& dispatcher() const { return dispatcher_; }

 private:
  using FoundCallback = std::function<void(Result<std::shared_ptr<JobFeed>>)>;
  struct Pending {
    std::shared_ptr<const JobRecord> record;
    std::function<void(Result<Accepted>)> done;
  };

  void run_effects();
  void carry_out(const StoreEffect& effect);
  void carry_out(const LoadEffect& effect);
  void carry_out(const SendEffect& effect);
  void carry_out(const FenceEffect& effect);
  void carry_out(const AcceptEffect& effect);
  void carry_out(const TokensEffect& effect);
  void carry_out(const ChoiceEndEffect& effect);
  void carry_out(const EndEffect& effect);
  void carry_out(const StopEffect& effect);
  void answer_cancels(RequestId id, const Status& status);
  void replay(Pending pending);
  std::shared_ptr<Feed> feed_of(RequestId id);
  void found_on_disk(Result<StoredJob> job, const FoundCallback& done);

  Dispatcher dispatcher_;
  ServicePorts ports_;
  RequestIdSource ids_;
  Digest model_id_;
  std::uint32_t numerics_version_;
  std::unordered_map<RequestId, Pending> pending_;
  std::unordered_map<RequestId, std::weak_ptr<Feed>> feeds_;  // Of jobs that have not ended.
  std::unordered_map<RequestId, std::vector<std::function<void(Status)>>> cancelling_;
};

}  // namespace lockstep
