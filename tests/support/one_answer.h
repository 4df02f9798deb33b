// One request, answered under every circumstance that must not change a bit of the answer.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "chainbridge/job_record.h"
#include "cli/generation.h"
#include "worker/leader.h"

namespace lockstep {

// The circumstances that a running replica leaves open (ranks, threads, chunk and device are the
// replica's).
struct Circumstances {
  bool sampled = false;  // Else greedy.
  bool batched = false;  // With seven others, before and behind it.
  bool cached =
      false;       // After the same prompt was answered once, so that its prefix is in the cache.
  int longer = 0;  // Tokens put behind the prompt.
};

struct Answer {
  Completion completion;
  ResultHashes hashes;

  bool operator==(const Answer& other) const {
    return completion.token_ids == other.completion.token_ids && hashes == other.hashes &&
           completion.text == other.completion.text;
  }
};

// "<|im_start|>system ... What is the capital of ...?" as SmolLM2's template writes it: golden
// vectors a1 to b3.
inline std::vector<std::uint32_t> chat_prompt() {
  return {1,   9690, 198, 2683, 359,   253,  5356, 5646, 11173, 3365, 3511, 308,  34519,
          28,  7018, 411, 407,  19712, 8182, 2,    198,  1,     4093, 198,  1780, 314,
          260, 3575, 282, 4649, 47,    2,    198,  1,    520,   9531, 198};
}

inline Request one_answer_request(bool sampled, std::uint32_t tokens, std::uint32_t context) {
  Request request;
  request.prompt = chat_prompt();
  request.sampling.max_completion_tokens = tokens;
  request.sampling.ignore_eos = true;
  request.sampling.context_limit = context;
  if (sampled) {
    request.sampling.temperature = 0.8F;
    request.sampling.seed = 0x1234567890ULL;
    request.sampling.top_k = 100;
    request.sampling.top_p = 0.95F;
    request.sampling.repetition_penalty = 1.1F;
  }
  return request;
}

// Other users' requests: lengths that break chunks and blocks.
inline Request other_request(std::uint32_t index) {
  Request request;
  for (std::uint32_t i = 0; i < 5 + 13 * index; ++i) {
    request.prompt.push_back((index * 977 + i * 31 + 5) % 49152);
  }
  request.sampling.max_completion_tokens = 4 + index;
  request.sampling.seed = index;
  request.sampling.temperature = index % 2 == 0 ? 0.0F : 1.0F;
  request.sampling.trace = TraceKind::kTokens;
  return request;
}

inline Result<Answer> answer_once(Rank& rank, const Tokenizer* tokenizer, Circumstances how,
                                  std::uint32_t tokens) {
  Leader leader(rank, tokenizer);
  Request request = one_answer_request(how.sampled, tokens, rank.config().context_tokens);
  for (int i = 0; i < how.longer; ++i) {
    request.prompt.push_back(static_cast<std::uint32_t>((i * 7919 + 17) % 49152));
  }
  if (how.cached) {
    LOCKSTEP_TRY_ASSIGN(const SequenceId first, leader.add(request), "first");
    LOCKSTEP_TRY(run_until_idle(leader), "first");
    (void)leader.take(first);
  }
  constexpr std::uint32_t kOthers = 7;
  for (std::uint32_t i = 0; how.batched && i < kOthers / 2; ++i) {
    LOCKSTEP_TRY_ASSIGN([[maybe_unused]] const auto other, leader.add(other_request(i)), "other");
  }
  LOCKSTEP_TRY_ASSIGN(const SequenceId id, leader.add(request), "request");
  for (std::uint32_t i = kOthers / 2; how.batched && i < kOthers; ++i) {
    LOCKSTEP_TRY_ASSIGN([[maybe_unused]] const auto other, leader.add(other_request(i)), "other");
  }
  LOCKSTEP_TRY(run_until_idle(leader), "run");
  Answer answer;
  answer.completion = leader.take(id);
  LOCKSTEP_TRY_ASSIGN(const std::vector<RankReport> ranks, rank.lead_report(), "report");
  const AssignedJob job = identify_assignment(
      make_assignment(rank.manifest(), request, ranks, rank.device()), Digest{}, 0);
  answer.hashes = hash_result(job, make_result(answer.completion, 0));
  return answer;
}

}  // namespace lockstep
