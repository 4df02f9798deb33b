#include "chainbridge/ledger/record.h"

#include <bit>

#include "base/canonical_json.h"
#include "chainbridge/ledger/field.h"
#include "chainbridge/ledger/frame.h"

namespace lockstep {
namespace {

constexpr std::uint64_t kFormat = 1;

std::uint32_t bits(float value) { return std::bit_cast<std::uint32_t>(value); }

Json digest_list(const std::vector<Digest>& digests) {
  Json list = Json::array();
  for (const Digest& digest : digests) list.push_back(digest.hex());
  return list;
}

Json sampling_json(const SamplingParams& sampling) {
  Json bias = Json::array();
  for (const auto& [id, value] : sampling.logit_bias)
    bias.push_back(Json::array({id, bits(value)}));
  return {{"choice_index", sampling.choice_index},
          {"context_limit", sampling.context_limit},
          {"frequency_penalty_bits", bits(sampling.frequency_penalty)},
          {"ignore_eos", sampling.ignore_eos},
          {"logit_bias_bits", std::move(bias)},
          {"max_completion_tokens", sampling.max_completion_tokens},
          {"min_p_bits", bits(sampling.min_p)},
          {"presence_penalty_bits", bits(sampling.presence_penalty)},
          {"repetition_penalty_bits", bits(sampling.repetition_penalty)},
          {"seed", sampling.seed},
          {"stop", sampling.stop},
          {"temperature_bits", bits(sampling.temperature)},
          {"top_k", sampling.top_k},
          {"top_p_bits", bits(sampling.top_p)},
          {"trace", static_cast<std::uint32_t>(sampling.trace)}};
}

Json to_json(const GenesisRecord& record) {
  return {{"format", kFormat}, {"nonce", record.nonce.hex()}, {"type", "genesis"}};
}

Json to_json(const AssignmentRecord& record) {
  const Assignment& assignment = record.assignment;
  Json ranks = Json::array();
  for (const AssignedRank& rank : assignment.ranks) {
    ranks.push_back(
        {{"device", rank.device}, {"first_part", rank.first_part}, {"num_parts", rank.num_parts}});
  }
  return {{"assigned_at", record.assigned_at},
          {"job_id", record.job.job_id.hex()},
          {"model_id", assignment.model_id.hex()},
          {"prompt_hash", record.job.prompt_hash.hex()},
          {"prompt_ids", assignment.prompt_ids},
          {"ranks", std::move(ranks)},
          {"salt", assignment.salt.hex()},
          {"sampling", sampling_json(assignment.sampling)},
          {"sampling_hash", record.job.sampling_hash.hex()},
          {"spec_hash", record.job.spec_hash.hex()},
          {"tenant", assignment.tenant},
          {"type", "assignment"}};
}

Json to_json(const ResultRecord& record) {
  return {{"assignment", record.result.assignment},
          {"completed_at", record.completed_at},
          {"completion_ids", record.result.completion_ids},
          {"finish_reason", static_cast<std::uint32_t>(record.result.finish_reason)},
          {"job_id", record.job_id.hex()},
          {"output_hash", record.hashes.output_hash.hex()},
          {"result_hash", record.hashes.result_hash.hex()},
          {"spec_hash", record.spec_hash.hex()},
          {"token_digests", digest_list(record.result.token_digests)},
          {"trace_root", record.hashes.trace_root.hex()},
          {"type", "result"}};
}

Json to_json(const RollupRecord& record) {
  const RollupHeader& header = record.header;
  return {{"chain_id", header.chain_id},
          {"contract", header.contract.hex()},
          {"count", header.count},
          {"data_commitment", header.data_commitment.hex()},
          {"header_hash", record.header_hash.hex()},
          {"operator", header.operator_id.hex()},
          {"previous", header.previous.hex()},
          {"root", header.root.hex()},
          {"sequence", header.sequence},
          {"type", "rollup"}};
}

Result<std::vector<std::pair<std::uint32_t, float>>> read_logit_bias(const Json& object) {
  LOCKSTEP_TRY_ASSIGN(const Json* array, json_array(object, "logit_bias_bits"), "logit bias");
  std::vector<std::pair<std::uint32_t, float>> bias;
  for (const Json& item : *array) {
    const Json pair = {{"pair", item}};
    LOCKSTEP_TRY_ASSIGN(const auto numbers, json_u32s(pair, "pair"), "logit bias");
    if (numbers.size() != 2) {
      return Error{ErrorCode::kCorrupt, "\"logit_bias_bits\": expected pairs of token id and bits"};
    }
    bias.emplace_back(numbers[0], std::bit_cast<float>(numbers[1]));
  }
  return bias;
}

Result<std::vector<std::string>> read_stop(const Json& object) {
  LOCKSTEP_TRY_ASSIGN(const Json* array, json_array(object, "stop"), "stop texts");
  std::vector<std::string> stop;
  for (const Json& item : *array) {
    if (!item.is_string()) return Error{ErrorCode::kCorrupt, "\"stop\": expected texts"};
    stop.push_back(item.get<std::string>());
  }
  return stop;
}

Result<SamplingParams> read_sampling(const Json& object) {
  SamplingParams s;
  LOCKSTEP_TRY_ASSIGN(s.temperature, json_float_bits(object, "temperature_bits"), "sampling");
  LOCKSTEP_TRY_ASSIGN(s.top_k, json_u32(object, "top_k"), "sampling");
  LOCKSTEP_TRY_ASSIGN(s.top_p, json_float_bits(object, "top_p_bits"), "sampling");
  LOCKSTEP_TRY_ASSIGN(s.min_p, json_float_bits(object, "min_p_bits"), "sampling");
  LOCKSTEP_TRY_ASSIGN(s.repetition_penalty, json_float_bits(object, "repetition_penalty_bits"),
                      "sampling");
  LOCKSTEP_TRY_ASSIGN(s.frequency_penalty, json_float_bits(object, "frequency_penalty_bits"),
                      "sampling");
  LOCKSTEP_TRY_ASSIGN(s.presence_penalty, json_float_bits(object, "presence_penalty_bits"),
                      "sampling");
  LOCKSTEP_TRY_ASSIGN(s.seed, json_unsigned(object, "seed"), "sampling");
  LOCKSTEP_TRY_ASSIGN(s.max_completion_tokens, json_u32(object, "max_completion_tokens"),
                      "sampling");
  LOCKSTEP_TRY_ASSIGN(s.stop, read_stop(object), "sampling");
  LOCKSTEP_TRY_ASSIGN(s.logit_bias, read_logit_bias(object), "sampling");
  LOCKSTEP_TRY_ASSIGN(s.ignore_eos, json_flag(object, "ignore_eos"), "sampling");
  LOCKSTEP_TRY_ASSIGN(s.context_limit, json_u32(object, "context_limit"), "sampling");
  LOCKSTEP_TRY_ASSIGN(s.choice_index, json_u32(object, "choice_index"), "sampling");
  LOCKSTEP_TRY_ASSIGN(const std::uint64_t trace, json_unsigned(object, "trace", 1), "sampling");
  s.trace = static_cast<TraceKind>(trace);
  return s;
}

Result<std::vector<AssignedRank>> read_ranks(const Json& object) {
  LOCKSTEP_TRY_ASSIGN(const Json* array, json_array(object, "ranks"), "ranks");
  std::vector<AssignedRank> ranks;
  for (const Json& item : *array) {
    AssignedRank rank;
    LOCKSTEP_TRY_ASSIGN(rank.first_part, json_u32(item, "first_part"), "ranks");
    LOCKSTEP_TRY_ASSIGN(rank.num_parts, json_u32(item, "num_parts"), "ranks");
    LOCKSTEP_TRY_ASSIGN(rank.device, json_text(item, "device"), "ranks");
    ranks.push_back(std::move(rank));
  }
  return ranks;
}

Result<LedgerRecord> read_genesis(const Json& object) {
  LOCKSTEP_TRY_ASSIGN(const std::uint64_t format, json_unsigned(object, "format"), "genesis");
  if (format != kFormat) {
    return Error{ErrorCode::kCorrupt, "genesis: \"format\": " + std::to_string(format) +
                                          " is unknown, this program reads format 1"};
  }
  GenesisRecord record;
  LOCKSTEP_TRY_ASSIGN(record.nonce, json_digest(object, "nonce"), "genesis");
  return LedgerRecord(record);
}

Result<LedgerRecord> read_assignment(const Json& object) {
  AssignmentRecord record;
  Assignment& assignment = record.assignment;
  LOCKSTEP_TRY_ASSIGN(record.assigned_at, json_unsigned(object, "assigned_at"), "assignment");
  LOCKSTEP_TRY_ASSIGN(record.job.job_id, json_digest(object, "job_id"), "assignment");
  LOCKSTEP_TRY_ASSIGN(assignment.model_id, json_digest(object, "model_id"), "assignment");
  LOCKSTEP_TRY_ASSIGN(record.job.prompt_hash, json_digest(object, "prompt_hash"), "assignment");
  LOCKSTEP_TRY_ASSIGN(assignment.prompt_ids, json_u32s(object, "prompt_ids"), "assignment");
  LOCKSTEP_TRY_ASSIGN(assignment.ranks, read_ranks(object), "assignment");
  LOCKSTEP_TRY_ASSIGN(assignment.salt, json_digest(object, "salt"), "assignment");
  LOCKSTEP_TRY_ASSIGN(const Json* sampling, json_object(object, "sampling"), "assignment");
  LOCKSTEP_TRY_ASSIGN(assignment.sampling, read_sampling(*sampling), "assignment");
  LOCKSTEP_TRY_ASSIGN(record.job.sampling_hash, json_digest(object, "sampling_hash"), "assignment");
  LOCKSTEP_TRY_ASSIGN(record.job.spec_hash, json_digest(object, "spec_hash"), "assignment");
  LOCKSTEP_TRY_ASSIGN(assignment.tenant, json_text(object, "tenant"), "assignment");
  return LedgerRecord(std::move(record));
}

Result<LedgerRecord> read_result(const Json& object) {
  ResultRecord record;
  JobResult& result = record.result;
  LOCKSTEP_TRY_ASSIGN(result.assignment, json_unsigned(object, "assignment"), "result");
  LOCKSTEP_TRY_ASSIGN(record.completed_at, json_unsigned(object, "completed_at"), "result");
  LOCKSTEP_TRY_ASSIGN(result.completion_ids, json_u32s(object, "completion_ids"), "result");
  LOCKSTEP_TRY_ASSIGN(const std::uint64_t reason, json_unsigned(object, "finish_reason", 1),
                      "result");
  result.finish_reason = static_cast<FinishReason>(reason);
  LOCKSTEP_TRY_ASSIGN(record.job_id, json_digest(object, "job_id"), "result");
  LOCKSTEP_TRY_ASSIGN(record.hashes.output_hash, json_digest(object, "output_hash"), "result");
  LOCKSTEP_TRY_ASSIGN(record.hashes.result_hash, json_digest(object, "result_hash"), "result");
  LOCKSTEP_TRY_ASSIGN(record.spec_hash, json_digest(object, "spec_hash"), "result");
  LOCKSTEP_TRY_ASSIGN(result.token_digests, json_digests(object, "token_digests"), "result");
  LOCKSTEP_TRY_ASSIGN(record.hashes.trace_root, json_digest(object, "trace_root"), "result");
  return LedgerRecord(std::move(record));
}

Result<LedgerRecord> read_rollup(const Json& object) {
  RollupRecord record;
  RollupHeader& header = record.header;
  LOCKSTEP_TRY_ASSIGN(header.chain_id, json_unsigned(object, "chain_id"), "rollup");
  LOCKSTEP_TRY_ASSIGN(header.contract, json_digest(object, "contract"), "rollup");
  LOCKSTEP_TRY_ASSIGN(header.count, json_unsigned(object, "count"), "rollup");
  LOCKSTEP_TRY_ASSIGN(header.data_commitment, json_digest(object, "data_commitment"), "rollup");
  LOCKSTEP_TRY_ASSIGN(record.header_hash, json_digest(object, "header_hash"), "rollup");
  LOCKSTEP_TRY_ASSIGN(header.operator_id, json_digest(object, "operator"), "rollup");
  LOCKSTEP_TRY_ASSIGN(header.previous, json_digest(object, "previous"), "rollup");
  LOCKSTEP_TRY_ASSIGN(header.root, json_digest(object, "root"), "rollup");
  LOCKSTEP_TRY_ASSIGN(header.sequence, json_unsigned(object, "sequence"), "rollup");
  return LedgerRecord(record);
}

Result<LedgerRecord> read_record(const Json& object) {
  LOCKSTEP_TRY_ASSIGN(const std::string type, json_text(object, "type"), "record");
  if (type == "genesis") return read_genesis(object);
  if (type == "assignment") return read_assignment(object);
  if (type == "result") return read_result(object);
  if (type == "rollup") return read_rollup(object);
  return Error{ErrorCode::kCorrupt, "\"type\": expected genesis, assignment, result or rollup"};
}

}  // namespace

Result<std::string> encode_record(const LedgerRecord& record) {
  const Json json = std::visit([](const auto& kind) { return to_json(kind); }, record);
  auto payload = canonical_dump(json);
  if (payload.ok() && payload.value().size() > kMaxPayloadBytes) {
    return Error{ErrorCode::kExhausted, "a record of " + std::to_string(payload.value().size()) +
                                            " bytes, a ledger takes at most " +
                                            std::to_string(kMaxPayloadBytes)};
  }
  return payload;
}

Result<LedgerRecord> decode_record(std::string_view payload) {
  constexpr int kMaxDepth = 4;  // record, sampling, logit_bias_bits, pair
  LOCKSTEP_TRY_ASSIGN(const Json object, parse_json(payload, kMaxDepth), "payload");
  LOCKSTEP_TRY_ASSIGN(LedgerRecord record, read_record(object), "payload");
  // Unknown keys, white space, other spellings of a number: nothing that the fields do not say may
  // hide in a record.
  const auto canonical = encode_record(record);
  if (!canonical.ok() || canonical.value() != payload) {
    return Error{ErrorCode::kCorrupt, "payload: is not the canonical JSON of its fields"};
  }
  return record;
}

}  // namespace lockstep
