// Byte-level BPE: words of bytes, merged in the order of the vocabulary's merge list.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/canonical_json.h"
#include "base/result.h"
#include "sharding/tokenizer/pretokenizer.h"
#include "sharding/tokenizer/symbol_merge.h"
#include "sharding/tokenizer/vocabulary.h"

namespace lockstep {

class ByteBpe {
 public:
  // Reads `tokenizer.ggml.pre` and `tokenizer.ggml.merges`. A merge of a text that is no token is
  // kCorrupt; one whose parts or result may not come out of text (special tokens) is left out.
  static Result<ByteBpe> from_json(const Json& object, const Vocabulary& vocabulary);

  // Appends the ids of `text`. A byte for which the vocabulary has no token gives none. Requires:
  // valid UTF-8, and the vocabulary of from_json.
  void encode(const Vocabulary& vocabulary, std::string_view text, std::vector<TokenId>& ids) const;

  // Llama 3 vocabularies ask for BOS unless the file says otherwise.
  bool adds_bos_by_default() const { return pretokenizer_ == Pretokenizer::kLlamaBpe; }

 private:
  static constexpr TokenId kNoToken = 0xFFFFFFFF;
  struct PairHash {
    std::size_t operator()(std::uint64_t pair) const {
      return static_cast<std::size_t>((pair ^ pair >> 29) * 0x9E3779B97F4A7C15U);
    }
  };

  ByteBpe() = default;
  Status read_merges(const Json& object, const Vocabulary& vocabulary);
  void encode_word(const Vocabulary& vocabulary, std::string_view word,
                   std::vector<Symbol>& symbols, std::vector<TokenId>& ids) const;

  Pretokenizer pretokenizer_ = Pretokenizer::kGpt2;
  std::array<TokenId, 256> byte_ids_{};
  std::unordered_map<std::uint64_t, Merge, PairHash> merges_;  // left id << 32 | right id
};

}  // namespace lockstep
