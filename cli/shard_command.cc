// `lockstep shard`: imports a GGUF file into a store.
#include <sys/stat.h>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/model_summary.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/progress_bar.h"
#include "sharding/import.h"

namespace lockstep {
namespace {

struct ShardOptions {
  std::string input;
  std::string output;
  std::optional<int> parts;
  std::string activation_bits = "16";
  std::string kv_bits = "16";
  std::uint64_t file_bytes = std::uint64_t{4} << 30;
};

Result<int> shard(const ShardOptions& options, const CommandContext& context) {
  const Clock& clock = system_clock();
  const std::int64_t start_ns = clock.monotonic_ns();
  const Interrupt interrupt;
  ImportOptions import{.parts = options.parts.value_or(0),
                       .activation_bits = options.activation_bits == "8" ? 8 : 16,
                       .kv_bits = options.kv_bits == "8" ? 8 : 16,
                       .file_bytes = options.file_bytes,
                       .progress = {},
                       .cancelled = &Interrupt::requested()};
  Result<Manifest> imported = [&] {
    ProgressBar bar(clock);
    import.progress = [&bar](std::uint64_t done, std::uint64_t total) { bar.update(done, total); };
    return import_gguf(options.input, options.output, import);
  }();
  if (!imported.ok()) return std::move(imported).error();

  const Manifest& manifest = imported.value();
  const double seconds = static_cast<double>(clock.monotonic_ns() - start_ns) * 1e-9;
  if (context.json) {
    OrderedJson json = model_json(options.output, manifest);
    json["seconds"] = seconds;
    LOCKSTEP_TRY(print_json(json), "result");
    return 0;
  }
  char took[32];
  (void)std::snprintf(took, sizeof took, "%.1f s", seconds);
  LOCKSTEP_TRY(print_text(summary_text(options.output, manifest) + "took          " + took + "\n"),
               "result");
  return 0;
}

}  // namespace

void add_shard_command(CLI::App& root, CommandContext& context) {
  const auto options = std::make_shared<ShardOptions>();
  CLI::App& command = add_command(
      root, "shard",
      {.summary = "imports a GGUF file into a store, cut for any number of ranks up to its parts.",
       .usages = {"lockstep shard IN.gguf --out DIR [options]",
                  "lockstep shard IN.gguf --out DIR --activation-bits 8 --kv-bits 8    (faster, "
                  "less exact)"},
       .exit_status = "0 done; 64 wrong usage, or DIR exists; 65 bad or unsupported file; 66 no "
                      "such file; 70 a bug; 74 I/O; 75 disk full; 78 bad configuration; 130 "
                      "interrupted. Unless it is 0, nothing is left at DIR."});
  add_text(command, "IN.gguf", options->input,
           "A GGUF v3 file of architecture llama; matrices in F32, F16, BF16 (stored as q8_0), "
           "Q8_0, Q4_0 or Q4_1 (stored without loss).")
      ->required()
      ->group("Required");
  add_text(command, "--out", options->output, "The store's directory; must not exist yet.")
      ->type_name("DIR")
      ->required()
      ->group("Required");
  add_integer(command, "--parts", options->parts, {1, 16},
              "Parts of every matrix, an upper bound for the number of ranks. A count that the "
              "model does not allow is refused. [the largest legal one, at most 16]")
      ->group("Store");
  add_choice(command, "--activation-bits", options->activation_bits, {"16", "8"},
             "Width of quantized activations, bits; part of the model's identity.")
      ->group("Store");
  add_choice(command, "--kv-bits", options->kv_bits, {"16", "8"},
             "Width of cached keys and values, bits; part of the model's identity.")
      ->group("Store");
  add_byte_size(
      command, "--file-bytes", options->file_bytes, {1 << 20, std::uint64_t{1} << 50},
      "Bytes of one file at most, 1MiB to 1024TiB, KiB, MiB, GiB or TiB behind; a dataset "
      "larger than this gets a file of its own. The model's identity does not depend on "
      "it.")
      ->group("Store");
  add_json_flag(command, context);
  set_action(command, context, [options, &context] { return shard(*options, context); });
}

}  // namespace lockstep
