// The gateway: accepts requests over HTTP, keeps them on disk, has replicas answer them, and goes
// on whatever dies. One per state directory.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "base/result.h"

namespace lockstep {

struct GatewayConfig {
  std::string model;       // The store's folder.
  std::string model_name;  // As clients ask for it; empty: the folder's name.
  std::string state;       // The folder of accepted requests and keys; made if it is missing.

  std::string host = "127.0.0.1";  // An IP address, never a wildcard.
  std::uint16_t port = 8000;       // 0: any free one.
  bool no_auth = false;            // Everyone on this machine is tenant "local".
  bool insecure_http = false;      // Keys may cross a network in the clear.
  std::string tls_certificate;     // PEM files; empty: plain HTTP.
  std::string tls_key;
  int http_threads = 2;
  std::uint64_t file_quota_bytes = std::uint64_t{4} << 30;  // Of all files of a tenant.

  int replicas = 1;
  int ranks = 1;                            // Of each replica.
  bool by_mpi = true;                       // Ranks are processes under mpirun; else threads.
  std::uint32_t context_tokens = 0;         // Of prompt and answer; 0: the model's.
  std::string program;                      // The executable `lockstep`.
  std::vector<std::string> worker_options;  // For `lockstep worker`.
  bool attach = false;                      // Replicas are started by others, with our key files.
  std::string slurm_job;                    // Steps of it that hang are ended; empty: none.
  std::string replica_host = "127.0.0.1";   // Where leaders connect to.
  std::uint16_t replica_port = 0;           // 0: as before, at first any.

  std::int64_t step_deadline_ms = 60'000;  // A step that runs longer hangs.
  std::int64_t lease_ms = 10'000;
  std::int64_t start_timeout_ms = 120'000;  // From the start of a replica to its Hello.
  std::int64_t drain_ms = 30'000;           // For what runs, once a drain began.
};

class Gateway {
 public:
  // Blocks until requests are taken. kUnavailable: another gateway has the state directory, or an
  // address is taken. `clock` and `random` (thread-safe) must outlive it.
  static Result<std::unique_ptr<Gateway>> start(GatewayConfig config, const Clock& clock,
                                                Random& random);
  // Stops at once: what is accepted is on disk, replicas that it started are killed.
  ~Gateway();

  // "http://127.0.0.1:8000"
  std::string url() const;
  // Where replicas connect to.
  std::string replica_endpoint() const;

  // Takes nothing new, lets finish what runs (GatewayConfig::drain_ms). Any thread.
  void drain();
  // Reads the TLS files again. Any thread.
  Status reload_tls();

  // Waits until the gateway has drained, or cannot go on, at most `timeout_ms`. Nothing: not yet.
  enum class Ended : std::uint8_t { kNo, kDrained, kFailed };
  Ended wait(int timeout_ms);
  // Why it cannot go on.
  Status status() const;

 private:
  struct State;
  explicit Gateway(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace lockstep
