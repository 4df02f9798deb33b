// Byte-level BPE: words of bytes, merged in the order of the vocabulary's merge list.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/canonical_json.h"
#include "base/result.h"
#include "sharding/tokenizer/merge_queue.h"
#include "sharding/tokenizer/merge_table.h"
#include "sharding/tokenizer/pretokenizer.h"
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

  ByteBpe() = default;
  Status read_merges(const Json& object, const Vocabulary& vocabulary);
  void encode_word(const Vocabulary& vocabulary, std::string_view word, MergeQueue& queue,
                   std::vector<TokenId>& ids) const;

  Pretokenizer pretokenizer_ = Pretokenizer::kGpt2;
  std::array<TokenId, 256> byte_ids_{};
  MergeTable merges_;
};

}  // namespace lockstep
