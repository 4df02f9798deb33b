// The identifiers of a job and its result. Source: chain design, "Identifiers". Everything here is
// a pure function.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/digest.h"
#include "base/sampling.h"
#include "base/tagged_hash.h"

namespace lockstep {

Digest sampling_hash(const SamplingParams& sampling);

// Token ids, hidden behind a salt that opens one token at a time.
Digest prompt_hash(std::span<const std::uint32_t> prompt_ids, const Digest& salt);

// What a job asks for. The fields of the chain are 0 off chain.
struct JobSpec {
  Digest model_id;
  Digest sampling_hash;
  Digest prompt_hash;
  std::uint32_t prompt_tokens = 0;
  std::uint32_t max_completion_tokens = 0;
  std::uint64_t price_per_prompt_token = 0;
  std::uint64_t price_per_completion_token = 0;
  std::uint64_t deadline = 0;  // Unix seconds.
  Digest provider;             // An address, left-padded; 0 for anyone.
};
Digest spec_hash(const JobSpec& spec);

// Who asked. Off chain: chain_id 0, contract = ledger id (0 without a ledger), client =
// keccak256(tenant name), client_nonce = sequence of the assignment record (0 without a ledger).
struct JobOrigin {
  std::uint64_t chain_id = 0;
  Digest contract;
  Digest client;
  std::uint64_t client_nonce = 0;
};
Digest job_id(const JobOrigin& origin);

Digest output_hash(std::span<const std::uint32_t> completion_ids, FinishReason reason);

// SHA-256 over the SHA-256s of runs of 1,024 logits (binary32, little endian).
Digest logits_digest(std::span<const float> logits);

// One completion token's leaf in the trace.
struct TraceStep {
  std::uint32_t position = 0;  // Of `input_token` in the sequence; the first is prompt_tokens - 1.
  std::uint32_t input_token = 0;  // The token whose logits chose `output_token`.
  Digest logits_digest;           // 0 with TraceKind::kTokens.
  std::uint32_t output_token = 0;
};
Digest trace_leaf(const TraceStep& step);
Digest trace_root(std::span<const TraceStep> steps);

Digest result_hash(const Digest& job, std::uint64_t attempt, const Digest& spec,
                   const Digest& output, const Digest& trace);

}  // namespace lockstep
