// `lockstep inspect`: what is in a store, who would own what, and whether it is whole.
#include "base/clock.h"
#include "cli/command.h"
#include "cli/model_summary.h"
#include "cli/options.h"
#include "cli/output.h"
#include "sharding/store.h"

namespace lockstep {
namespace {

struct InspectOptions {
  std::string directory;
  bool verify = false;
  std::optional<int> ranks;
  std::vector<double> weights;
};

struct Verified {
  std::uint64_t bytes = 0;
  std::uint64_t leaves = 0;
  double seconds = 0;
};

Result<Verified> verify(const Store& store) {
  const std::int64_t start_ns = system_clock().monotonic_ns();
  Status status = store.verify();
  if (!status.ok()) return std::move(status).error();
  Verified verified{.bytes = store_bytes(store.manifest())};
  for (const StoredFile& file : store.manifest().files) verified.leaves += file.leaves.size();
  verified.seconds = static_cast<double>(system_clock().monotonic_ns() - start_ns) * 1e-9;
  return verified;
}

std::string verified_text(const Verified& verified, std::size_t num_files) {
  char seconds[32];
  (void)std::snprintf(seconds, sizeof seconds, "%.2f s", verified.seconds);
  return "Verified in " + std::string(seconds) + "\n" +
         format_table({{"manifest", "its hash, every range, shape and identifier"},
                       {"files", std::to_string(num_files) + ": size, sha256 and CID"},
                       {"leaves", std::to_string(verified.leaves) + " of 1 MiB, " +
                                      human_bytes(verified.bytes) + ": sha256 each"},
                       {"HDF5", "datasets, offsets, sizes and attributes as the manifest says"}},
                      "  ");
}

Result<int> inspect(const InspectOptions& options, const CommandContext& context) {
  Result<Store> store = Store::open(options.directory);
  if (!store.ok()) return std::move(store).error();
  const Manifest& manifest = store.value().manifest();
  const int ranks = options.ranks.value_or(
      options.weights.empty() ? 1 : static_cast<int>(options.weights.size()));
  LOCKSTEP_TRY_ASSIGN(const std::vector<Range> runs,
                      assign_parts(static_cast<int>(manifest.parts.size()), ranks, options.weights),
                      "--ranks " + std::to_string(ranks));
  const std::vector<RankShare> shares = rank_shares(manifest, runs);
  std::optional<Verified> verified;
  if (options.verify) {
    Result<Verified> result = verify(store.value());
    if (!result.ok()) return std::move(result).error();
    verified = result.value();
  }

  if (context.json) {
    OrderedJson json = model_json(options.directory, manifest);
    json["ranks"] = ranks_json(shares);
    json["verified"] = verified.has_value();
    if (verified) json["verify_seconds"] = verified->seconds;
    LOCKSTEP_TRY(print_json(json), "result");
    return 0;
  }
  std::string text = summary_text(options.directory, manifest);
  for (const std::string& section :
       {hashes_text(manifest), formats_text(manifest), parts_text(manifest), files_text(manifest),
        ranks_text(shares)}) {
    text += "\n" + section;
  }
  if (verified) text += "\n" + verified_text(*verified, manifest.files.size());
  LOCKSTEP_TRY(print_text(text), "result");
  return 0;
}

}  // namespace

void add_inspect_command(CLI::App& root, CommandContext& context) {
  const auto options = std::make_shared<InspectOptions>();
  CLI::App& command = add_command(
      root, "inspect",
      {.summary = "shows what is in a store: architecture, parts, formats, sizes, hashes, and who "
                  "would own what.",
       .usages = {"lockstep inspect DIR [options]",
                  "lockstep inspect DIR --verify    (reads every byte)"},
       .exit_status = "0 done; 64 wrong usage, or more ranks than parts; 65 the store is damaged "
                      "(file and leaf are named); 66 no such store; 70 a bug; 74 I/O; 78 bad "
                      "configuration."});
  add_text(command, "DIR", options->directory, "A store made by `lockstep shard`.")
      ->required()
      ->group("Required");
  add_flag(command, "--verify", options->verify,
           "Check every hash of every file, and that manifest and HDF5 agree. Reads the whole "
           "store.")
      ->group("Checks");
  add_integer(command, "--ranks", options->ranks, {1, 16},
              "Show the assignment for this many ranks, 1 to the number of parts. [1, or the "
              "number of weights]")
      ->group("Assignment");
  add_list(command, "--weights", options->weights, {1e-6, 1e6},
           "Share of each rank, positive; uneven is fine. [equal]")
      ->group("Assignment");
  add_json_flag(command, context);
  set_action(command, context, [options, &context] { return inspect(*options, context); });
}

}  // namespace lockstep
