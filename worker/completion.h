// What was asked of a replica and what came out.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/identifiers.h"
#include "base/result.h"
#include "base/sampling.h"
#include "base/wire.h"
#include "scheduler/priority.h"

namespace lockstep {

struct Request {
  std::vector<std::uint32_t> prompt;  // Token ids, at least one.
  SamplingParams sampling;            // context_limit 0: the replica's.

  PriorityClass priority = PriorityClass::kNormal;
  std::string tenant;  // Shares tokens fairly with others, prefixes with nobody.

  // The completion so far, when another replica has begun it: the answer goes on behind it exactly
  // as it would have.
  std::vector<CompletionToken> delivered;

  // How many log probabilities each completion token gets beside its own, 0 to 20; -1: none at all.
  std::int32_t num_top_logprobs = -1;

  // When set, the prompt is only scored: this gets the logits behind each prompt token, in order,
  // and no token is sampled.
  std::function<void(std::uint32_t position, std::span<const float> logits)> score;

  // When set, gets the raw logits behind each completion token before it is sampled.
  std::function<void(std::span<const float> logits)> observe;
};

struct Completion {
  std::vector<std::uint32_t> token_ids;  // End token and tokens of a matched stop string included.
  std::string text;                      // Without them.
  std::vector<TraceStep> trace;          // One per token, delivered ones included, as all above.
  FinishReason finish_reason = FinishReason::kLength;
  std::uint32_t prompt_tokens = 0;
  std::uint32_t cached_tokens = 0;    // Prompt tokens taken from the cache.
  std::uint32_t computed_tokens = 0;  // Tokens that went through the model.
  std::uint32_t steps = 0;            // Steps that this request took part in.
};

}  // namespace lockstep
