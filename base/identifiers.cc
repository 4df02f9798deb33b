#include "base/identifiers.h"

#include <algorithm>

namespace lockstep {
namespace {

Digest stop_hash(const std::vector<std::string>& stop) {
  Bytes hashes;
  for (const std::string& text : stop) {
    const Digest hash = keccak256(text);
    hashes.insert(hashes.end(), hash.bytes.begin(), hash.bytes.end());
  }
  return keccak256(hashes);
}

Digest logit_bias_hash(const std::vector<std::pair<std::uint32_t, float>>& bias) {
  if (bias.empty()) return Digest{};
  Bytes bytes;
  for (const auto& [id, value] : bias) {
    append_le(bytes, id);
    append_le(bytes, value);
  }
  return keccak256(bytes);
}

}  // namespace

Digest sampling_hash(const SamplingParams& sampling) {
  return TaggedHash("sampling")
      .add_bits(sampling.temperature)
      .add(sampling.top_k)
      .add_bits(sampling.top_p)
      .add_bits(sampling.min_p)
      .add_bits(sampling.repetition_penalty)
      .add_bits(sampling.frequency_penalty)
      .add_bits(sampling.presence_penalty)
      .add(sampling.seed)
      .add(sampling.max_completion_tokens)
      .add(stop_hash(sampling.stop))
      .add(logit_bias_hash(sampling.logit_bias))
      .add(std::uint32_t{sampling.ignore_eos})
      .add(sampling.context_limit)
      .add(sampling.choice_index)
      .add(static_cast<std::uint32_t>(sampling.trace))
      .digest();
}

Digest prompt_hash(std::span<const std::uint32_t> prompt_ids, const Digest& salt) {
  std::vector<Digest> leaves;
  leaves.reserve(prompt_ids.size());
  for (std::size_t i = 0; i < prompt_ids.size(); ++i) {
    Bytes salted(salt.bytes.begin(), salt.bytes.end());
    salted.resize(32 + 24);
    for (int shift = 56; shift >= 0; shift -= 8) {
      salted.push_back(static_cast<std::uint8_t>(std::uint64_t{i} >> shift));
    }
    leaves.push_back(TaggedHash("token").add(i).add(prompt_ids[i]).add(keccak256(salted)).digest());
  }
  return TaggedHash("prompt").add(ordered_tree_root(leaves)).add(prompt_ids.size()).digest();
}

Digest spec_hash(const JobSpec& spec) {
  return TaggedHash("spec")
      .add(spec.model_id)
      .add(spec.sampling_hash)
      .add(spec.prompt_hash)
      .add(spec.prompt_tokens)
      .add(spec.max_completion_tokens)
      .add(spec.price_per_prompt_token)
      .add(spec.price_per_completion_token)
      .add(spec.deadline)
      .add(spec.provider)
      .digest();
}

Digest job_id(const JobOrigin& origin) {
  return TaggedHash("job")
      .add(origin.chain_id)
      .add(origin.contract)
      .add(origin.client)
      .add(origin.client_nonce)
      .digest();
}

Digest output_hash(std::span<const std::uint32_t> completion_ids, FinishReason reason) {
  Bytes ids;
  ids.reserve(4 * completion_ids.size());
  for (const std::uint32_t id : completion_ids) append_le(ids, id);
  return TaggedHash("output")
      .add(keccak256(ids))
      .add(completion_ids.size())
      .add(static_cast<std::uint32_t>(reason))
      .digest();
}

Digest logits_digest(std::span<const float> logits) {
  constexpr std::size_t kRun = 1024;
  Bytes hashes;
  for (std::size_t i = 0; i < logits.size(); i += kRun) {
    const auto run = logits.subspan(i, std::min(kRun, logits.size() - i));
    const Digest hash =
        sha256({reinterpret_cast<const std::uint8_t*>(run.data()), run.size_bytes()});
    hashes.insert(hashes.end(), hash.bytes.begin(), hash.bytes.end());
  }
  return sha256(hashes);
}

Digest trace_leaf(const TraceStep& step) {
  return TaggedHash("step")
      .add(step.position)
      .add(step.input_token)
      .add(step.logits_digest)
      .add(step.output_token)
      .digest();
}

Digest trace_root(std::span<const TraceStep> steps) {
  std::vector<Digest> leaves;
  leaves.reserve(steps.size());
  for (const TraceStep& step : steps) leaves.push_back(trace_leaf(step));
  return ordered_tree_root(leaves);
}

Digest result_hash(const Digest& job, std::uint64_t attempt, const Digest& spec,
                   const Digest& output, const Digest& trace) {
  return TaggedHash("result").add(job).add(attempt).add(spec).add(output).add(trace).digest();
}

}  // namespace lockstep
