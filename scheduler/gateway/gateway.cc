// Wires the gateway's parts together: threads, sockets, disk. Decides nothing.
#include "scheduler/gateway.h"

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <future>
#include <mutex>
#include <utility>

#include "base/crash_point.h"
#include "base/log.h"
#include "scheduler/api_key.h"
#include "scheduler/gateway/admin/admin_socket.h"
#include "scheduler/gateway/api/model_text.h"
#include "scheduler/gateway/batch/batch_service.h"
#include "scheduler/gateway/batch/disk_files.h"
#include "scheduler/gateway/gateway_keys.h"
#include "scheduler/gateway/http/api_service.h"
#include "scheduler/gateway/http/server.h"
#include "scheduler/gateway/launcher/replica_launcher.h"
#include "scheduler/gateway/launcher/slurm_steps.h"
#include "scheduler/gateway/replica_pool.h"
#include "scheduler/gateway/report.h"
#include "scheduler/gateway/ring_key_checker.h"
#include "scheduler/gateway/service.h"
#include "scheduler/gateway/store/state_store.h"
#include "scheduler/gateway/task_thread.h"
#include "scheduler/gateway/transport/replica_transport.h"
#include "sharding/store.h"

namespace lockstep {

namespace {

constexpr int kTickMs = 20;
constexpr int kIdleTickMs = 1'000;
constexpr std::int64_t kReportMs = 250;
constexpr std::int64_t kKeysMs = 1'000;
constexpr std::chrono::milliseconds kHttpGrace{5'000};

Result<std::unique_ptr<ApiKeyRing>> open_keys(const std::string& state) {
  auto ring = ApiKeyRing::open(state);
  if (!ring.ok() && ring.error().code == ErrorCode::kNotFound) {
    return Error{ErrorCode::kNotFound, "there are none yet: lockstep state key add --state " +
                                           state + " --tenant NAME, or --no-auth"};
  }
  return ring;
}

}  // namespace

struct Gateway::State final : ApiBackend {
  State(GatewayConfig the_config, const Clock& the_clock, Random& the_random)
      : config(std::move(the_config)),
        clock(the_clock),
        random(the_random),
        disk(kIdleTickMs, [] {}),
        router(kTickMs, [this] { tick(); }) {}
  ~State() override { stop(); }

  Status open();
  Status open_model();
  Status open_replicas();
  Status open_batches();
  Status recover();
  Status open_admin();
  Status open_http();
  void stop();
  void tick();
  void end(const Status& status);
  Now now() const;

  // ApiBackend: everything but the list is brought to the router's thread.
  void submit(JobRecord job, std::function<void(Result<Accepted>)> done) override;
  void find(std::string tenant, RequestId id,
            std::function<void(Result<std::shared_ptr<JobFeed>>)> done) override;
  void list(std::string tenant, RequestId after, std::uint32_t limit,
            std::function<void(Result<std::vector<JobSummary>>)> done) override {
    state->jobs().list(std::move(tenant), after, limit, std::move(done));
  }
  void cancel(std::string tenant, RequestId id, std::function<void(Status)> done) override;
  void watch(RequestId id, int change) override;
  std::shared_ptr<const GatewayReport> report() const override { return latest_report.load(); }

  GatewayConfig config;
  const Clock& clock;
  Random& random;
  std::shared_ptr<const ModelText> text;
  std::atomic<std::shared_ptr<const GatewayReport>> latest_report;
  std::unique_ptr<StateStore> state;
  std::unique_ptr<GatewayService> service;  // Of the router's thread, as the pool.
  std::unique_ptr<SlurmSteps> steps;
  std::unique_ptr<ReplicaPool> pool;
  std::unique_ptr<DiskFiles> files;
  std::unique_ptr<BatchService> batches;
  std::unique_ptr<ReplicaTransport> transport;
  std::unique_ptr<ReplicaLauncher> launcher;
  std::unique_ptr<ApiKeyRing> ring;
  std::unique_ptr<RingKeyChecker> keys;
  std::shared_ptr<HttpCounters> counters = std::make_shared<HttpCounters>();
  std::unique_ptr<ApiServer> http;
  std::unique_ptr<AdminSocket> admin;
  std::int64_t reported_ms = 0;
  std::int64_t keys_read_ms = 0;

  std::mutex mutex;
  std::condition_variable ended;
  Ended how = Ended::kNo;
  Status why;

  TaskThread disk;  // Syncs and removes files.
  TaskThread router;
};

Now Gateway::State::now() const {
  return {.mono_ms = clock.monotonic_ns() / 1'000'000, .unix_ms = clock.unix_ms()};
}

Status Gateway::State::open_model() {
  LOCKSTEP_TRY_ASSIGN(const Store model, Store::open(config.model), "--model");
  std::string name = config.model_name;
  if (name.empty()) {
    name = std::filesystem::path(config.model).lexically_normal().filename().string();
  }
  LOCKSTEP_TRY_ASSIGN(
      text, ModelText::open(model, std::move(name), config.context_tokens, clock.unix_seconds()),
      "text");
  return {};
}

Status Gateway::State::open_replicas() {
  const StateDirectory& folder = state->directory();
  LOCKSTEP_TRY_ASSIGN(const CurveKeyPair pair,
                      read_or_make_gateway_keys(folder.gateway_key_path(), random), "state");
  // A replica that outlives this gateway looks for the next one where it knew this one.
  EndpointFile remembered(folder.path() + "/replica.endpoint");
  ReplicaTransportConfig options;
  options.endpoint = remembered.choose(config.replica_host, config.replica_port);
  options.keys = pair;
  const auto receive = [this](ReplicaId replica, ToGateway message) {
    router.post([this, replica, message = std::move(message)] {
      if (const auto* hello = std::get_if<HelloMessage>(&message.body)) {
        CRASH_POINT("gateway.hello");
        pool->hello(replica, *hello, now().mono_ms);
      }
      service->replica_message(replica, message);
    });
  };
  auto opened = ReplicaTransport::start(options, receive);
  if (!opened.ok() && config.replica_port == 0) {  // Someone has taken the port meanwhile.
    options.endpoint = "tcp://" + config.replica_host + ":0";
    opened = ReplicaTransport::start(options, receive);
  }
  LOCKSTEP_TRY_ASSIGN(transport, std::move(opened), "replica sockets");
  LOCKSTEP_TRY(remembered.write(transport->endpoint()), "state");
  if (!config.attach) {
    LOCKSTEP_TRY_ASSIGN(
        launcher,
        ReplicaLauncher::start("/dev/shm",
                               [this](ReplicaId replica, const std::string& reason) {
                                 router.post([this, replica, reason] {
                                   service->replica_lost(replica, reason);
                                 });
                               }),
        "replica launcher");
  }
  steps = std::make_unique<SlurmSteps>(config.slurm_job);
  pool = std::make_unique<ReplicaPool>(
      config, ReplicaPool::Parts{.transport = transport.get(),
                                 .launcher = launcher.get(),
                                 .store = &state->replicas(),
                                 .random = &random,
                                 .gateway_key = pair.public_key,
                                 .key_folder = folder.path(),
                                 .end_step = [this](const auto& step) { steps->end(step); },
                                 .post = [this](auto task) { router.post(std::move(task)); },
                                 .lost =
                                     [this](ReplicaId replica, const std::string& reason) {
                                       service->replica_lost(replica, reason);
                                     }});
  return {};
}

Status Gateway::State::open_batches() {
  files = std::make_unique<DiskFiles>(DiskFilesConfig{.tenant_bytes = config.file_quota_bytes},
                                      DiskFiles::Parts{.directory = &state->directory(),
                                                       .jobs = &state->jobs(),
                                                       .batches = &state->batches(),
                                                       .clock = &clock,
                                                       .random = &random,
                                                       .disk = &disk});
  disk.start();
  batches = std::make_unique<BatchService>(
      BatchRunnerConfig{},
      BatchService::Parts{.directory = &state->directory(),
                          .jobs = &state->jobs(),
                          .store = &state->batches(),
                          .service = service.get(),
                          .clock = &clock,
                          .random = &random,
                          .now = [this] { return now(); },
                          .post = [this](auto task) { router.post(std::move(task)); }},
      BatchLines(text));
  return batches->load();
}

Status Gateway::State::recover() {
  const ModelIdentity& identity = text->identity();
  DispatcherConfig dispatcher;
  dispatcher.model_id = identity.model_id;
  dispatcher.numerics_version = identity.numerics_version;
  dispatcher.gateway_epoch = state->epoch();
  dispatcher.step_deadline_ms = config.step_deadline_ms;
  dispatcher.lease_ms = config.lease_ms;
  ServicePorts ports;
  ports.store = &state->jobs();
  ports.now = [this] { return now(); };
  ports.post = [this](auto task) { router.post(std::move(task)); };
  ports.send = [this](ReplicaId replica, const ToReplica& message) {
    // What is lost here is missed at the next message of this generation.
    if (const Status sent = transport->send(replica, message); !sent.ok()) {
      log_event(LogLevel::kDebug, "message_lost", {{"reason", sent.error().message}});
    }
  };
  ports.fence = [this](ReplicaId replica, std::uint64_t, const std::string& reason) {
    pool->fence(replica, reason, now().mono_ms);
  };
  ports.stop = [this](const Status& status) { end(status); };
  // Posted: it comes out of the middle of the service's work.
  ports.ended = [this](RequestId job, JobState end_state) {
    router.post([this, job, end_state] { batches->job_ended(job, end_state); });
  };
  service = std::make_unique<GatewayService>(dispatcher, std::move(ports), random);
  latest_report = make_report(*text, service->dispatcher(), *pool, now());
  LOCKSTEP_TRY(open_batches(), "batches");
  router.start();

  std::promise<Status> recovered;
  router.post(
      [&] { service->recover([&](const Status& status) { recovered.set_value(status); }); });
  LOCKSTEP_TRY(recovered.get_future().get(), "accepted jobs");
  router.post([this] { batches->begin(); });
  std::promise<Result<std::vector<ReplicaRecord>>> known;
  state->replicas().load_all([&](auto records) { known.set_value(std::move(records)); });
  LOCKSTEP_TRY_ASSIGN(auto records, known.get_future().get(), "replicas");
  router.post([this, records = std::move(records)] { pool->begin(records, now().mono_ms); });
  return {};
}

Status Gateway::State::open_admin() {
  const auto back_up = [this](const AdminOrder& order, AdminSocket::Answer answer) {
    log_event(LogLevel::kInfo, "backup_begun", {{"path", order.backup_path}});
    state->backup_to(order.backup_path, std::move(answer));
  };
  LOCKSTEP_TRY_ASSIGN(
      admin, AdminSocket::start(state->directory().path(), kAdminSocketName, back_up), "admin");
  return {};
}

Status Gateway::State::open_http() {
  AccessOptions access;
  access.no_auth = config.no_auth;
  access.insecure_http = config.insecure_http;
  access.has_tls = !config.tls_certificate.empty();
  HttpServerOptions options;
  options.listen = {.host = config.host, .port = config.port};
  options.access = access;
  options.tls_certificate = config.tls_certificate;
  options.tls_key = config.tls_key;
  options.num_threads = config.http_threads;
  auto api = make_api_service({.model = text,
                               .backend = this,
                               .files = files.get(),
                               .batches = batches.get(),
                               .keys = keys.get(),
                               .clock = &clock,
                               .random = &random,
                               .access = access,
                               .counters = counters});
  LOCKSTEP_TRY_ASSIGN(http, ApiServer::start(options, std::move(api), counters), "HTTP");
  return {};
}

Status Gateway::State::open() {
  LOCKSTEP_TRY(open_model(), "model");
  StateOptions options;
  options.directory = config.state;
  options.clock = &clock;
  LOCKSTEP_TRY_ASSIGN(state, StateStore::open(std::move(options)), "--state");
  if (!config.no_auth) {
    LOCKSTEP_TRY_ASSIGN(ring, open_keys(config.state), "API keys");
    keys = std::make_unique<RingKeyChecker>(*ring);
  }
  LOCKSTEP_TRY(open_replicas(), "replicas");
  LOCKSTEP_TRY(recover(), "recover");
  LOCKSTEP_TRY(open_admin(), "state");
  CRASH_POINT("gateway.listen");
  return open_http();
}

void Gateway::State::tick() {
  const Now time = now();
  service->tick();
  batches->tick();
  pool->tick(time.mono_ms);
  if (ring != nullptr && time.mono_ms - keys_read_ms >= kKeysMs) {
    keys_read_ms = time.mono_ms;
    if (const Status read = ring->refresh(); !read.ok()) {
      log_event(LogLevel::kError, "api_keys_not_read", {{"reason", read.error().message}});
    }
    CRASH_POINT("gateway.keys_read");
  }
  if (time.mono_ms - reported_ms < kReportMs) return;
  reported_ms = time.mono_ms;
  latest_report = make_report(*text, service->dispatcher(), *pool, time);
}

void Gateway::State::end(const Status& status) {
  if (status.ok() && pool) pool->close();
  const std::lock_guard lock(mutex);
  if (how != Ended::kNo) return;
  how = status.ok() ? Ended::kDrained : Ended::kFailed;
  why = status;
  ended.notify_all();
}

// From the outside in: clients, decisions, replicas, then the disk, so that nobody calls what is
// gone.
void Gateway::State::stop() {
  if (http) http->stop(kHttpGrace);
  admin.reset();
  router.stop();
  if (batches) batches->stop();
  disk.stop();
  transport.reset();
  if (launcher) {
    launcher->kill_all();
    launcher->wait_for_killed(5'000);
    launcher.reset();
  }
  state.reset();
}

void Gateway::State::submit(JobRecord job, std::function<void(Result<Accepted>)> done) {
  router.post([this, job = std::move(job), done = std::move(done)]() mutable {
    service->submit(std::move(job), std::move(done));
  });
}

void Gateway::State::find(std::string tenant, RequestId id,
                          std::function<void(Result<std::shared_ptr<JobFeed>>)> done) {
  router.post([this, tenant = std::move(tenant), id, done = std::move(done)] {
    service->find(tenant, id, done);
  });
}

void Gateway::State::cancel(std::string tenant, RequestId id, std::function<void(Status)> done) {
  router.post([this, tenant = std::move(tenant), id, done = std::move(done)] {
    service->cancel(tenant, id, done);
  });
}

void Gateway::State::watch(RequestId id, int change) {
  router.post([this, id, change] { service->watch(id, change); });
}

Gateway::Gateway(std::unique_ptr<State> state) : state_(std::move(state)) {}

Gateway::~Gateway() = default;

Result<std::unique_ptr<Gateway>> Gateway::start(GatewayConfig config, const Clock& clock,
                                                Random& random) {
  auto state = std::make_unique<State>(std::move(config), clock, random);
  Status opened = state->open();
  if (!opened.ok()) return std::move(opened).error();
  return std::unique_ptr<Gateway>(new Gateway(std::move(state)));
}

std::string Gateway::url() const {
  const GatewayConfig& config = state_->config;
  const bool is_v6 = config.host.find(':') != std::string::npos;
  return (config.tls_certificate.empty() ? "http://" : "https://") +
         (is_v6 ? "[" + config.host + "]" : config.host) + ":" +
         std::to_string(state_->http->port());
}

std::string Gateway::replica_endpoint() const { return state_->transport->endpoint(); }

void Gateway::drain() {
  state_->router.post([state = state_.get()] {
    state->pool->stop();
    state->service->drain(state->config.drain_ms);
  });
}

Status Gateway::reload_tls() { return state_->http->reload_tls(); }

Gateway::Ended Gateway::wait(int timeout_ms) {
  std::unique_lock lock(state_->mutex);
  state_->ended.wait_for(lock, std::chrono::milliseconds(timeout_ms),
                         [this] { return state_->how != Ended::kNo; });
  return state_->how;
}

Status Gateway::status() const {
  const std::lock_guard lock(state_->mutex);
  return state_->why;
}

}  // namespace lockstep
