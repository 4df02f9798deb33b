#include "sharding/gguf/llama_source.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "sharding/gguf/float_row.h"
#include "sharding/gguf/gguf_value.h"
#include "sharding/gguf/rope_frequency.h"

namespace lockstep {
namespace {

constexpr std::size_t kMaxBlobBytes = 48 << 20;
constexpr std::string_view kTokenizerPrefix = "tokenizer.";
constexpr std::string_view kArchitecturePrefix = "llama.";

Error refuse(std::string message) { return Error{ErrorCode::kInvalidArgument, std::move(message)}; }

// Keys of the architecture that are read or change nothing that is computed.
constexpr std::array<std::string_view, 22> kKnownKeys = {
    "llama.attention.causal",
    "llama.attention.head_count",
    "llama.attention.head_count_kv",
    "llama.attention.key_length",
    "llama.attention.layer_norm_rms_epsilon",
    "llama.attention.sliding_window",
    "llama.attention.value_length",
    "llama.block_count",
    "llama.context_length",
    "llama.embedding_length",
    "llama.expert_count",
    "llama.expert_used_count",
    "llama.feed_forward_length",
    "llama.rope.dimension_count",
    "llama.rope.freq_base",
    "llama.rope.scale_linear",
    "llama.rope.scaling.attn_factor",
    "llama.rope.scaling.factor",
    "llama.rope.scaling.finetuned",
    "llama.rope.scaling.type",
    "llama.tensor_data_layout",
    "llama.vocab_size",
};

Status check_known_keys(const GgufFile& file) {
  for (const GgufValue& value : file.values()) {
    if (!value.key.starts_with(kArchitecturePrefix)) continue;
    if (std::find(kKnownKeys.begin(), kKnownKeys.end(), value.key) == kKnownKeys.end()) {
      return refuse("key " + std::string(value.key.substr(0, 80)) +
                    " is unknown, and could change what the model computes");
    }
  }
  return {};
}

// An integer in [min, max]; `fallback` when the key is missing, an error when there is no fallback.
Result<int> integer(const GgufFile& file, std::string_view key, Range limits,
                    std::optional<int> fallback = {}) {
  const GgufValue* value = file.find_value(key);
  if (value == nullptr) {
    if (fallback) return *fallback;
    return refuse("key " + std::string(key) + " is missing");
  }
  LOCKSTEP_TRY_ASSIGN(const std::uint64_t number, gguf_integer(*value), "metadata");
  if (number < static_cast<std::uint64_t>(limits.begin) ||
      number > static_cast<std::uint64_t>(limits.end)) {
    return refuse(std::string(key) + ": " + std::to_string(number) + " is not in [" +
                  std::to_string(limits.begin) + ", " + std::to_string(limits.end) + "]");
  }
  return static_cast<int>(number);
}

Result<float> real(const GgufFile& file, std::string_view key, std::optional<float> fallback = {}) {
  const GgufValue* value = file.find_value(key);
  if (value == nullptr) {
    if (fallback) return *fallback;
    return refuse("key " + std::string(key) + " is missing");
  }
  return gguf_float(*value);
}

Status check_architecture(const GgufFile& file) {
  const GgufValue* value = file.find_value("general.architecture");
  if (value == nullptr) return refuse("key general.architecture is missing");
  LOCKSTEP_TRY_ASSIGN(const std::string_view name, gguf_text(*value), "metadata");
  if (name != "llama") {
    return refuse("architecture \"" + std::string(name.substr(0, 80)) +
                  "\" is not supported; \"llama\" is");
  }
  if (const GgufValue* type = file.find_value("general.type"); type != nullptr) {
    LOCKSTEP_TRY_ASSIGN(const std::string_view text, gguf_text(*type), "metadata");
    if (text != "model") return refuse("general.type is not \"model\"");
  }
  LOCKSTEP_TRY_ASSIGN(const int splits, integer(file, "split.count", {0, 65535}, 0), "metadata");
  if (splits > 1) return refuse("split.count: the file is one of several; merge them first");
  return check_known_keys(file);
}

// Refuses what would change the computation.
Status check_variants(const GgufFile& file) {
  for (const char* key :
       {"llama.expert_count", "llama.expert_used_count", "llama.attention.sliding_window"}) {
    LOCKSTEP_TRY_ASSIGN(const int count, integer(file, key, {0, INT32_MAX}, 0), "metadata");
    if (count != 0) return refuse(std::string(key) + ": is not supported");
  }
  if (const GgufValue* causal = file.find_value("llama.attention.causal"); causal != nullptr) {
    LOCKSTEP_TRY_ASSIGN(const bool flag, gguf_flag(*causal), "metadata");
    if (!flag) return refuse("llama.attention.causal: only causal attention is supported");
  }
  std::string_view type = "none";
  if (const GgufValue* value = file.find_value("llama.rope.scaling.type"); value != nullptr) {
    LOCKSTEP_TRY_ASSIGN(type, gguf_text(*value), "metadata");
  }
  if (type != "none" && type != "linear") {
    return refuse("llama.rope.scaling.type: \"" + std::string(type.substr(0, 80)) +
                  "\" is not supported");
  }
  for (const char* key :
       {"llama.rope.scaling.factor", "llama.rope.scale_linear", "llama.rope.scaling.attn_factor"}) {
    LOCKSTEP_TRY_ASSIGN(const float factor, real(file, key, 1.0F), "metadata");
    if (factor != 1.0F) return refuse(std::string(key) + ": only factor 1 is supported");
  }
  return {};
}

Status read_heads(const GgufFile& file, ModelConfig& config) {
  LOCKSTEP_TRY_ASSIGN(config.num_heads, integer(file, "llama.attention.head_count", {1, kMaxHeads}),
                      "metadata");
  LOCKSTEP_TRY_ASSIGN(
      config.num_kv_heads,
      integer(file, "llama.attention.head_count_kv", {1, kMaxHeads}, config.num_heads), "metadata");
  if (config.num_heads % config.num_kv_heads != 0) {
    return refuse("llama.attention.head_count_kv: " + std::to_string(config.num_kv_heads) +
                  " does not divide the " + std::to_string(config.num_heads) + " heads");
  }
  const int even_share = config.hidden_dim / config.num_heads;
  LOCKSTEP_TRY_ASSIGN(config.head_size,
                      integer(file, "llama.attention.key_length", {1, kMaxHeadSize}, even_share),
                      "metadata");
  LOCKSTEP_TRY_ASSIGN(const int value_length,
                      integer(file, "llama.attention.value_length", {1, kMaxHeadSize}, even_share),
                      "metadata");
  if (config.head_size != value_length) {
    return refuse(
        "llama.attention.value_length: differs from the key length, which is not supported");
  }
  const bool derived = file.find_value("llama.attention.key_length") == nullptr;
  if (derived && config.hidden_dim % config.num_heads != 0) {
    return refuse("llama.attention.head_count: does not divide llama.embedding_length");
  }
  if (config.head_size < 1 || config.head_size > kMaxHeadSize) {
    return refuse("head size " + std::to_string(config.head_size) + " is not in [1, " +
                  std::to_string(kMaxHeadSize) + "]");
  }
  LOCKSTEP_TRY_ASSIGN(
      config.rotary_dims,
      integer(file, "llama.rope.dimension_count", {1, kMaxHeadSize}, config.head_size), "metadata");
  if (config.rotary_dims % 2 != 0 || config.rotary_dims > config.head_size) {
    return refuse("llama.rope.dimension_count: " + std::to_string(config.rotary_dims) +
                  " is odd or more than the head size " + std::to_string(config.head_size));
  }
  return {};
}

Result<ModelConfig> read_config(const GgufFile& file) {
  ModelConfig config;
  LOCKSTEP_TRY_ASSIGN(config.num_layers, integer(file, "llama.block_count", {1, kMaxLayers}),
                      "metadata");
  LOCKSTEP_TRY_ASSIGN(config.hidden_dim, integer(file, "llama.embedding_length", {1, kMaxDim}),
                      "metadata");
  LOCKSTEP_TRY_ASSIGN(config.ffn_dim, integer(file, "llama.feed_forward_length", {1, kMaxDim}),
                      "metadata");
  LOCKSTEP_TRY_ASSIGN(config.context_length,
                      integer(file, "llama.context_length", {1, kMaxContext}), "metadata");
  LOCKSTEP_TRY(read_heads(file, config), "metadata");
  LOCKSTEP_TRY_ASSIGN(config.rms_epsilon, real(file, "llama.attention.layer_norm_rms_epsilon"),
                      "metadata");
  if (!(config.rms_epsilon >= 0) || !std::isfinite(config.rms_epsilon)) {
    return refuse("llama.attention.layer_norm_rms_epsilon: is not a finite number from 0");
  }
  const GgufTensor* embedding = file.find_tensor(kEmbeddingName);
  if (embedding == nullptr) return refuse(std::string("tensor ") + kEmbeddingName + " is missing");
  if (embedding->rows > kMaxVocab) {
    return refuse(std::string("tensor ") + kEmbeddingName + ": more than " +
                  std::to_string(kMaxVocab) + " rows");
  }
  config.vocab_size = static_cast<int>(embedding->rows);
  LOCKSTEP_TRY_ASSIGN(const int stated,
                      integer(file, "llama.vocab_size", {1, kMaxVocab}, config.vocab_size),
                      "metadata");
  if (stated != config.vocab_size) {
    return refuse("llama.vocab_size: " + std::to_string(stated) + ", but token_embd.weight has " +
                  std::to_string(config.vocab_size) + " rows");
  }
  config.tied_head = file.find_tensor(kHeadName) == nullptr;
  return config;
}

// The format in which a matrix of this type is stored.
WeightFormat stored_format(const GgufTensor& tensor) {
  switch (tensor.type) {
    case GgufTensorType::kQ4_0:
      return WeightFormat::kQ4_0;
    case GgufTensorType::kQ4_1:
      return WeightFormat::kQ4_1;
    default:
      return WeightFormat::kQ8_0;
  }
}

// Every tensor as the source table lists it. A vector must be one, a matrix must not.
Result<std::vector<SourceTensor>> list_tensors(const GgufFile& file) {
  std::vector<SourceTensor> out;
  for (const GgufTensor& tensor : file.tensors()) {
    const std::string name(tensor.name);
    const bool norm = name.ends_with("_norm.weight") || name == kRopeFactorsName;
    if (norm != tensor.vector) {
      return refuse("tensor " + name.substr(0, 80) +
                    ": has the wrong number of dimensions, or is "
                    "not supported");
    }
    if (norm && !is_float_type(tensor.type)) {
      return refuse("tensor " + name.substr(0, 80) + ": a vector of type " +
                    std::string(gguf_tensor_type_name(tensor.type)) + " is not supported");
    }
    out.push_back({name, norm ? WeightFormat::kF32 : stored_format(tensor),
                   static_cast<int>(tensor.rows), static_cast<int>(tensor.k)});
  }
  return out;
}

Result<std::vector<float>> read_rope_factors(const GgufFile& file, const ModelConfig& config) {
  const GgufTensor* tensor = file.find_tensor(kRopeFactorsName);
  if (tensor == nullptr) return std::vector<float>{};
  if (!is_float_type(tensor->type) || tensor->rows != 1 || tensor->k != config.rotary_dims / 2) {
    return refuse(std::string("tensor ") + kRopeFactorsName + ": expected " +
                  std::to_string(config.rotary_dims / 2) + " floats");
  }
  std::vector<float> factors(static_cast<std::size_t>(tensor->k));
  read_floats(*tensor, 0, 0, factors);
  return factors;
}

Result<std::string> tokenizer_json(const GgufFile& file) {
  std::string out = "{";
  for (const GgufValue& value : file.values()) {  // Sorted by key.
    if (!value.key.starts_with(kTokenizerPrefix)) continue;
    if (out.size() > 1) out += ',';
    if (!append_json_string(value.key, out)) {
      return refuse("a key that begins with \"tokenizer.\" is no UTF-8");
    }
    out += ':';
    LOCKSTEP_TRY(append_gguf_json(value, kMaxBlobBytes, out), "metadata");
  }
  out += '}';
  if (out.size() > kMaxBlobBytes) {
    return Error{ErrorCode::kExhausted,
                 "the tokenizer keys are longer than " + std::to_string(kMaxBlobBytes) + " bytes"};
  }
  return out;
}

Result<std::string> chat_template(const GgufFile& file) {
  const GgufValue* value = file.find_value("tokenizer.chat_template");
  if (value == nullptr) return std::string{};
  LOCKSTEP_TRY_ASSIGN(const std::string_view text, gguf_text(*value), "metadata");
  return std::string(text);
}

}  // namespace

Result<LlamaSource> read_llama(const GgufFile& file) {
  LOCKSTEP_TRY(check_architecture(file), "GGUF");
  LOCKSTEP_TRY(check_variants(file), "GGUF");
  LlamaSource source;
  LOCKSTEP_TRY_ASSIGN(source.config, read_config(file), "GGUF");
  LOCKSTEP_TRY_ASSIGN(source.rope_factors, read_rope_factors(file, source.config), "GGUF");
  LOCKSTEP_TRY_ASSIGN(const float base, real(file, "llama.rope.freq_base", 10000.0F), "GGUF");
  LOCKSTEP_TRY_ASSIGN(source.config.rope_frequencies,
                      rope_frequencies(base, source.config.rotary_dims, source.rope_factors),
                      "GGUF");
  LOCKSTEP_TRY_ASSIGN(source.tensors, list_tensors(file), "GGUF");
  LOCKSTEP_TRY_ASSIGN(source.formats,
                      formats_of(source.config, source.tensors, !source.rope_factors.empty()),
                      "GGUF");
  LOCKSTEP_TRY_ASSIGN(source.tokenizer, tokenizer_json(file), "GGUF");
  LOCKSTEP_TRY_ASSIGN(source.chat_template, chat_template(file), "GGUF");
  return source;
}

}  // namespace lockstep
