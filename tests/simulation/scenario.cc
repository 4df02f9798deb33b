#include "tests/simulation/scenario.h"

#include <algorithm>
#include <string>

namespace lockstep::simulation {

namespace {

constexpr std::uint32_t kTokensPerPage = 16;
constexpr std::uint32_t kVocabulary = 4096;

// Prompts are made of a few pages of a whole KV block each, in any order, so that many begin alike
// and the same block also turns up behind others.
std::vector<std::uint32_t> make_prompt(SeededRandom& random, std::uint32_t pages,
                                       std::uint32_t rest) {
  std::vector<std::uint32_t> prompt;
  for (std::uint32_t i = 0; i < pages; ++i) {
    const auto page = static_cast<std::uint32_t>(random.below(3));
    for (std::uint32_t j = 0; j < kTokensPerPage; ++j) prompt.push_back(page * 100 + j + 1);
  }
  for (std::uint32_t i = 0; i < rest; ++i) {
    prompt.push_back(static_cast<std::uint32_t>(random.below(kVocabulary)));
  }
  return prompt;
}

void make_cluster(SeededRandom& random, ClusterConfig& cluster) {
  DispatcherConfig& dispatcher = cluster.dispatcher;
  dispatcher.model_id.bytes[0] = 7;
  dispatcher.numerics_version = 1;
  dispatcher.lease_ms = 2000;
  dispatcher.beat_ms = 200;
  dispatcher.beat_timeout_ms = 1000;
  dispatcher.step_deadline_ms = 800;
  dispatcher.checkpoint_ms = 100;
  dispatcher.checkpoint_tokens = 8;
  dispatcher.client_grace_ms = random.chance(500) ? 300 : 2000;
  dispatcher.age_after_ms = 1000;
  dispatcher.retry_store_ms = 200;
  dispatcher.max_attempts = 100'000;  // No job is lost to bad luck here.
  dispatcher.max_loaded = random.chance(300) ? 2 : 4096;

  cluster.num_replicas = 1 + static_cast<std::uint32_t>(random.below(3));
  cluster.num_remote = static_cast<std::uint32_t>(random.below(cluster.num_replicas + 1));
  cluster.router_lag_us = random.chance(500) ? 0 : 500;
  cluster.load_model_us = random.between(20'000, 200'000);
  cluster.restart_gateway_us = random.between(50'000, 1'500'000);

  ReplicaConfig& replica = cluster.replica;
  replica.hello.model_id = dispatcher.model_id;
  replica.hello.numerics_version = 1;
  replica.hello.max_sequences = 2 + static_cast<std::uint32_t>(random.below(7));
  replica.hello.context_tokens = 160;
  replica.step_us = random.between(2000, 8000);
  SchedulerConfig& scheduler = replica.scheduler;
  scheduler.num_blocks = static_cast<int>(random.between(10, 30));
  scheduler.max_step_tokens = static_cast<int>(random.between(8, 64));
  scheduler.chunk_tokens = static_cast<int>(random.between(5, 40));
  scheduler.max_step_sequences = 8;
  replica.hello.num_blocks = static_cast<std::uint32_t>(scheduler.num_blocks);
}

void make_behaviour(SeededRandom& random, Intent& intent) {
  intent.read_delay_us = random.chance(100) ? 60'000 : 300;
  intent.follows = intent.record.kind == JobKind::kRequest || random.chance(200);
  if (random.chance(100)) intent.cancel_after_us = random.between(0, 600'000);
  if (random.chance(100)) intent.expires_after_ms = random.between(1, 1500);
  if (random.chance(150)) {
    intent.leave_after_tokens = 1 + static_cast<std::uint32_t>(random.below(12));
    intent.away_us = random.chance(300) ? -1 : random.between(10'000, 3'500'000);
    intent.rewind_tokens = static_cast<std::uint32_t>(random.below(6));
  }
  if (random.chance(50)) {
    intent.leaves_at_once = true;
    intent.away_us = random.chance(300) ? -1 : random.between(10'000, 3'500'000);
  }
  intent.reconnects = random.chance(850);
}

Intent make_intent(SeededRandom& random, const ClusterConfig& cluster, std::int64_t until_us) {
  Intent intent;
  JobRecord& record = intent.record;
  record.kind = random.chance(700) ? JobKind::kRequest : JobKind::kJob;
  record.tenant = std::string(1, static_cast<char>('a' + random.below(3)));
  record.priority = static_cast<PriorityClass>(random.below(3));
  record.route = "/v1/completions";
  const auto pages = static_cast<std::uint32_t>(random.below(4));
  const auto rest = 1 + static_cast<std::uint32_t>(random.below(24));
  record.prompt = make_prompt(random, pages, rest);
  record.num_choices = random.chance(150) ? 2 + static_cast<std::uint32_t>(random.below(2)) : 1;
  record.sampling.seed = random.below(1 << 20);
  record.sampling.max_completion_tokens = 1 + static_cast<std::uint32_t>(random.below(48));
  if (random.chance(30)) {
    intent.fits = false;
    record.sampling.max_completion_tokens =
        static_cast<std::uint32_t>(cluster.replica.scheduler.num_blocks) * kTokensPerPage;
  }
  if (random.chance(300)) {
    record.idempotency_key = "key " + std::to_string(random.below(1 << 30));
    record.keep_without_client = true;
  }
  record.body_digest.bytes[0] = static_cast<std::uint8_t>(random.below(256));
  intent.submit_us = random.between(1000, until_us);
  make_behaviour(random, intent);
  return intent;
}

void make_intents(SeededRandom& random, Scenario& scenario) {
  const std::int64_t count = random.between(10, 42);
  for (std::int64_t i = 0; i < count; ++i) {
    Intent intent = make_intent(random, scenario.cluster, scenario.quiet_us);
    const bool again = !intent.record.idempotency_key.empty() && random.chance(400);
    if (again) {  // The same request once more, or another one under its key.
      Intent twin = intent;
      twin.submit_us = random.between(1000, scenario.quiet_us);
      make_behaviour(random, twin);
      twin.cancel_after_us = -1;
      twin.expires_after_ms = intent.expires_after_ms;
      if (random.chance(300)) twin.record.body_digest.bytes[1] = 1;
      scenario.intents.push_back(std::move(twin));
    }
    scenario.intents.push_back(std::move(intent));
  }
}

std::int64_t length_of(SeededRandom& random, Fault::Kind kind) {
  switch (kind) {
    case Fault::Kind::kStopReplica:
    case Fault::Kind::kCutWires:
      return random.between(20'000, 4'000'000);
    case Fault::Kind::kPauseGateway:
      return random.between(20'000, 1'500'000);
    case Fault::Kind::kDiskFull:
      return random.between(50'000, 1'500'000);
    case Fault::Kind::kDrainGateway:
      return random.between(0, 500'000);
    default:
      return 0;
  }
}

void make_faults(SeededRandom& random, Scenario& scenario) {
  const std::int64_t count = random.between(0, 8);
  for (std::int64_t i = 0; i < count; ++i) {
    Fault fault;
    fault.kind = static_cast<Fault::Kind>(random.below(Fault::kNumKinds));
    if (random.chance(150)) fault.kind = Fault::Kind::kCrashGateway;
    fault.replica = random.below(scenario.cluster.num_replicas);
    fault.at_us = random.between(10'000, scenario.quiet_us - 1);
    const std::int64_t length_us = length_of(random, fault.kind);
    fault.length_us = std::min(length_us, scenario.quiet_us - fault.at_us);
    const bool for_good = fault.replica >= scenario.cluster.num_remote && random.chance(400);
    if (fault.kind == Fault::Kind::kStopReplica && for_good) fault.length_us = 0;
    fault.both_ways = random.chance(600);
    fault.promise = static_cast<Promise>(random.below(3));
    scenario.faults.push_back(fault);
  }
  NetworkFaults& network = scenario.network;
  if (random.chance(400)) network.drop_per_mille = static_cast<std::uint32_t>(random.below(30));
  if (random.chance(400))
    network.duplicate_per_mille = static_cast<std::uint32_t>(random.below(100));
  if (random.chance(400)) network.delay_per_mille = static_cast<std::uint32_t>(random.below(40));
  network.longest_delay_us = random.between(5'000, 3'000'000);
}

// Nothing breaks, so nobody may ever lose a replica.
void make_calm(SeededRandom& random, Scenario& scenario) {
  DispatcherConfig& dispatcher = scenario.cluster.dispatcher;
  dispatcher.max_attempts = 1;
  dispatcher.lease_ms = 400;
  dispatcher.beat_ms = 100;
  scenario.cluster.replica.step_us = random.between(8000, 20'000);
}

// One replica that computes one answer at a time, tenants that ask for much more than it can do,
// and a batch job that waits among them.
void make_contended(SeededRandom& random, Scenario& scenario) {
  scenario.contended = true;
  make_calm(random, scenario);
  ClusterConfig& cluster = scenario.cluster;
  cluster.num_replicas = 1;
  cluster.num_remote = 0;
  cluster.replica.hello.max_sequences = 1;
  const bool ages = random.chance(500);
  cluster.dispatcher.age_after_ms = ages ? 300 : 1'000'000;
  for (std::size_t i = 0; i < scenario.intents.size(); ++i) {
    Intent plain;
    plain.record = scenario.intents[i].record;
    JobRecord& record = plain.record;
    record.kind = JobKind::kRequest;
    record.idempotency_key.clear();
    record.num_choices = 1;
    record.prompt = make_prompt(random, 1, 4);
    record.sampling.max_completion_tokens = 8;
    const bool lower = random.chance(200);
    record.priority = lower ? PriorityClass::kBatch : PriorityClass::kNormal;
    // One tenant comes first, with more than the other, which comes twice.
    const bool first = random.chance(600);
    record.tenant = first ? "a" : "b";
    const bool late = !first && random.chance(700);
    plain.submit_us = late ? random.between(800'000, 1'000'000) : random.between(300'000, 400'000);
    scenario.intents[i] = std::move(plain);
  }
}

}  // namespace

Scenario make_scenario(std::uint64_t seed) {
  SeededRandom random(seed * 2 + 1);
  Scenario scenario;
  scenario.seed = seed;
  scenario.quiet_us = random.between(1'000'000, 5'000'000);
  scenario.deadline_us = scenario.quiet_us + 30'000'000;
  make_cluster(random, scenario.cluster);
  scenario.disk_high_us = random.chance(200) ? 80'000 : 3000;
  scenario.disk_queue = random.chance(200) ? 3 : 4096;
  make_intents(random, scenario);
  if (seed % 10 == 0) {
    make_contended(random, scenario);
  } else if (seed % 10 == 1) {
    make_calm(random, scenario);
  } else {
    make_faults(random, scenario);
  }
  for (std::size_t i = 0; i < scenario.intents.size(); ++i) {
    scenario.intents[i].record.request_json = "request " + std::to_string(i);
  }
  return scenario;
}

}  // namespace lockstep::simulation
