// SentencePiece-style BPE: characters merged by the scores of the tokens that they make, bytes for
// what is no token.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/canonical_json.h"
#include "base/result.h"
#include "sharding/tokenizer/merge_queue.h"
#include "sharding/tokenizer/vocabulary.h"

namespace lockstep {

class SpmBpe {
 public:
  // Reads `tokenizer.ggml.scores`, given as binary32 bits. A score that is no finite number is
  // kCorrupt.
  static Result<SpmBpe> from_json(const Json& object, const Vocabulary& vocabulary);

  // Appends the ids of `text`, with a space in front where the vocabulary wants one. Empty text
  // gives none. A byte for which the vocabulary has no token gives none. Requires: valid UTF-8, and
  // the vocabulary of from_json.
  void encode(const Vocabulary& vocabulary, std::string_view text, std::vector<TokenId>& ids) const;

  bool adds_space_prefix() const { return add_space_prefix_; }

 private:
  static constexpr TokenId kNoToken = 0xFFFFFFFF;

  SpmBpe() = default;

  bool add_space_prefix_ = true;
  std::size_t max_token_bytes_ = 0;
  std::array<TokenId, 256> byte_ids_{};
  std::vector<std::uint32_t> orders_;  // By token; lower is the higher score.
};

}  // namespace lockstep
