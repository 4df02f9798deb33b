#include "sharding/store/model_hashes.h"

#include <bit>

#include "base/canonical_json.h"
#include "base/tagged_hash.h"

namespace lockstep {
namespace {

Digest rope_hash(const ModelConfig& config) {
  Bytes bits;
  for (const double frequency : config.rope_frequencies) append_le(bits, frequency);
  return keccak256(bits);
}

Json boundaries(const Manifest& manifest, Range Part::*range) {
  Json out = Json::array({0});
  for (const Part& part : manifest.parts) out.push_back((part.*range).end);
  return out;
}

}  // namespace

std::string config_json(const Manifest& manifest) {
  const ModelConfig& config = manifest.config;
  Json tensors = Json::array();
  for (const SourceTensor& tensor : manifest.source_tensors) {
    tensors.push_back({tensor.name, weight_format_name(tensor.format), tensor.rows, tensor.k});
  }
  const Json root = {
      {"activation_bits", config.activation_bits},
      {"architecture",
       {{"ffn_dim", config.ffn_dim},
        {"head_size", config.head_size},
        {"hidden_dim", config.hidden_dim},
        {"name", "llama"},
        {"num_heads", config.num_heads},
        {"num_kv_heads", config.num_kv_heads},
        {"num_layers", config.num_layers},
        {"rms_epsilon_bits", std::bit_cast<std::uint32_t>(config.rms_epsilon)},
        {"rotary_dims", config.rotary_dims},
        {"tied_head", config.tied_head},
        {"vocab_size", config.vocab_size}}},
      {"context_length", config.context_length},
      {"kv_bits", config.kv_bits},
      {"parts",
       {{"ffn", boundaries(manifest, &Part::ffn)},
        {"heads", boundaries(manifest, &Part::heads)},
        {"vocab", boundaries(manifest, &Part::vocab)}}},
      {"rope_hash", rope_hash(config).hex()},
      {"tensors", std::move(tensors)},
  };
  auto text = canonical_dump(root);
  CHECK(text.ok(), "the names of an architecture's tensors are ASCII");
  return std::move(text).value();
}

void set_model_hashes(Manifest& manifest) {
  manifest.config_hash = keccak256(config_json(manifest));
  manifest.model_id = TaggedHash("model")
                          .add(manifest.weights_root)
                          .add(manifest.tokenizer_hash)
                          .add(manifest.template_hash)
                          .add(manifest.config_hash)
                          .add(static_cast<std::uint32_t>(kNumericsVersion))
                          .digest();
}

}  // namespace lockstep
