// Key files for replicas that others start (`serve --attach`): `replica-N.key`, mode 0600. Whoever
// starts replica N may take its key by renaming it to `replica-N.taken`, and removes it when the
// replica has ended: a key that is gone is how the gateway learns of that at once. One that is left
// where it was says nothing. A replica in a step of Slurm has the step's name, "JOB.STEP", written
// to `replica-N.step`.
#pragma once

#include <string>

#include "base/curve_key.h"
#include "base/result.h"
#include "scheduler/replica_id.h"

namespace lockstep {

// "replica-0"
std::string replica_name(ReplicaId replica);

class KeyFolder {
 public:
  explicit KeyFolder(std::string folder) : folder_(std::move(folder)) {}

  // Replaces what is there of an earlier launch; the new file appears whole.
  Status offer(ReplicaId replica, const ReplicaKeys& keys) const;

  enum class Key { kOffered, kTaken, kGone };
  Key look(ReplicaId replica) const;

  // Of the replica that took the key, "JOB.STEP"; empty: none.
  std::string step(ReplicaId replica) const;

  // The key opens nothing any more.
  void withdraw(ReplicaId replica) const;

 private:
  std::string path(ReplicaId replica, const char* ending) const;

  std::string folder_;
};

}  // namespace lockstep
