// Builds small GGUF files for tests: any keys, any tensors, and a whole random model of
// architecture `llama`.
#pragma once

#include <bit>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "sharding/gguf/gguf_file.h"

namespace lockstep {

class GgufWriter {
 public:
  struct Tensor {
    std::vector<std::uint64_t> dims;  // dims[0] is the length of a row.
    GgufTensorType type = GgufTensorType::kF32;
    Bytes data;
  };

  GgufWriter& set_u32(const std::string& key, std::uint32_t value) {
    return set(key, GgufValueType::kUint32, encode(value));
  }
  GgufWriter& set_f32(const std::string& key, float value) {
    return set(key, GgufValueType::kFloat32, encode(value));
  }
  GgufWriter& set_bool(const std::string& key, bool value) {
    return set(key, GgufValueType::kBool, encode(static_cast<std::uint8_t>(value ? 1 : 0)));
  }
  GgufWriter& set_text(const std::string& key, const std::string& value) {
    Bytes bytes;
    append_text(bytes, value);
    return set(key, GgufValueType::kString, bytes);
  }
  GgufWriter& set_texts(const std::string& key, const std::vector<std::string>& values) {
    Bytes bytes = encode(std::uint32_t{8});
    append_le(bytes, std::uint64_t{values.size()});
    for (const std::string& value : values) append_text(bytes, value);
    return set(key, GgufValueType::kArray, bytes);
  }
  GgufWriter& set_floats(const std::string& key, const std::vector<float>& values) {
    Bytes bytes = encode(std::uint32_t{6});
    append_le(bytes, std::uint64_t{values.size()});
    for (const float value : values) append_le(bytes, value);
    return set(key, GgufValueType::kArray, bytes);
  }
  // A value as it stands in the file.
  GgufWriter& set(const std::string& key, GgufValueType type, Bytes encoded) {
    values_[key] = {type, std::move(encoded)};
    return *this;
  }
  GgufWriter& erase(const std::string& key) {
    values_.erase(key);
    return *this;
  }

  Tensor& tensor(const std::string& name) { return tensors_[name]; }
  bool has_tensor(const std::string& name) const { return tensors_.contains(name); }
  void erase_tensor(const std::string& name) { tensors_.erase(name); }

  Bytes bytes(std::uint32_t version = 3) const {
    Bytes out = {'G', 'G', 'U', 'F'};
    append_le(out, version);
    append_le(out, std::uint64_t{tensors_.size()});
    append_le(out, std::uint64_t{values_.size()});
    for (const auto& [key, value] : values_) {
      append_text(out, key);
      append_le(out, static_cast<std::uint32_t>(value.first));
      out.insert(out.end(), value.second.begin(), value.second.end());
    }
    std::uint64_t offset = 0;
    for (const auto& [name, tensor] : tensors_) {
      append_text(out, name);
      append_le(out, static_cast<std::uint32_t>(tensor.dims.size()));
      for (const std::uint64_t dim : tensor.dims) append_le(out, dim);
      append_le(out, static_cast<std::uint32_t>(tensor.type));
      append_le(out, offset);
      offset += (tensor.data.size() + 31) / 32 * 32;
    }
    for (const auto& [name, tensor] : tensors_) {
      out.resize((out.size() + 31) / 32 * 32);
      out.insert(out.end(), tensor.data.begin(), tensor.data.end());
    }
    return out;
  }

 private:
  template <typename T>
  static Bytes encode(T value) {
    Bytes bytes;
    append_le(bytes, value);
    return bytes;
  }
  static void append_text(Bytes& out, const std::string& text) {
    append_le(out, std::uint64_t{text.size()});
    out.insert(out.end(), text.begin(), text.end());
  }

  std::map<std::string, std::pair<GgufValueType, Bytes>> values_;
  std::map<std::string, Tensor> tensors_;
};

// The shape of a random model.
struct TinyLlama {
  std::uint32_t context = 128;
  std::uint32_t layers = 2;
  std::uint32_t dim = 64;
  std::uint32_t ffn = 96;
  std::uint32_t heads = 4;
  std::uint32_t kv_heads = 2;
  std::uint32_t head_size = 16;
  std::uint32_t vocab = 40;
  bool tied = true;
  GgufTensorType attention = GgufTensorType::kQ4_1;  // q, k, output.
  GgufTensorType value = GgufTensorType::kQ4_1;      // v.
  GgufTensorType gate = GgufTensorType::kQ4_0;
  GgufTensorType up = GgufTensorType::kQ4_0;  // And down.
  GgufTensorType embedding = GgufTensorType::kQ8_0;
  std::uint64_t seed = 1;
};

// Random bytes of a matrix whose scales are finite.
inline GgufWriter::Tensor random_matrix(GgufTensorType type, std::uint64_t rows, std::uint64_t k,
                                        std::mt19937_64& random) {
  GgufWriter::Tensor out{{k, rows}, type, {}};
  const auto half = [&] { append_le(out.data, static_cast<std::uint16_t>(random() % 0x3C00)); };
  const auto codes = [&](int count) {
    for (int i = 0; i < count; ++i) out.data.push_back(static_cast<std::uint8_t>(random()));
  };
  const auto real = [&] { return static_cast<float>(random() % 2001) / 1000.0F - 1.0F; };
  for (std::uint64_t row = 0; row < rows; ++row) {
    switch (type) {
      case GgufTensorType::kF32:
        for (std::uint64_t i = 0; i < k; ++i) append_le(out.data, real());
        break;
      case GgufTensorType::kF16:
        for (std::uint64_t i = 0; i < k; ++i) half();
        break;
      case GgufTensorType::kBf16:
        for (std::uint64_t i = 0; i < k; ++i) {
          append_le(out.data,
                    static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(real()) >> 16));
        }
        break;
      default:
        for (std::uint64_t i = 0; i < k / 32; ++i) {
          half();
          if (type == GgufTensorType::kQ4_1) half();
          codes(type == GgufTensorType::kQ8_0 ? 32 : 16);
        }
    }
  }
  return out;
}

inline GgufWriter tiny_llama(const TinyLlama& shape = {}) {
  std::mt19937_64 random(shape.seed);
  GgufWriter out;
  out.set_text("general.architecture", "llama");
  out.set_u32("llama.block_count", shape.layers).set_u32("llama.context_length", shape.context);
  out.set_u32("llama.embedding_length", shape.dim).set_u32("llama.feed_forward_length", shape.ffn);
  out.set_u32("llama.attention.head_count", shape.heads);
  out.set_u32("llama.attention.head_count_kv", shape.kv_heads);
  out.set_u32("llama.attention.key_length", shape.head_size);
  out.set_u32("llama.attention.value_length", shape.head_size);
  out.set_f32("llama.attention.layer_norm_rms_epsilon", 1e-5F);
  out.set_text("tokenizer.ggml.model", "gpt2").set_text("tokenizer.ggml.pre", "gpt-2");
  out.set_texts("tokenizer.ggml.tokens", {"a", "\"", "é", "a\""});
  out.set_texts("tokenizer.ggml.merges", {"a \""});
  out.set_floats("tokenizer.ggml.scores", {0.0F, -1.0F, 1.5F, 2.5F});
  out.set_text("tokenizer.chat_template", "{{ messages }}");
  const auto vector = [&](const std::string& name) {
    out.tensor(name) = random_matrix(GgufTensorType::kF32, 1, shape.dim, random);
    out.tensor(name).dims = {shape.dim};
  };
  const auto matrix = [&](const std::string& name, GgufTensorType type, std::uint64_t rows,
                          std::uint64_t k) {
    out.tensor(name) = random_matrix(type, rows, k, random);
  };
  const std::uint64_t query = shape.heads * shape.head_size;
  const std::uint64_t kv = shape.kv_heads * shape.head_size;
  matrix("token_embd.weight", shape.embedding, shape.vocab, shape.dim);
  if (!shape.tied) matrix("output.weight", shape.embedding, shape.vocab, shape.dim);
  vector("output_norm.weight");
  for (std::uint32_t layer = 0; layer < shape.layers; ++layer) {
    const std::string prefix = "blk." + std::to_string(layer) + ".";
    vector(prefix + "attn_norm.weight");
    vector(prefix + "ffn_norm.weight");
    matrix(prefix + "attn_q.weight", shape.attention, query, shape.dim);
    matrix(prefix + "attn_k.weight", shape.attention, kv, shape.dim);
    matrix(prefix + "attn_v.weight", shape.value, kv, shape.dim);
    matrix(prefix + "attn_output.weight", shape.attention, shape.dim, query);
    matrix(prefix + "ffn_gate.weight", shape.gate, shape.ffn, shape.dim);
    matrix(prefix + "ffn_up.weight", shape.up, shape.ffn, shape.dim);
    matrix(prefix + "ffn_down.weight", shape.up, shape.dim, shape.ffn);
  }
  return out;
}

}  // namespace lockstep
