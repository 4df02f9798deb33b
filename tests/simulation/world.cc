#include "tests/simulation/world.h"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "tests/simulation/checker.h"

namespace lockstep::simulation {

namespace {

constexpr std::int64_t kForGoodUs = std::int64_t{1} << 50;
constexpr std::uint64_t kMostEvents = 1'000'000;  // A world has some thousand.
constexpr std::int64_t kLookUs = 100'000;         // Between two looks at whether all is over.

std::string text_of(const Fault& fault) {
  constexpr std::array<const char*, Fault::kNumKinds> kNames{"kill replica",
                                                             "stop replica",
                                                             "hang replica",
                                                             "cut wires of replica",
                                                             "crash gateway",
                                                             "pause gateway",
                                                             "disk full",
                                                             "disk error",
                                                             "retire replica",
                                                             "drain gateway",
                                                             "crash gateway behind a promise"};
  return std::string("fault: ") + kNames.at(static_cast<std::size_t>(fault.kind)) + " (replica " +
         std::to_string(fault.replica) + ", " + std::to_string(fault.length_us / 1000) + " ms)";
}

// What stands for one run.
struct Run {
  explicit Run(const Scenario& of)
      : scenario(of),
        random(of.seed * 2),
        network(queue, random, trace),
        disk(queue, random),
        cluster(of.cluster, {queue, random, trace, network, disk}) {}

  void begin();
  void strike(const Fault& fault);
  void become_quiet();
  bool over() const;

  const Scenario& scenario;
  EventQueue queue;
  SeededRandom random;
  Trace trace;
  Network network;
  Disk disk;
  Cluster cluster;
  std::vector<std::unique_ptr<Client>> clients;
};

void Run::begin() {
  disk.set_latency_us(scenario.disk_low_us, scenario.disk_high_us);
  disk.set_max_queued(scenario.disk_queue);
  network.set_faults(scenario.network);
  for (const Intent& intent : scenario.intents) {
    clients.push_back(std::make_unique<Client>(cluster, queue, random, intent));
  }
  cluster.on_gateway_death([this] {
    for (const auto& client : clients) client->gateway_died();
  });
  for (const Fault& fault : scenario.faults) {
    queue.at(fault.at_us, [this, &fault] { strike(fault); });
  }
  queue.at(scenario.quiet_us, [this] { become_quiet(); });
}

void Run::strike(const Fault& fault) {
  const std::int64_t until_us = queue.now_us() + fault.length_us;
  if (trace.prints()) trace.print(queue.now_us(), text_of(fault));
  switch (fault.kind) {
    case Fault::Kind::kKillReplica:
      return cluster.kill_replica(fault.replica);
    case Fault::Kind::kStopReplica:
      return cluster.stop_replica(fault.replica, fault.length_us > 0 ? until_us : kForGoodUs);
    case Fault::Kind::kHangReplica:
      return cluster.hang_replica(fault.replica);
    case Fault::Kind::kCutWires:
      return cluster.cut_wires(fault.replica, until_us, fault.both_ways);
    case Fault::Kind::kCrashGateway:
      return cluster.crash_gateway();
    case Fault::Kind::kPauseGateway:
      return cluster.pause_gateway(until_us);
    case Fault::Kind::kDiskFull:
      disk.set_full(true);
      return queue.at(until_us, [this] { disk.set_full(false); });
    case Fault::Kind::kDiskError:
      return disk.break_next_commit();
    case Fault::Kind::kRetireReplica:
      return cluster.retire_replica(fault.replica);
    case Fault::Kind::kDrainGateway:
      return cluster.drain_gateway(fault.length_us);
    case Fault::Kind::kCrashBehindPromise:
      return cluster.crash_gateway_behind(fault.promise);
  }
}

void Run::become_quiet() {
  if (trace.prints()) trace.print(queue.now_us(), "faults stop");
  network.set_faults({});
  disk.set_full(false);
  disk.set_max_queued(4096);
  disk.set_latency_us(scenario.disk_low_us, 3000);
}

bool Run::over() const {
  if (queue.now_us() < scenario.quiet_us) return false;
  for (const auto& client : clients) {
    if (client->waits()) return false;
  }
  return std::ranges::all_of(disk.rows(),
                             [](const auto& row) { return is_terminal(row.second.state); });
}

}  // namespace

Report run_world(std::uint64_t seed, const RunOptions& options) {
  const Scenario scenario = make_scenario(seed);
  Run run(scenario);
  run.network.drop_delivery(options.drop_delivery);
  run.trace.print_to(options.print_to);
  run.begin();
  std::int64_t next_look_us = scenario.quiet_us;
  while (run.queue.now_us() < scenario.deadline_us && run.queue.num_events() < kMostEvents) {
    if (run.queue.now_us() >= next_look_us) {
      if (run.over()) break;
      next_look_us = run.queue.now_us() + kLookUs;
    }
    if (!run.queue.run_next()) break;
  }
  Report report;
  report.seed = seed;
  report.dropped = options.drop_delivery;
  report.num_events = run.queue.num_events();
  report.num_delivered = run.network.num_delivered();
  std::vector<Observed> observed;
  for (const auto& client : run.clients) {
    observed.push_back({&client->intent(), &client->log(), client->waits()});
  }
  for (const Observed& one : observed) {
    report.num_accepted += one.log->id ? 1 : 0;
    report.num_done += one.log->outcome ? 1 : 0;
    for (const auto& tokens : one.log->tokens) run.trace.add(tokens.size());
  }
  for (const auto& [id, row] : run.disk.rows()) {
    run.trace.add(id);
    run.trace.add(static_cast<std::uint64_t>(row.state));
    run.trace.add(static_cast<std::uint64_t>(row.outcome.ended_ms));
  }
  report.wrong = check_world(scenario, observed, run.disk.rows());
  report.trace_hash = run.trace.hash();
  run.cluster.crash_gateway();  // Its counts are those of a dead one.
  report.counts = run.cluster.counts();
  report.num_preemptions = run.cluster.num_preemptions();
  report.num_prefix_hits = run.cluster.num_prefix_hits();
  return report;
}

void Report::add(const Report& other) {
  num_events += other.num_events;
  num_delivered += other.num_delivered;
  num_accepted += other.num_accepted;
  num_done += other.num_done;
  num_preemptions += other.num_preemptions;
  num_prefix_hits += other.num_prefix_hits;
  counts.moved += other.counts.moved;
  counts.fenced += other.counts.fenced;
  counts.stale += other.counts.stale;
  counts.recalled += other.counts.recalled;
  counts.checkpoints += other.counts.checkpoints;
}

std::string Report::totals() const {
  std::string text = "events=" + std::to_string(num_events);
  const auto say = [&text](const char* what, std::uint64_t count) {
    text.append(" ").append(what).append("=").append(std::to_string(count));
  };
  say("delivered", num_delivered);
  say("accepted", num_accepted);
  say("done", num_done);
  say("moved", counts.moved);
  say("fenced", counts.fenced);
  say("stale", counts.stale);
  say("recalled", counts.recalled);
  say("checkpoints", counts.checkpoints);
  say("preemptions", num_preemptions);
  say("prefix_hits", num_prefix_hits);
  return text;
}

std::string Report::text() const {
  std::string text;
  for (const std::string& one : wrong) {
    text += "seed " + std::to_string(seed) + ": " + one + "\n";
  }
  if (wrong.empty()) return text;
  const std::string number = std::to_string(seed);
  text += "again: build/release/tests/simulation_tool " + number + " " + number + " --trace";
  if (dropped > 0) text += " --drop " + std::to_string(dropped);
  text += '\n';
  return text;
}

}  // namespace lockstep::simulation
