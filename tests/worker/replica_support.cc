#include "tests/worker/replica_support.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace lockstep {

TinyLlama shape() {
  TinyLlama out;
  out.head_size = 32;
  out.ffn = 128;
  out.vocab = kVocab;
  return out;
}

Store imported(const GgufWriter& model, int bits) {
  static const ScratchDirectory scratch;
  static int count = 0;
  const std::string store_path = scratch.file("store" + std::to_string(count++));
  ImportOptions options;
  options.activation_bits = bits;
  options.kv_bits = bits;
  const auto manifest = import_gguf(scratch.write("in.gguf", model.bytes()), store_path, options);
  CHECK(manifest.ok(), manifest.ok() ? "" : manifest.error().message.c_str());
  auto store = Store::open(store_path);
  CHECK(store.ok(), store.ok() ? "" : store.error().message.c_str());
  return std::move(store).value();
}

std::unique_ptr<LocalReplica> start(const Store& store, int ranks, ReplicaConfig config) {
  if (config.num_blocks == 0) config.num_blocks = 64;
  auto replica = LocalReplica::start(store, config, ranks);
  CHECK(replica.ok(), replica.ok() ? "" : replica.error().message.c_str());
  return std::move(replica).value();
}

Request request_of(std::uint32_t prompt_tokens, std::uint32_t tokens, float temperature) {
  Request request;
  for (std::uint32_t i = 0; i < prompt_tokens; ++i) {
    request.prompt.push_back((i * i * 7 + prompt_tokens) % kVocab);
  }
  request.sampling.max_completion_tokens = tokens;
  request.sampling.temperature = temperature;
  request.sampling.seed = 17;
  return request;
}

std::map<SequenceId, Status> run(Leader& leader) {
  std::map<SequenceId, Status> failed;
  while (!leader.idle()) {
    const auto events = leader.step();
    CHECK(events.ok(), events.ok() ? "" : events.error().message.c_str());
    for (const SequenceEvent& event : events.value()) {
      if (!event.status.ok()) failed[event.sequence] = event.status;
    }
  }
  return failed;
}

std::vector<ReplicaAnswer> answers(Leader& leader, const std::vector<Request>& requests) {
  std::vector<SequenceId> ids;
  for (const Request& request : requests) ids.push_back(leader.add(request).value());
  auto failed = run(leader);
  std::vector<ReplicaAnswer> out;
  for (const SequenceId id : ids) out.push_back({leader.take(id), failed[id]});
  return out;
}

std::vector<ReplicaAnswer> answers(LocalReplica& replica, const std::vector<Request>& requests) {
  Leader leader(replica.leader(), nullptr);
  return answers(leader, requests);
}

void expect_equal(const ReplicaAnswer& got, const ReplicaAnswer& wanted, const std::string& what) {
  ASSERT_TRUE(got.status.ok()) << what << ": " << got.status.error().message;
  EXPECT_EQ(got.completion.token_ids, wanted.completion.token_ids) << what;
  EXPECT_EQ(trace_root(got.completion.trace), trace_root(wanted.completion.trace)) << what;
}

const Store& plain_store() {
  static const Store store = imported(tiny_llama(shape()));
  return store;
}

GgufWriter overflowing_model() {
  constexpr std::size_t kChannel = 5;
  GgufWriter model = tiny_llama(shape());
  GgufWriter::Tensor& embedding = model.tensor("token_embd.weight");
  constexpr std::size_t kBlockBytes = 34;  // q8_0: a binary16 scale, 32 codes.
  const std::size_t row_bytes = embedding.data.size() / kVocab;
  for (std::uint32_t token = 0; token < kVocab; ++token) {
    std::uint8_t* row = embedding.data.data() + token * row_bytes;
    if (token == kOverflowingToken) {
      std::fill_n(row, row_bytes, std::uint8_t{0});
      row[0] = 0xFF;  // 65504.
      row[1] = 0x7B;
    }
    static_assert(kChannel < kBlockBytes - 2);
    row[2 + kChannel] = token == kOverflowingToken ? 127 : 0;
  }
  for (const char* layer : {"blk.0.", "blk.1."}) {
    for (const char* name : {"attn_output.weight", "ffn_down.weight"}) {
      GgufWriter::Tensor& matrix = model.tensor(std::string(layer) + name);
      const std::size_t bytes = matrix.data.size() / matrix.dims[1];
      std::fill_n(matrix.data.begin() + static_cast<std::ptrdiff_t>(kChannel * bytes), bytes,
                  std::uint8_t{0});
    }
  }
  const float huge = 3e38F;
  std::memcpy(model.tensor("blk.1.ffn_norm.weight").data.data() + kChannel * sizeof huge, &huge,
              sizeof huge);
  return model;
}

Tokenizer letters(const std::string& last) {
  std::string tokens = R"("<s>","</s>")";
  std::string types = "3,3";
  for (int i = 0; i < 37; ++i) {
    tokens += std::string(",\"") + static_cast<char>(i < 26 ? 'a' + i : 'A' + i - 26) + '"';
    types += ",1";
  }
  tokens += ",\"" + last + '"';
  types += ",1";
  auto tokenizer = Tokenizer::from_json(
      R"({"tokenizer.ggml.eos_token_id":1,"tokenizer.ggml.merges":[],"tokenizer.ggml.model":"gpt2",)"
      R"("tokenizer.ggml.pre":"gpt-2","tokenizer.ggml.token_type":[)" +
      types + R"(],"tokenizer.ggml.tokens":[)" + tokens + "]}");
  CHECK(tokenizer.ok(), tokenizer.ok() ? "" : tokenizer.error().message.c_str());
  return std::move(tokenizer).value();
}

std::string text_of(const Tokenizer& tokenizer, std::span<const std::uint32_t> ids) {
  std::string out;
  for (const std::uint32_t id : ids) out += tokenizer.token_bytes(id);
  return out;
}

}  // namespace lockstep
