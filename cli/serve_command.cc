// `lockstep serve`: the gateway with its replicas, until it is told to drain.
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "cli/command.h"
#include "cli/options.h"
#include "cli/slurm/job_gateway.h"
#include "scheduler/gateway.h"
#include "scheduler/state.h"

namespace lockstep {
namespace {

// What becomes worker options.
struct WorkerChoices {
  std::optional<int> threads;
  std::string device = "auto";
  std::uint32_t context_tokens = 0;
  int chunk_tokens = 512;
  std::uint32_t max_sequences = 64;
  int kv_blocks = 2048;
};

struct ServeOptions {
  GatewayConfig gateway;
  WorkerChoices worker;
  std::string ranks_as = "processes";
  int step_deadline_s = 60;
  int drain_s = 30;
  int port = 8000;
  int replica_port = 0;
  JobGatewayOptions job;
  int wait_for_state_s = 0;
};

volatile std::sig_atomic_t drain_asked = 0;
volatile std::sig_atomic_t reload_asked = 0;

void on_signal(int signal) {
  if (signal == SIGHUP) {
    reload_asked = 1;
  } else {
    drain_asked = 1;
  }
}

void handle(int signal) {
  struct sigaction action = {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  sigaction(signal, &action, nullptr);
}

std::vector<std::string> worker_options(const WorkerChoices& choices) {
  std::vector<std::string> words = {"--device",        choices.device,
                                    "--chunk",         std::to_string(choices.chunk_tokens),
                                    "--max-sequences", std::to_string(choices.max_sequences),
                                    "--kv-blocks",     std::to_string(choices.kv_blocks)};
  if (choices.threads) {
    words.insert(words.end(), {"--threads", std::to_string(*choices.threads)});
  }
  if (choices.context_tokens != 0) {
    words.insert(words.end(), {"--ctx-size", std::to_string(choices.context_tokens)});
  }
  return words;
}

Registration registration_of(const ServeOptions& options, const std::string& url) {
  Registration registration;
  registration.url = url;
  registration.model = options.gateway.model_name;
  registration.state = options.gateway.state;
  registration.key_file = options.job.key_file;
  registration.certificate = options.gateway.tls_certificate;
  return registration;
}

Result<int> serve(const ServeOptions& options) {
  GatewayConfig config = options.gateway;
  if (config.model.empty()) return Error{ErrorCode::kInvalidArgument, "--model: is required"};
  if (config.state.empty()) return Error{ErrorCode::kInvalidArgument, "--state: is required"};
  config.context_tokens = options.worker.context_tokens;
  config.worker_options = worker_options(options.worker);
  config.by_mpi = options.ranks_as == "processes";
  config.step_deadline_ms = options.step_deadline_s * 1000;
  config.port = static_cast<std::uint16_t>(options.port);
  config.replica_port = static_cast<std::uint16_t>(options.replica_port);
  config.drain_ms = options.drain_s * 1000;
  std::error_code error;
  config.program = std::filesystem::read_symlink("/proc/self/exe", error).string();
  if (error) return Error{ErrorCode::kInternal, "/proc/self/exe: " + error.message()};
  for (const int signal : {SIGTERM, SIGINT, SIGUSR1, SIGHUP}) handle(signal);
  LOCKSTEP_TRY(wait_for_state(config.state, options.wait_for_state_s * 1000,
                              [] { return drain_asked != 0; }),
               "--state");
  LOCKSTEP_TRY(place_in_job(options.job, config), "place");
  auto started = Gateway::start(std::move(config), system_clock(), system_random());
  if (!started.ok()) return std::move(started).error();
  const std::unique_ptr<Gateway> gateway = std::move(started).value();
  // The one line of stdout: scripts wait for it.
  std::printf("%s\n", gateway->url().c_str());
  std::fflush(stdout);
  log_event(LogLevel::kInfo, "serving",
            {{"url", gateway->url()}, {"replicas_at", gateway->replica_endpoint()}});
  RegistryLease lease(options.job, registration_of(options, gateway->url()), system_clock());
  bool is_draining = false;
  while (true) {
    lease.renew();
    const Gateway::Ended ended = gateway->wait(100);
    if (ended == Gateway::Ended::kDrained) return 0;
    if (ended == Gateway::Ended::kFailed) return gateway->status().error();
    if (drain_asked != 0 && !is_draining) {
      is_draining = true;
      log_event(LogLevel::kInfo, "draining");
      gateway->drain();
    }
    if (reload_asked != 0) {
      reload_asked = 0;
      const Status reloaded = gateway->reload_tls();
      log_event(reloaded.ok() ? LogLevel::kInfo : LogLevel::kError, "tls_reloaded",
                {{"error", reloaded.ok() ? "" : reloaded.error().message}});
    }
  }
}

void add_gateway_options(CLI::App& command, ServeOptions& options) {
  GatewayConfig& gateway = options.gateway;
  add_text(command, "--model", gateway.model, "Store made by `lockstep shard`.")->type_name("DIR");
  add_text(command, "--model-name", gateway.model_name,
           "What clients call it. [the folder's name]");
  add_text(command, "--state", gateway.state,
           "Accepted requests, files and keys; made if it is missing.")
      ->type_name("DIR");
  add_text(command, "--host", gateway.host, "IP address to listen at.")->type_name("ADDRESS");
  add_integer(command, "--port", options.port, {0, 65535}, "Port; 0: any free one.");
  add_flag(command, "--no-auth", gateway.no_auth,
           "No API keys: everyone on this machine may ask. Loopback only.");
  add_flag(command, "--insecure-http", gateway.insecure_http,
           "Let API keys cross a network in the clear.");
  add_text(command, "--tls-cert", gateway.tls_certificate,
           "Certificate chain; SIGHUP reads it anew.")
      ->type_name("PEM");
  add_text(command, "--tls-key", gateway.tls_key, "Its private key.")->type_name("PEM");
  add_byte_size(command, "--file-quota", gateway.file_quota_bytes, {1, std::uint64_t{1} << 50},
                "Files of a tenant, uploaded and written ones together.");
  add_integer(command, "--drain", options.drain_s, {0, 86'400},
              "Seconds that running requests get after SIGTERM.");
}

void add_replica_choices(CLI::App& command, ServeOptions& options) {
  GatewayConfig& gateway = options.gateway;
  WorkerChoices& worker = options.worker;
  add_integer(command, "--replicas", gateway.replicas, {1, 1024}, "Copies of the model.");
  add_integer(command, "--ranks", gateway.ranks, {1, 1024}, "Ranks of each replica.");
  add_choice(command, "--ranks-as", options.ranks_as, {"processes", "threads"},
             "Processes under mpirun, or threads of one process.");
  add_flag(command, "--attach", gateway.attach,
           "Start no replicas: they come with the key files in the state directory.");
  add_text(command, "--replica-host", gateway.replica_host, "IP address to listen at for replicas.")
      ->type_name("ADDRESS");
  add_integer(command, "--replica-port", options.replica_port, {0, 65535},
              "Port for replicas; 0: the one of the last start.");
  add_integer(command, "--wait-for-state", options.wait_for_state_s, {0, 86'400},
              "Seconds to wait for a gateway that still has the state directory.");
  add_job_gateway_options(command, options.job);
  add_integer(command, "--threads", worker.threads, {1, 1024},
              "Compute threads per rank. [cores / ranks on this node]");
  add_text(command, "--device", worker.device, "As in `lockstep run`.")->type_name("NAME");
  add_integer(command, "--ctx-size", worker.context_tokens, {0, 1U << 24},
              "Tokens of prompt and answer; 0: the model's context.");
  add_integer(command, "--chunk", worker.chunk_tokens, {1, 1 << 16}, "Prompt tokens per step.");
  add_integer(command, "--max-sequences", worker.max_sequences, {1, 4096},
              "Sequences at once in a replica.");
  add_integer(command, "--kv-blocks", worker.kv_blocks, {1, 1 << 24},
              "KV cache of a replica, in blocks of 16 tokens; at least a context.");
  add_integer(command, "--step-deadline", options.step_deadline_s, {1, 3600},
              "Seconds that a step may take. One that nobody works on hangs after 3.5.");
}

}  // namespace

void add_serve_command(CLI::App& root, CommandContext& context) {
  const auto options = std::make_shared<ServeOptions>();
  CLI::App& command = add_command(
      root, "serve",
      {.summary = "serves a model over an OpenAI-compatible API, with replicas of its own.",
       .usages = {"lockstep serve --model DIR --state DIR [--replicas 2 --ranks 2] [options]"},
       .exit_status =
           "0 drained (SIGTERM, SIGINT, SIGUSR1); 64 wrong usage; 65 bad store or state; "
           "69 address taken, or another gateway has the state; 74 the disk failed; "
           "77 files that others may read."});
  add_gateway_options(command, *options);
  add_replica_choices(command, *options);
  log_state_changes(command, context);
  set_action(command, context, [options] { return serve(*options); });
}

}  // namespace lockstep
