// The Unix socket of a state directory: whoever may enter the directory asks the gateway that runs
// on it. One order a connection, one connection at a time.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "base/file.h"
#include "base/result.h"
#include "base/zmq_socket.h"
#include "scheduler/gateway/admin/admin_order.h"

namespace lockstep {

class AdminSocket {
 public:
  // May be called from any thread, at most once.
  using Answer = std::function<void(Status)>;
  // Runs on the socket's thread; must not block.
  using Handler = std::function<void(const AdminOrder&, Answer)>;

  // Listens at `name` in `directory` (mode 0600); what is there from a gateway before is replaced.
  // Requires: the caller holds the directory's lock.
  static Result<std::unique_ptr<AdminSocket>> start(const std::string& directory,
                                                    const std::string& name, Handler handler);
  // An order under way stays without an answer. The handler is not called any more.
  ~AdminSocket();
  AdminSocket(const AdminSocket&) = delete;
  AdminSocket& operator=(const AdminSocket&) = delete;

 private:
  struct Pending;

  AdminSocket(int listener, std::string path, Handler handler);
  void run();
  void serve(int connection);
  // False when there is nothing to wait for any more.
  bool wait(int descriptor, int timeout_ms) const;
  Result<std::string> read_line(int connection) const;

  const int listener_;
  const std::string path_;
  const Handler handler_;
  const std::shared_ptr<Wakeup> wakeup_ = std::make_shared<Wakeup>();
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

// Asks the gateway that runs on `directory`, and blocks until it answers. kUnavailable when none
// listens there, or it ends without an answer.
Status ask_gateway(const std::string& directory, const std::string& name, const AdminOrder& order);

}  // namespace lockstep
