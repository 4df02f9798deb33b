// Knocks at a ZeroMQ socket of ours as a stranger would, or as one who may come in: says for some
// time what no replica says first, and prints what happened: "answered", or "nothing".
//
//   curve_probe_tool tcp://ADDRESS:PORT KEY_FILE          with the keys of a replica
//   curve_probe_tool tcp://ADDRESS:PORT unknown KEY_FILE  with a new key, and the server's of the
//   file curve_probe_tool tcp://ADDRESS:PORT plain             without CURVE
#include <zmq.h>

#include <chrono>
#include <cstdio>
#include <string_view>
#include <thread>

#include "base/curve_key.h"
#include "base/random.h"
#include "base/wire.h"
#include "base/zmq_socket.h"

namespace lockstep {
namespace {

constexpr int kTries = 100;
constexpr std::chrono::milliseconds kPause{10};

bool knock_plainly(const char* endpoint, const Bytes& message) {
  const ZmqContext context;
  void* const socket = zmq_socket(context.get(), ZMQ_DEALER);
  const int zero = 0;
  zmq_setsockopt(socket, ZMQ_LINGER, &zero, sizeof zero);
  bool answered = false;
  if (zmq_connect(socket, endpoint) == 0) {
    for (int i = 0; i < kTries && !answered; ++i) {
      (void)zmq_send(socket, message.data(), message.size(), ZMQ_DONTWAIT);
      std::this_thread::sleep_for(kPause);
      char byte = 0;
      answered = zmq_recv(socket, &byte, 1, ZMQ_DONTWAIT) >= 0;
    }
  }
  zmq_close(socket);
  return answered;
}

Result<bool> knock(const char* endpoint, const CurveKeyPair& own, const CurvePublicKey& server,
                   const Bytes& message) {
  ZmqContext context;
  LOCKSTEP_TRY_ASSIGN(ZmqSocket socket, ZmqSocket::dealer(context, own, server, {}), "probe");
  LOCKSTEP_TRY(socket.connect(endpoint), "probe");
  for (int i = 0; i < kTries; ++i) {
    (void)socket.send(std::array<ByteView, 1>{message});
    std::this_thread::sleep_for(kPause);
    if (socket.receive(2)) return true;
  }
  return false;
}

Result<bool> run(int argc, char** argv) {
  const Bytes message = encode_wire(ToGateway{1, 1, BeatMessage{}});
  const std::string_view kind = argv[2];
  if (kind == "plain") return knock_plainly(argv[1], message);
  LOCKSTEP_TRY_ASSIGN(const ReplicaKeys keys, read_replica_keys(argv[argc - 1]), "probe");
  const bool is_known = kind != "unknown";
  return knock(argv[1], is_known ? keys.own : make_curve_key_pair(system_random()), keys.gateway,
               message);
}

}  // namespace
}  // namespace lockstep

int main(int argc, char** argv) {
  if (argc < 3) return 64;
  const auto answered = lockstep::run(argc, argv);
  if (!answered.ok()) {
    std::fprintf(stderr, "%s\n", answered.error().message.c_str());
    return 1;
  }
  std::puts(answered.value() ? "answered" : "nothing");
  return 0;
}
