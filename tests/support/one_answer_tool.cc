// Answers the one request under every circumstance on the ranks that it is started with, threads or
// MPI processes, and prints one JSON line for each:
//
//   [mpirun -n 3] one_answer_tool STORE CHUNK THREADS DEVICE TRANSPORT TOKENS
#include <cstdio>
#include <cstdlib>

#include "cli/output.h"
#include "cli/replica_session.h"
#include "tests/support/one_answer.h"

namespace lockstep {
namespace {

Status print_answer(const Circumstances& how, const Answer& answer, int ranks) {
  OrderedJson json;
  json["ranks"] = ranks;
  json["sampled"] = how.sampled;
  json["batched"] = how.batched;
  json["cached"] = how.cached;
  json["token_ids"] = answer.completion.token_ids;
  json["trace_root"] = answer.hashes.trace_root.hex();
  json["result_hash"] = answer.hashes.result_hash.hex();
  json["cached_tokens"] = answer.completion.cached_tokens;
  std::printf("%s\n",
              json.dump().c_str());  // One line, also on the terminal that mpirun gives its ranks.
  return {};
}

Status run(const char* const* argv) {
  ReplicaOptions options;
  options.model = argv[1];
  options.chunk_tokens = std::atoi(argv[2]);
  options.threads = std::atoi(argv[3]);
  options.device = argv[4];
  options.transport = argv[5];
  options.context_tokens = 512;
  const auto tokens = static_cast<std::uint32_t>(std::atoi(argv[6]));
  LOCKSTEP_TRY_ASSIGN(const auto session, ReplicaSession::open(options), "open");
  LOCKSTEP_TRY(session->load(Status(), /*num_sequences=*/8), "load");
  if (!session->leads()) return session->follow();
  for (int bits = 0; bits < 8; ++bits) {
    const Circumstances how{(bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0};
    LOCKSTEP_TRY_ASSIGN(const Answer answer, answer_once(session->rank(), nullptr, how, tokens),
                        "answer");
    LOCKSTEP_TRY(print_answer(how, answer, session->world_size()), "print");
  }
  return {};
}

}  // namespace
}  // namespace lockstep

int main(int argc, char** argv) {
  if (argc != 7) {
    std::fprintf(stderr, "usage: one_answer_tool STORE CHUNK THREADS DEVICE TRANSPORT TOKENS\n");
    return 64;
  }
  const lockstep::Status status = lockstep::run(argv);
  if (status.ok()) return 0;
  std::fprintf(stderr, "one_answer_tool: %s\n", status.error().message.c_str());
  return lockstep::exit_status(status.error().code);
}
