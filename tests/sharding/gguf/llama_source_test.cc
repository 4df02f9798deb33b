#include "sharding/gguf/llama_source.h"

#include <gtest/gtest.h>

#include "tests/support/gguf_writer.h"

namespace lockstep {
namespace {

std::string refusal(const GgufWriter& writer) {
  const Bytes bytes = writer.bytes();
  const auto file = GgufFile::parse(bytes);
  if (!file.ok()) return file.error().message;
  const auto source = read_llama(file.value());
  return source.ok() ? "" : source.error().message;
}

void expect_refused(const GgufWriter& writer, const std::string& reason) {
  EXPECT_NE(refusal(writer).find(reason), std::string::npos) << reason << ": " << refusal(writer);
}

TEST(LlamaSourceRead, TakesDimensionsAndDefaults) {
  const Bytes bytes = tiny_llama().bytes();
  const auto file = GgufFile::parse(bytes);
  ASSERT_TRUE(file.ok());
  const auto source = read_llama(file.value());
  ASSERT_TRUE(source.ok()) << source.error().message;
  const ModelConfig& config = source.value().config;
  EXPECT_EQ(config.num_layers, 2);
  EXPECT_EQ(config.hidden_dim, 64);
  EXPECT_EQ(config.ffn_dim, 96);
  EXPECT_EQ(config.num_heads, 4);
  EXPECT_EQ(config.num_kv_heads, 2);
  EXPECT_EQ(config.rotary_dims, 16);
  EXPECT_EQ(config.vocab_size, 40);
  EXPECT_TRUE(config.tied_head);
  ASSERT_EQ(config.rope_frequencies.size(), 8u);
  EXPECT_EQ(config.rope_frequencies[4], 0.01);
  EXPECT_EQ(source.value().chat_template, "{{ messages }}");
  EXPECT_EQ(
      source.value().tokenizer,
      "{\"tokenizer.chat_template\":\"{{ messages }}\",\"tokenizer.ggml.merges\":[\"a \\\"\"],"
      "\"tokenizer.ggml.model\":\"gpt2\",\"tokenizer.ggml.pre\":\"gpt-2\","
      "\"tokenizer.ggml.scores\":[0,3212836864,1069547520,1075838976],"
      "\"tokenizer.ggml.tokens\":[\"a\",\"\\\"\",\"é\",\"a\\\"\"]}");
}

TEST(LlamaSourceRead, TakesAnUntiedHead) {
  TinyLlama shape;
  shape.tied = false;
  EXPECT_EQ(refusal(tiny_llama(shape)), "");
}

TEST(LlamaSourceRead, DividesFrequenciesByTheirFactors) {
  GgufWriter writer = tiny_llama();
  auto& factors = writer.tensor("rope_freqs.weight");
  factors = {{8}, GgufTensorType::kF32, {}};
  for (int i = 0; i < 8; ++i) append_le(factors.data, i < 4 ? 1.0F : 8.0F);
  const Bytes bytes = writer.bytes();
  const auto file = GgufFile::parse(bytes);
  const auto source = read_llama(file.value());
  ASSERT_TRUE(source.ok()) << source.error().message;
  EXPECT_EQ(source.value().config.rope_frequencies[0], 1);
  EXPECT_EQ(source.value().config.rope_frequencies[4], 0.00125);
  factors.dims = {4};
  factors.data.resize(16);
  expect_refused(writer, "rope_freqs.weight");
}

TEST(LlamaSourceRead, RefusesOtherArchitecturesByName) {
  expect_refused(tiny_llama().set_text("general.architecture", "qwen2"), "\"qwen2\"");
  expect_refused(tiny_llama().erase("general.architecture"), "general.architecture");
}

TEST(LlamaSourceRead, RefusesVariantsByName) {
  expect_refused(tiny_llama().set_u32("llama.expert_count", 8), "llama.expert_count");
  expect_refused(tiny_llama().set_u32("llama.attention.sliding_window", 4096), "sliding_window");
  expect_refused(tiny_llama().set_text("llama.rope.scaling.type", "yarn"), "\"yarn\"");
  expect_refused(tiny_llama().set_f32("llama.rope.scaling.factor", 2), "scaling.factor");
  expect_refused(tiny_llama().set_f32("llama.rope.scale_linear", 2), "scale_linear");
  expect_refused(tiny_llama().set_bool("llama.attention.causal", false), "causal");
  expect_refused(tiny_llama().set_f32("llama.logit_scale", 2), "llama.logit_scale is unknown");
  expect_refused(tiny_llama().set_u32("split.count", 2), "split.count");
  EXPECT_EQ(refusal(tiny_llama().set_text("llama.rope.scaling.type", "none")), "");
}

TEST(LlamaSourceRead, RefusesDimensionsThatDoNotFit) {
  expect_refused(tiny_llama().set_u32("llama.attention.head_count_kv", 3), "head_count_kv");
  expect_refused(tiny_llama().set_u32("llama.attention.value_length", 8), "value_length");
  expect_refused(tiny_llama().set_u32("llama.rope.dimension_count", 15), "dimension_count");
  expect_refused(tiny_llama().set_u32("llama.rope.dimension_count", 18), "dimension_count");
  expect_refused(tiny_llama().set_u32("llama.block_count", 3), "blk.2.attn_q.weight is missing");
  expect_refused(tiny_llama().set_u32("llama.block_count", 1), "blk.1.");
  expect_refused(tiny_llama().set_u32("llama.block_count", 0), "llama.block_count");
  expect_refused(tiny_llama().set_u32("llama.embedding_length", 32), "does not fit");
  expect_refused(tiny_llama().set_u32("llama.vocab_size", 41), "llama.vocab_size");
  expect_refused(tiny_llama().set_f32("llama.attention.layer_norm_rms_epsilon", -1), "epsilon");
  expect_refused(tiny_llama().set_f32("llama.rope.freq_base", 0), "RoPE base");
  expect_refused(tiny_llama().set_text("llama.context_length", "x"), "expected an integer");
  GgufWriter missing = tiny_llama();
  missing.erase("llama.feed_forward_length");
  expect_refused(missing, "llama.feed_forward_length is missing");
}

TEST(LlamaSourceRead, RefusesTensorsByName) {
  for (const char* name : {"blk.0.attn_q.bias", "blk.0.ffn_gate_exps.weight", "extra.weight"}) {
    GgufWriter writer = tiny_llama();
    writer.tensor(name) = {{64}, GgufTensorType::kF32, Bytes(256)};
    expect_refused(writer, name);
  }
  GgufWriter missing = tiny_llama();
  missing.erase_tensor("blk.1.ffn_norm.weight");
  expect_refused(missing, "blk.1.ffn_norm.weight");
  GgufWriter quantized = tiny_llama();
  quantized.tensor("output_norm.weight") = {{64}, GgufTensorType::kQ8_0, Bytes(68)};
  expect_refused(quantized, "output_norm.weight");
}

TEST(LlamaSourceRead, RefusesTokenizerTextThatIsNoUtf8ByKey) {
  expect_refused(tiny_llama().set_texts("tokenizer.ggml.tokens", {"a", "\xFF"}),
                 "tokenizer.ggml.tokens: element 1");
}

}  // namespace
}  // namespace lockstep
