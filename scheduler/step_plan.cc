#include "scheduler/step_plan.h"

#include <algorithm>

namespace lockstep {
namespace {

constexpr std::uint32_t kMagic = 0x3250534C;  // "LSP2"

void append_sequence(Bytes& out, const ScheduledSequence& entry) {
  append_le(out, static_cast<std::uint64_t>(entry.sequence));
  append_le(out, entry.first_position);
  append_le(out, entry.num_logits);
  append_le(out, entry.known_blocks);
  append_le(out, static_cast<std::uint32_t>(entry.tokens.size()));
  append_le(out, static_cast<std::uint32_t>(entry.new_blocks.size()));
  for (const std::uint32_t token : entry.tokens) append_le(out, token);
  for (const BlockId block : entry.new_blocks) append_le(out, static_cast<std::int32_t>(block));
}

// Takes fields from the front of a byte view; after the end every field is an error.
class Reader {
 public:
  explicit Reader(ByteView bytes) : bytes_(bytes) {}

  template <typename T>
  Result<T> take(const char* field) {
    if (bytes_.size() < sizeof(T)) {
      return Error{ErrorCode::kCorrupt, std::string("plan ends in ") + field};
    }
    const T value = load_le<T>(bytes_.data());
    bytes_ = bytes_.subspan(sizeof(T));
    return value;
  }

  // A count that `max` bounds and that the remaining bytes can hold.
  Result<std::uint32_t> take_count(const char* field, std::uint32_t max) {
    LOCKSTEP_TRY_ASSIGN(const auto count, take<std::uint32_t>(field), "plan");
    if (count > max) {
      return Error{ErrorCode::kCorrupt, std::string("plan: ") + field + " is " +
                                            std::to_string(count) + ", at most " +
                                            std::to_string(max)};
    }
    return count;
  }

  bool at_end() const { return bytes_.empty(); }
  std::size_t remaining() const { return bytes_.size(); }

 private:
  ByteView bytes_;
};

Result<ScheduledSequence> take_sequence(Reader& reader) {
  ScheduledSequence entry;
  LOCKSTEP_TRY_ASSIGN(const auto id, reader.take<std::uint64_t>("sequence"), "plan");
  entry.sequence = SequenceId{id};
  LOCKSTEP_TRY_ASSIGN(entry.first_position, reader.take<std::uint32_t>("first position"), "plan");
  LOCKSTEP_TRY_ASSIGN(entry.num_logits, reader.take_count("logits", kMaxStepTokens), "plan");
  LOCKSTEP_TRY_ASSIGN(entry.known_blocks, reader.take_count("known blocks", kMaxSequenceBlocks),
                      "plan");
  LOCKSTEP_TRY_ASSIGN(const auto tokens, reader.take_count("tokens", kMaxStepTokens), "plan");
  LOCKSTEP_TRY_ASSIGN(const auto blocks, reader.take_count("blocks", kMaxSequenceBlocks), "plan");
  if (entry.num_logits > tokens) {
    return Error{ErrorCode::kCorrupt, "plan: more logits than tokens"};
  }
  if (std::uint64_t{4} * tokens + std::uint64_t{4} * blocks > reader.remaining()) {
    return Error{ErrorCode::kCorrupt, "plan ends in the tokens of a sequence"};
  }
  for (std::uint32_t i = 0; i < tokens; ++i) {
    LOCKSTEP_TRY_ASSIGN(const auto token, reader.take<std::uint32_t>("token"), "plan");
    entry.tokens.push_back(token);
  }
  for (std::uint32_t i = 0; i < blocks; ++i) {
    LOCKSTEP_TRY_ASSIGN(const auto block, reader.take<std::int32_t>("block"), "plan");
    if (block < 0) return Error{ErrorCode::kCorrupt, "plan: negative block"};
    entry.new_blocks.push_back(BlockId{block});
  }
  return entry;
}

Result<std::vector<ScheduledSequence>> take_sequences(Reader& reader, const char* field) {
  LOCKSTEP_TRY_ASSIGN(const auto count, reader.take_count(field, kMaxStepSequences), "plan");
  std::vector<ScheduledSequence> entries;
  for (std::uint32_t i = 0; i < count; ++i) {
    LOCKSTEP_TRY_ASSIGN(auto entry, take_sequence(reader), field);
    entries.push_back(std::move(entry));
  }
  return entries;
}

}  // namespace

int StepPlan::num_tokens() const {
  std::size_t tokens = 0;
  for (const auto& entry : decodes) tokens += entry.tokens.size();
  for (const auto& entry : prefills) tokens += entry.tokens.size();
  return static_cast<int>(tokens);
}

Bytes encode_plan(const StepPlan& plan) {
  constexpr std::size_t kEntryBytes = 28;
  std::size_t bytes = 32 + sizeof(Digest::bytes) + plan.finished.size() * sizeof(SequenceId);
  for (const auto* entries : {&plan.decodes, &plan.prefills}) {
    for (const auto& entry : *entries) {
      bytes +=
          kEntryBytes + sizeof(std::uint32_t) * (entry.tokens.size() + entry.new_blocks.size());
    }
  }
  Bytes out;
  out.reserve(bytes);
  append_le(out, kMagic);
  append_le(out, static_cast<std::uint64_t>(plan.generation));
  append_le(out, static_cast<std::uint64_t>(plan.step));
  append_le(out, static_cast<std::uint32_t>(plan.decodes.size()));
  for (const auto& entry : plan.decodes) append_sequence(out, entry);
  append_le(out, static_cast<std::uint32_t>(plan.prefills.size()));
  for (const auto& entry : plan.prefills) append_sequence(out, entry);
  append_le(out, static_cast<std::uint32_t>(plan.finished.size()));
  for (const SequenceId id : plan.finished) append_le(out, static_cast<std::uint64_t>(id));
  const Digest digest = sha256(out);
  out.insert(out.end(), digest.bytes.begin(), digest.bytes.end());
  return out;
}

Result<StepPlan> decode_plan(ByteView bytes) {
  if (bytes.size() < sizeof(Digest::bytes)) {
    return Error{ErrorCode::kCorrupt, "plan is shorter than its digest"};
  }
  const ByteView payload = bytes.first(bytes.size() - sizeof(Digest::bytes));
  const Digest digest = sha256(payload);
  if (!std::ranges::equal(digest.bytes, bytes.last(sizeof(Digest::bytes)))) {
    return Error{ErrorCode::kCorrupt, "plan: digest differs"};
  }
  Reader reader(payload);
  LOCKSTEP_TRY_ASSIGN(const auto magic, reader.take<std::uint32_t>("magic"), "plan");
  if (magic != kMagic) return Error{ErrorCode::kCorrupt, "plan: wrong magic"};
  StepPlan plan;
  LOCKSTEP_TRY_ASSIGN(const auto generation, reader.take<std::uint64_t>("generation"), "plan");
  plan.generation = GenerationId{generation};
  LOCKSTEP_TRY_ASSIGN(const auto step, reader.take<std::uint64_t>("step"), "plan");
  plan.step = StepId{step};
  LOCKSTEP_TRY_ASSIGN(plan.decodes, take_sequences(reader, "decodes"), "plan");
  LOCKSTEP_TRY_ASSIGN(plan.prefills, take_sequences(reader, "prefills"), "plan");
  LOCKSTEP_TRY_ASSIGN(const auto finished, reader.take_count("finished", kMaxStepSequences),
                      "plan");
  for (std::uint32_t i = 0; i < finished; ++i) {
    LOCKSTEP_TRY_ASSIGN(const auto id, reader.take<std::uint64_t>("finished sequence"), "plan");
    plan.finished.push_back(SequenceId{id});
  }
  if (!reader.at_end()) return Error{ErrorCode::kCorrupt, "plan: bytes behind its end"};
  return plan;
}

}  // namespace lockstep
