// `lockstep worker`: the ranks of one replica that serves a gateway.
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdlib>
#include <optional>

#include "base/checked.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/file.h"
#include "base/log.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/replica_session.h"
#include "scheduler/step_plan.h"
#include "worker/mpi_group.h"
#include "worker/replica_service.h"

namespace lockstep {
namespace {

constexpr int kTryAgainStatus = 75;
constexpr unsigned kFarewellSeconds = 10;

struct WorkerOptions {
  ReplicaOptions replica;
  std::string gateway;
  std::string key_file;
  std::uint32_t max_sequences = 64;
  int kv_blocks = 2048;
  int patience_s = 60;
  std::string beat_address;
  std::string step_file;
};

// A rank whose launcher was killed must not live on. (A replica of threads outlives its gateway by
// a lease, which is another matter.)
Status die_with_launcher() {
  const pid_t launcher = ::getppid();
  (void)::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != launcher || launcher == 1) {
    return Error{ErrorCode::kTimeout, "the launcher ended before this rank began"};
  }
  return {};
}

// The gateway ends a step that hangs, and must know its name for that.
Status write_step(const std::string& path) {
  const auto job = environment_variable("SLURM_JOB_ID");
  const auto step = environment_variable("SLURM_STEP_ID");
  if (path.empty() || !job || !step) return {};
  LOCKSTEP_TRY_ASSIGN(const File file, File::open_write(path, 0600), "--step-file");
  const std::string text = *job + "." + *step + "\n";
  LOCKSTEP_TRY(file.truncate(0), "--step-file");
  return file.write_all(0, as_bytes(text));
}

// What only rank 0 has.
struct Prepared {
  ReplicaKeys keys;
  std::optional<Tokenizer> tokenizer;
};

Result<Prepared> prepare(const WorkerOptions& options, const Store& store) {
  if (options.gateway.empty()) {
    return Error{ErrorCode::kInvalidArgument, "--gateway: expected tcp://ADDRESS:PORT"};
  }
  if (options.key_file.empty()) {
    return Error{ErrorCode::kInvalidArgument,
                 "--key-file: expected the file that the gateway made for this replica"};
  }
  LOCKSTEP_TRY(write_step(options.step_file), "step");
  Prepared prepared;
  LOCKSTEP_TRY_ASSIGN(prepared.keys, read_replica_keys(options.key_file), "--key-file");
  LOCKSTEP_TRY_ASSIGN(const std::string blob, store.read_blob(TensorKind::kTokenizer), "tokenizer");
  LOCKSTEP_TRY_ASSIGN(prepared.tokenizer, Tokenizer::from_json(blob), "tokenizer");
  return prepared;
}

// The cache holds at least one sequence of the whole context.
int kv_blocks(const WorkerOptions& options, const Store& store) {
  const auto longest = static_cast<std::uint32_t>(store.manifest().config.context_length);
  const std::uint32_t context =
      options.replica.context_tokens != 0 ? options.replica.context_tokens : longest;
  return std::max(options.kv_blocks, narrow<int>(ceil_div<std::uint32_t>(context, kBlockTokens)));
}

Result<int> work(const WorkerOptions& options) {
  if (started_by_mpi_launcher()) LOCKSTEP_TRY(die_with_launcher(), "replica");
  const Interrupt interrupt(InterruptSignals::kService);
  LOCKSTEP_TRY_ASSIGN(const auto session, ReplicaSession::open(options.replica), "replica");
  session->set_num_blocks(kv_blocks(options, session->store()));
  Result<Prepared> prepared =
      session->leads() ? prepare(options, session->store()) : Result<Prepared>(Prepared{});
  LOCKSTEP_TRY(session->load(prepared.ok() ? Status() : Status(prepared.error())), "replica");
  LOCKSTEP_TRY_ASSIGN(auto processes, session->processes(), "replica");
  RankBeatsConfig beats_config;
  beats_config.address = options.beat_address;
  beats_config.on_lost = [] { std::_Exit(kTryAgainStatus); };
  LOCKSTEP_TRY_ASSIGN(const auto beats, session->start_beats(processes, beats_config), "replica");
  if (!session->leads()) {
    LOCKSTEP_TRY(session->follow(), "rank");
    return 0;
  }
  Leader leader(session->rank(), &*prepared.value().tokenizer);
  ReplicaServiceConfig config;
  config.endpoint = options.gateway;
  config.keys = prepared.value().keys;
  config.max_sequences = options.max_sequences;
  config.ranks = std::move(processes);
  config.patience_ms = options.patience_s * 1000;
  if (beats != nullptr) config.oldest_rank_beat_ms = [&beats] { return beats->oldest_ms(); };
  config.abandon = [] {
    log_event(LogLevel::kError, "replica_abandoned", {{"why", "no gateway, and a step hangs"}});
    std::_Exit(kTryAgainStatus);
  };
  const Status served = serve_replica(leader, config, Interrupt::requested(), system_clock());
  // Ranks that do not answer the farewell must not keep this one.
  (void)::alarm(kFarewellSeconds);
  LOCKSTEP_TRY(served, "replica");
  return 0;
}

}  // namespace

void add_worker_command(CLI::App& root, CommandContext& context) {
  const auto options = std::make_shared<WorkerOptions>();
  CLI::App& command = add_command(
      root, "worker",
      {.summary = "computes for a gateway; `lockstep serve` starts its own workers.",
       .usages = {"lockstep worker --model DIR --gateway tcp://ADDRESS:PORT --key-file FILE "
                  "[options]",
                  "mpirun -n 3 lockstep worker --model DIR --gateway ... --key-file ...    (srun "
                  "--mpi=pmix alike)"},
       .exit_status = "0 drained (SIGTERM and SIGUSR1 ask for it); 64 wrong usage; 65 bad store or "
                      "key file; 66 no such file; 69 no such device or peer; 70 a bug; 75 no "
                      "gateway; 77 the key file is not private."});
  add_text(command, "--gateway", options->gateway, "Where the gateway listens for replicas.")
      ->type_name("tcp://ADDRESS:PORT");
  add_text(command, "--key-file", options->key_file,
           "The replica's secret key and the gateway's public one; nobody else may read it.")
      ->type_name("FILE");
  add_integer(command, "--max-sequences", options->max_sequences, {1, 4096},
              "Sequences at once, at most.");
  add_integer(command, "--kv-blocks", options->kv_blocks, {1, 1 << 24},
              "KV cache, in blocks of 16 tokens; at least one whole context.");
  add_integer(command, "--patience", options->patience_s, {1, 86'400},
              "Seconds to look for a gateway that answers.");
  add_text(command, "--beat-address", options->beat_address,
           "This host's address for ranks on other hosts. [what its name stands for]")
      ->type_name("ADDRESS");
  add_text(command, "--step-file", options->step_file,
           "Write Slurm's JOB.STEP here, for the gateway to end a step that hangs.")
      ->type_name("FILE");
  add_replica_options(command, options->replica);
  log_state_changes(command, context);
  set_action(command, context, [options] { return work(*options); });
}

}  // namespace lockstep
