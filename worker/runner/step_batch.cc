#include "worker/runner/step_batch.h"

namespace lockstep {

Status BlockTables::append(const ScheduledSequence& entry, StepBatch& batch) {
  auto& table = tables_[entry.sequence];
  if (entry.known_blocks == 0) table.clear();  // The id may have been another leader's.
  if (entry.known_blocks != table.size()) {
    return Error{ErrorCode::kInvalidArgument,
                 "plan: the sequence's block table has another length"};
  }
  for (const BlockId block : entry.new_blocks) {
    const auto index = static_cast<std::int32_t>(block);
    if (index < 0 || index >= num_blocks_) {
      return Error{ErrorCode::kInvalidArgument, "plan: no KV block " + std::to_string(index)};
    }
    table.push_back(index);
  }
  const std::uint64_t end = std::uint64_t{entry.first_position} + entry.tokens.size();
  if (entry.tokens.empty() || end > table.size() * std::uint64_t{kBlockTokens}) {
    return Error{ErrorCode::kInvalidArgument, "plan: tokens without KV blocks, or none at all"};
  }
  if (entry.num_logits > entry.tokens.size()) {
    return Error{ErrorCode::kInvalidArgument, "plan: more logits than tokens"};
  }
  const int sequence = static_cast<int>(batch.tables.size());
  batch.tables.push_back(&table);
  for (std::size_t i = 0; i < entry.tokens.size(); ++i) {
    if (entry.tokens[i] >= vocab_size_) {
      return Error{ErrorCode::kInvalidArgument,
                   "plan: token " + std::to_string(entry.tokens[i]) + " is not in the vocabulary"};
    }
    batch.tokens.push_back(
        {entry.tokens[i], entry.first_position + static_cast<std::uint32_t>(i), sequence});
  }
  batch.traced_token = static_cast<int>(batch.tokens.size()) - 1;
  for (std::uint32_t i = entry.num_logits; i > 0; --i) {
    batch.logit_tokens.push_back(batch.traced_token + 1 - static_cast<int>(i));
  }
  return {};
}

Result<StepBatch> BlockTables::apply(const StepPlan& plan) {
  for (const SequenceId id : plan.finished) tables_.erase(id);
  StepBatch batch;
  for (const auto& entry : plan.decodes) LOCKSTEP_TRY(append(entry, batch), "decode");
  for (const auto& entry : plan.prefills) LOCKSTEP_TRY(append(entry, batch), "prefill");
  return batch;
}

}  // namespace lockstep
