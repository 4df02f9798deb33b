// Bytes as a tokenizer blob, as text and as a prompt. Input: a blob, then, after a 0xFF byte, a
// text; without one, the whole input is the blob and the text as well. Every text also meets a
// good vocabulary.
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "sharding/tokenizer.h"
#include "sharding/tokenizer/unicode.h"
#include "sharding/tokenizer/vocabulary.h"

namespace lockstep {
namespace {

// A vocabulary with every byte and three special tokens, one of them user defined where that keeps
// texts as they are (SPM puts a space behind it).
Tokenizer good_vocabulary(bool spm, const char* pre) {
  Json tokens = {"<s>", "<|end|>", "qq"};
  Json types = {3, 3, spm ? 3 : 4};
  Json scores = {0, 0, 0};
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    const std::string hex = {"0123456789ABCDEF"[byte / 16], "0123456789ABCDEF"[byte % 16]};
    tokens.push_back(spm ? "<0x" + hex + ">" : to_byte_level(std::string_view(&c, 1)));
    types.push_back(spm ? 6 : 1);
    scores.push_back(0);
  }
  for (const char* text : {"ab", "abc", "cab", "11", "aa", "aaaa"}) {
    tokens.push_back(text);
    types.push_back(1);
    scores.push_back(0);
  }
  for (const char* text : {"\xE2\x96\x81", "a", "b", "c"}) {
    if (!spm) break;
    tokens.push_back(text);
    types.push_back(1);
    scores.push_back(0);
  }
  const Json blob = {{"tokenizer.ggml.model", spm ? "llama" : "gpt2"},
                     {"tokenizer.ggml.pre", pre},
                     {"tokenizer.ggml.tokens", tokens},
                     {"tokenizer.ggml.token_type", types},
                     {"tokenizer.ggml.scores", scores},
                     {"tokenizer.ggml.merges", {"a b", "ab c", "c ab", "1 1", "a a", "aa aa"}},
                     {"tokenizer.ggml.bos_token_id", 0},
                     {"tokenizer.ggml.eos_token_id", 1}};
  Result<Tokenizer> tokenizer = Tokenizer::from_json(blob.dump());
  CHECK(tokenizer.ok(), tokenizer.error().message.c_str());
  return std::move(tokenizer).value();
}

std::string decode(const Tokenizer& tokenizer, const std::vector<TokenId>& ids) {
  Detokenizer detokenizer(tokenizer);
  std::string text;
  for (const TokenId id : ids) {
    const std::string part = detokenizer.push(id);
    CHECK(is_valid_utf8(part), "a part is no UTF-8");
    text += part;
  }
  return text + detokenizer.finish();
}

void check_text(const Tokenizer& tokenizer, std::string_view text) {
  const std::vector<TokenId> ids = tokenizer.encode(text);
  for (const TokenId id : ids) {
    CHECK(id < static_cast<TokenId>(tokenizer.vocab_size()), "an id outside the vocabulary");
    CHECK(!tokenizer.is_special(id) && !tokenizer.is_end(id), "a special token from user text");
  }
  const std::size_t cut = text.size() / 2;
  const PromptPiece pieces[] = {{std::string(text.substr(0, cut)), false},
                                {std::string(text.substr(cut)), false}};
  CHECK(tokenizer.encode_prompt(pieces, false) == ids, "pieces give other ids than their text");
  decode(tokenizer, tokenizer.encode(text, true));
}

}  // namespace
}  // namespace lockstep

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lockstep;
  static const Tokenizer good[] = {
      good_vocabulary(false, "gpt-2"),          good_vocabulary(false, "smollm"),
      good_vocabulary(false, "deepseek-coder"), good_vocabulary(false, "llama-bpe"),
      good_vocabulary(false, "qwen2"),          good_vocabulary(true, "default")};
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t bar = input.find('\xFF');
  const std::string_view text = bar == std::string_view::npos ? input : input.substr(bar + 1);
  const Result<Tokenizer> parsed = Tokenizer::from_json(input.substr(0, bar));
  if (parsed.ok()) check_text(parsed.value(), text);
  // One of them at a time, by the text's length: six would make each input six times as slow.
  const Tokenizer& tokenizer = good[text.size() % std::size(good)];
  check_text(tokenizer, text);
  const std::string expected = replace_all(replace_invalid_utf8(text), kSpmSpace, " ");
  const std::string decoded = decode(tokenizer, tokenizer.encode(text));
  CHECK(replace_all(decoded, kSpmSpace, " ") == expected, "decoding does not undo encoding");
  return 0;
}
