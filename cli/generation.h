// The options of sampling, and one request carried out to its end.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "chainbridge/job_record.h"
#include "cli/command.h"
#include "worker/leader.h"

namespace lockstep {

struct SamplingOptions {
  SamplingParams params;
  std::vector<std::string> logit_bias;  // "ID=VALUE".
  std::optional<std::uint64_t> seed;    // Empty: drawn for a request that samples.
  std::string trace = "logits";         // "tokens", "logits" or "layers".
};

// --max-tokens, --temperature, ..., --seed, --stop, --ignore-eos, --logit-bias, --choice-index,
// --trace.
void add_sampling_options(CLI::App& command, SamplingOptions& options);

// The parameters: logit biases parsed and sorted, trace kind set, and a seed from `random` where
// the request samples and none was given.
Result<SamplingParams> sampling_params(const SamplingOptions& options, Random& random);

// A request's way through a leader, with the times that a user feels.
struct Generation {
  Completion completion;
  bool interrupted = false;  // By Ctrl-C: the completion is what there was.
  double first_token_s = 0;  // From the start of the first step to the first token.
  double total_s = 0;        // ... to the last.

  double prefill_tokens_per_s() const;
  double decode_tokens_per_s() const;
};

// Runs one request alone; `show` gets the text as it comes. Stops early when an Interrupt was
// requested.
Result<Generation> generate(Leader& leader, Request request,
                            const std::function<void(const std::string& text)>& show);

// Steps until nothing waits or runs. The error of the first sequence that ends with one, or
// kAborted when an Interrupt was requested.
Status run_until_idle(Leader& leader);

// The job as the ledger, or nobody, records it.
Assignment make_assignment(const Manifest& manifest, const Request& request,
                           const std::vector<RankReport>& ranks, std::string_view device);

JobResult make_result(const Completion& completion, std::uint64_t assignment);

}  // namespace lockstep
