#include "tests/sharding/tokenizer/tokenizer_support.h"

#include <bit>
#include <cstdint>
#include <cstdio>

#include "base/check.h"
#include "sharding/tokenizer/vocabulary.h"

namespace lockstep {

Json byte_level_blob() {
  Json tokens = {"<s>", "<|end|>", "<|user|>", "  "};
  Json types = {3, 3, 3, 4};
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    tokens.push_back(to_byte_level(std::string_view(&c, 1)));
  }
  for (const char* word : {"he", "ll", "hell", "hello", " hello"}) {
    tokens.push_back(to_byte_level(word));
  }
  while (types.size() < tokens.size()) types.push_back(1);
  return {
      {"tokenizer.ggml.model", "gpt2"},
      {"tokenizer.ggml.pre", "gpt-2"},
      {"tokenizer.ggml.tokens", tokens},
      {"tokenizer.ggml.token_type", types},
      {"tokenizer.ggml.merges", {"h e", "l l", "he ll", "hell o", to_byte_level(" ") + " hello"}},
      {"tokenizer.ggml.bos_token_id", 0},
      {"tokenizer.ggml.eos_token_id", 1},
      {"tokenizer.ggml.add_bos_token", true}};
}

Json spm_blob() {
  Json tokens = {"<unk>", "<s>", "</s>"};
  Json types = {2, 3, 3};
  for (int byte = 0; byte < 256; ++byte) {
    char text[8];
    std::snprintf(text, sizeof text, "<0x%02X>", static_cast<unsigned>(byte));
    tokens.push_back(text);
    types.push_back(6);
  }
  for (const char* text : {"\xE2\x96\x81", "a", "b", "ab",
                           "\xE2\x96\x81"
                           "a",
                           "\xE2\x96\x81"
                           "ab"}) {
    tokens.push_back(text);
    types.push_back(1);
  }
  Json scores = Json::array();
  for (std::size_t id = 0; id < tokens.size(); ++id) {
    scores.push_back(std::bit_cast<std::uint32_t>(static_cast<float>(id) - 300.0F));
  }
  return {{"tokenizer.ggml.model", "llama"},      {"tokenizer.ggml.tokens", tokens},
          {"tokenizer.ggml.token_type", types},   {"tokenizer.ggml.scores", scores},
          {"tokenizer.ggml.bos_token_id", 1},     {"tokenizer.ggml.eos_token_id", 2},
          {"tokenizer.ggml.unknown_token_id", 0}, {"tokenizer.ggml.add_bos_token", true}};
}

Tokenizer tokenizer_of(const Json& blob) {
  Result<Tokenizer> tokenizer = Tokenizer::from_json(blob.dump());
  CHECK(tokenizer.ok(), tokenizer.error().message.c_str());
  return std::move(tokenizer).value();
}

std::string refusal_of(const Json& blob) {
  const Result<Tokenizer> tokenizer = Tokenizer::from_json(blob.dump());
  CHECK(!tokenizer.ok(), "the blob was accepted");
  return tokenizer.error().message;
}

std::string bytes_of(const Tokenizer& tokenizer, const std::vector<TokenId>& ids) {
  std::string bytes;
  for (const TokenId id : ids) bytes += tokenizer.token_bytes(id);
  return bytes;
}

}  // namespace lockstep
