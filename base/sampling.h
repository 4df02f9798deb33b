// How the tokens of one request are chosen: the fields that `sampling_hash` covers. Defaults mean
// "off".
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace lockstep {

enum class TraceKind : std::uint8_t {
  kTokens = 0,  // The trace holds token ids alone.
  kLogits = 1,  // And a digest of the logits of every completion token.
};

enum class FinishReason : std::uint8_t {
  kStop = 0,    // The end token, or a stop string.
  kLength = 1,  // The token limit or the context limit.
};

struct SamplingParams {
  float temperature = 0.0F;         // >= 0; 0 is argmax.
  std::uint32_t top_k = 0;          // 0: off.
  float top_p = 1.0F;               // (0, 1]; 1: off.
  float min_p = 0.0F;               // [0, 1]; 0: off.
  float repetition_penalty = 1.0F;  // > 0; over prompt and completion tokens; 1: off.
  float frequency_penalty = 0.0F;   // Over completion tokens; 0: off.
  float presence_penalty = 0.0F;    // Over completion tokens; 0: off.
  std::uint64_t seed = 0;
  std::uint32_t max_completion_tokens = 256;  // >= 1.
  std::vector<std::string> stop;              // UTF-8, none empty.
  std::vector<std::pair<std::uint32_t, float>>
      logit_bias;  // (token id, bias), ids ascending, unique.
  bool ignore_eos = false;
  std::uint32_t context_limit = 0;  // Prompt and completion tokens together; the run's --ctx-size.
  std::uint32_t choice_index = 0;
  TraceKind trace = TraceKind::kLogits;
};

}  // namespace lockstep
