// What one step computes: a plain value that a test, a log line and the wire can all hold. The
// leader makes it, every rank checks its digest and carries it out.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/digest.h"
#include "base/result.h"

namespace lockstep {

enum class SequenceId : std::uint64_t {};
enum class StepId : std::uint64_t {};
enum class BlockId : std::int32_t {};
// Of a replica: raised when it begins anew, so that what is left of the time before can be told.
enum class GenerationId : std::uint64_t {};

// Tokens of one KV block.
inline constexpr int kBlockTokens = 16;

// One sequence's share of a step: tokens [first_position, first_position + tokens.size()).
struct ScheduledSequence {
  SequenceId sequence{};
  std::uint32_t first_position = 0;   // Tokens already in the KV cache.
  std::vector<std::uint32_t> tokens;  // Their ids; 1 when decoding, up to a chunk when prefilling.
  std::uint32_t known_blocks =
      0;  // Of its block table, named by earlier plans; 0 starts a new table.
  std::vector<BlockId> new_blocks;  // Appended to the sequence's block table before the step.
  std::uint32_t num_logits = 0;     // Of how many of its last tokens the logits are wanted.

  bool operator==(const ScheduledSequence&) const = default;
};

struct StepPlan {
  GenerationId generation{};
  StepId step{};
  std::vector<ScheduledSequence> decodes;   // Come first in every step.
  std::vector<ScheduledSequence> prefills;  // In order of class and arrival, then what is admitted.
  std::vector<SequenceId> finished;         // Or preempted: ranks forget their block tables first.

  int num_tokens() const;
  bool empty() const { return decodes.empty() && prefills.empty(); }
  bool operator==(const StepPlan&) const = default;
};

// Bounds that a decoder enforces.
inline constexpr std::uint32_t kMaxStepSequences = 1 << 16;
inline constexpr std::uint32_t kMaxStepTokens = 1 << 20;
inline constexpr std::uint32_t kMaxSequenceBlocks = 1 << 20;

// The plan's bytes (table in the folder's README), little-endian, followed by their SHA-256.
Bytes encode_plan(const StepPlan& plan);

// kCorrupt names the field, or says that the digest differs.
Result<StepPlan> decode_plan(ByteView bytes);

}  // namespace lockstep
