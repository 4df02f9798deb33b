// Starts replicas on this machine, sees at once when one of their processes ends, and kills all of
// them together. It decides nothing: whether and when to start again is its caller's.
//
// Replicas outlive a gateway that is killed, by one lease: they are children, but nothing ends them
// with it.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/curve_key.h"
#include "base/process.h"
#include "base/wire.h"
#include "base/zmq_socket.h"
#include "scheduler/replica_id.h"

namespace lockstep {

// What to start: `PROGRAM worker --model ... --gateway ... --key-file ... OPTIONS`.
struct ReplicaCommand {
  std::string program;  // The executable `lockstep`.
  std::string model;
  std::string gateway;               // The endpoint.
  std::vector<std::string> options;  // More of `worker`'s.
  int ranks = 1;
  bool by_mpi = true;  // mpirun starts the ranks; else they are threads of one process.
  std::string mpirun = "mpirun";
  bool as_root = false;  // mpirun refuses to run as root unless it is told to.
};

// The command line, pure. `folder` takes what MPI would leave behind elsewhere.
std::vector<std::string> launch_arguments(const ReplicaCommand& command, const std::string& folder);

class ReplicaLauncher {
 public:
  // Called once for each launch or adoption, on the launcher's thread, when the first process of it
  // has ended; not for those that kill() was asked for.
  using OnDeath = std::function<void(ReplicaId, const std::string& reason)>;

  // `runtime_directory` ("/dev/shm") gets a private folder for each replica. What is there of
  // replicas that have ended is removed.
  static Result<std::unique_ptr<ReplicaLauncher>> start(std::string runtime_directory,
                                                        OnDeath on_death);
  // Lets go of what runs.
  ~ReplicaLauncher();
  ReplicaLauncher(const ReplicaLauncher&) = delete;
  ReplicaLauncher& operator=(const ReplicaLauncher&) = delete;

  // Starts a replica with its keys; a replica of this id that still runs is killed first. All
  // functions may be called from any thread, from OnDeath too.
  Status launch(ReplicaId replica, const ReplicaCommand& command, const ReplicaKeys& keys);

  // Watches the ranks that a launched replica named in its Hello. kPermission when one of them is
  // on this machine and none of its processes: a replica must not have others killed.
  Status watch(ReplicaId replica, const std::vector<RankProcess>& ranks);

  // Takes over a replica that an earlier gateway of this machine launched, by what that gateway
  // knew. kNotFound when one of its processes is gone; the rest is killed then.
  Status adopt(ReplicaId replica, const std::vector<RankProcess>& ranks);

  // SIGKILL to every process of the replica, at once; its files are removed when all have ended.
  void kill(ReplicaId replica);
  void kill_all();
  // Waits until everything that was killed has ended. False when the time is over.
  bool wait_for_killed(int timeout_ms);

 private:
  struct Replica {
    ReplicaId id{};
    ProcessHandle child;  // mpirun, or the worker itself; not of an adopted one.
    bool child_reaped = true;
    std::vector<ProcessHandle> ranks;
    std::string folder;  // Empty: none.
    bool reported = false;
    bool killed = false;
  };

  ReplicaLauncher(std::string runtime_directory, OnDeath on_death);
  void run();
  void wait();
  std::string look(Replica& replica);
  static bool all_ended(const Replica& replica);
  static void kill_processes(Replica& replica);
  Replica* find(ReplicaId replica);
  Result<std::string> make_folder(const ReplicaKeys& keys) const;
  void remove_stale_folders() const;

  const std::string runtime_directory_;
  const OnDeath on_death_;
  Wakeup wakeup_;
  std::mutex mutex_;
  std::list<Replica> replicas_;  // Those that were killed stay until they have ended.
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace lockstep
