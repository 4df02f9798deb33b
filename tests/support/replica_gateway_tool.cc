// A gateway with one replica and no decisions of its own, for tests of real replicas: it launches
// `lockstep worker`, welcomes it, and does what standard input says, one JSON object a line:
//
//   {"assign": {"choice": 0, "prompt": [1, 2], "max_tokens": 8, "seed": 1, "temperature": 0.5,
//               "ignore_eos": true, "delivered": [{"token": 1, "digest": "HEX"}]}}
//   {"cancel": 0}  {"drain": true}  {"leases": false}  {"welcome": 2}  {"kill": true}
//
// What happens goes to standard output, one JSON object a line, with "ms", the time since the
// start.
//
//   replica_gateway_tool PROGRAM MODEL RANKS mpi|threads LEASE_MS RUNTIME_DIR [worker options]
#include <cstdio>
#include <iostream>
#include <mutex>

#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "scheduler/gateway/launcher/replica_launcher.h"
#include "scheduler/gateway/transport/replica_transport.h"

namespace lockstep {
namespace {

using Json = nlohmann::json;

constexpr ReplicaId kReplica{1};
constexpr std::uint32_t kBeatMs = 100;

RequestId request_id() {
  RequestId id;
  id.bytes.fill(7);
  return id;
}

class Tool {
 public:
  Tool(std::uint32_t lease_ms) : lease_ms_(lease_ms) {}

  Status start(const ReplicaCommand& base, const std::string& runtime_directory) {
    ReplicaTransportConfig config;
    config.keys = make_curve_key_pair(system_random());
    LOCKSTEP_TRY_ASSIGN(transport_,
                        ReplicaTransport::start(
                            config, [this](ReplicaId, const ToGateway& message) { hear(message); }),
                        "tool");
    LOCKSTEP_TRY_ASSIGN(launcher_,
                        ReplicaLauncher::start(runtime_directory,
                                               [this](ReplicaId, const std::string& reason) {
                                                 say({{"death", reason}});
                                               }),
                        "tool");
    ReplicaKeys keys;
    keys.own = make_curve_key_pair(system_random());
    keys.gateway = config.keys.public_key;
    transport_->allow(kReplica, keys.own.public_key);
    ReplicaCommand command = base;
    command.gateway = transport_->endpoint();
    return launcher_->launch(kReplica, command, keys);
  }

  void obey(const Json& order) {
    if (order.contains("assign")) assign(order["assign"]);
    if (order.contains("cancel")) send(CancelMessage{{request_id(), order["cancel"]}, 1});
    if (order.contains("drain")) send(DrainMessage{});
    if (order.contains("leases")) leases_ = order["leases"];
    if (order.contains("welcome")) welcome(order["welcome"]);
    if (order.contains("kill")) {
      transport_->fence(kReplica);
      launcher_->kill(kReplica);
      say({{"killed", launcher_->wait_for_killed(10'000)}});
    }
  }

  void lease() {
    if (leases_) send(LeaseMessage{++lease_});
  }

  void end() {
    launcher_->kill_all();
    (void)launcher_->wait_for_killed(10'000);
  }

 private:
  void say(Json event) {
    event["ms"] = (system_clock().monotonic_ns() - began_ns_) / 1'000'000;
    const std::string line = event.dump() + "\n";
    const std::scoped_lock lock(output_);
    std::fputs(line.c_str(), stdout);
    std::fflush(stdout);
  }

  void send(decltype(ToReplica::body) body) {
    const std::scoped_lock lock(sending_);
    if (epoch_ == 0) return;
    (void)transport_->send(kReplica, {epoch_, sent_++, std::move(body)});
  }

  // A generation's first message: nothing comes between.
  void welcome(std::uint64_t epoch) {
    const std::scoped_lock lock(sending_);
    epoch_ = epoch;
    sent_ = 1;
    (void)transport_->send(kReplica, {epoch, 0, WelcomeMessage{epoch, lease_ms_, kBeatMs}});
  }

  void assign(const Json& order) {
    AssignMessage message;
    message.key = {request_id(), order["choice"]};
    message.attempt = 1;
    message.prompt = order["prompt"].get<std::vector<std::uint32_t>>();
    message.sampling.max_completion_tokens = order.value("max_tokens", 16U);
    message.sampling.seed = order.value("seed", std::uint64_t{0});
    message.sampling.temperature = order.value("temperature", 0.0F);
    message.sampling.ignore_eos = order.value("ignore_eos", false);
    message.num_top_logprobs = order.value("top_logprobs", -1);
    for (const Json& token : order.value("delivered", Json::array())) {
      CompletionToken& delivered = message.delivered.emplace_back();
      delivered.token = token["token"];
      delivered.logits_digest = Digest::from_hex(token["digest"].get<std::string>()).value();
    }
    send(std::move(message));
  }

  void hear(const ToGateway& message) {
    if (const auto* hello = std::get_if<HelloMessage>(&message.body)) {
      Json pids = Json::array();
      for (const RankProcess& rank : hello->ranks) pids.push_back(rank.pid);
      const Status watched = launcher_->watch(kReplica, hello->ranks);
      // First: whoever reads the event may give orders at once.
      welcome(epoch_ + 1);
      say({{"hello", pids},
           {"model_id", hello->model_id.hex()},
           {"watched", watched.ok() ? "" : watched.error().message}});
    } else if (const auto* beat = std::get_if<BeatMessage>(&message.body)) {
      say({{"beat", message.epoch},
           {"steps", beat->steps},
           {"step_age_ms", beat->step_age_ms},
           {"running", beat->running},
           {"lease", beat->sequence}});
    } else if (const auto* progress = std::get_if<ProgressMessage>(&message.body)) {
      for (const ChoiceProgress& choice : progress->choices) hear(message.epoch, choice);
    } else {
      say({{"drained", message.epoch}});
    }
  }

  void hear(std::uint64_t epoch, const ChoiceProgress& choice) {
    Json event{{"choice", choice.key.choice}, {"epoch", epoch}, {"first", choice.first}};
    event["tokens"] = Json::array();
    for (const CompletionToken& token : choice.tokens) {
      Json top = Json::array();
      for (const TokenLogprob& one : token.top) top.push_back({one.token, one.logprob});
      event["tokens"].push_back({{"token", token.token},
                                 {"digest", token.logits_digest.hex()},
                                 {"logprob", token.logprob},
                                 {"top", top}});
    }
    if (choice.end) {
      const ChoiceEnd& end = *choice.end;
      event["end"] = {{"error", end.status.ok() ? "" : end.status.error().message},
                      {"stop", end.reason == FinishReason::kStop},
                      {"num_tokens", end.num_tokens},
                      {"steps", end.steps}};
    }
    say(std::move(event));
  }

  const std::uint32_t lease_ms_;
  const std::int64_t began_ns_ = system_clock().monotonic_ns();
  std::mutex output_;
  std::mutex sending_;
  std::atomic<std::uint64_t> epoch_ = 0;
  std::uint64_t sent_ = 0;
  std::uint64_t lease_ = 0;
  std::atomic<bool> leases_ = true;
  std::unique_ptr<ReplicaLauncher> launcher_;
  std::unique_ptr<ReplicaTransport> transport_;  // Goes first: it uses the launcher.
};

int run(int argc, char** argv) {
  if (argc < 7) return 64;
  ReplicaCommand command;
  command.program = argv[1];
  command.model = argv[2];
  command.ranks = std::stoi(argv[3]);
  command.by_mpi = std::string_view(argv[4]) == "mpi";
  command.options.assign(argv + 7, argv + argc);
  Tool tool(static_cast<std::uint32_t>(std::stoul(argv[5])));
  const Status started = tool.start(command, argv[6]);
  if (!started.ok()) {
    std::fprintf(stderr, "%s\n", started.error().message.c_str());
    return 1;
  }
  std::atomic<bool> ending = false;
  std::thread leases([&] {
    while (!ending.load()) {
      tool.lease();
      std::this_thread::sleep_for(std::chrono::milliseconds(kBeatMs));
    }
  });
  std::string line;
  while (std::getline(std::cin, line)) tool.obey(Json::parse(line));
  ending.store(true);
  leases.join();
  tool.end();
  return 0;
}

}  // namespace
}  // namespace lockstep

int main(int argc, char** argv) { return lockstep::run(argc, argv); }
