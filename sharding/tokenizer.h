// Text to token ids and back, for the vocabularies that GGUF files carry. Immutable after
// construction; thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace lockstep {

using TokenId = std::uint32_t;

// A run of a prompt. Text from a user never becomes a special token, text of a template may.
struct PromptPiece {
  std::string text;
  bool trusted =
      false;  // True: special tokens written out in `text` ("<|im_start|>") become their ids.
};

class Tokenizer {
 public:
  // From the blob of a store: canonical JSON of the GGUF `tokenizer.*` keys. kCorrupt or
  // kInvalidArgument names the key; an unknown model or pre-tokenizer is refused by name.
  static Result<Tokenizer> from_json(std::string_view blob);

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  int vocab_size() const;
  // Ids of `text`; invalid UTF-8 becomes U+FFFD as Python's errors="replace". No BOS is added. With
  // `parse_special`, special tokens written out in the text become their ids; else they are plain
  // text.
  std::vector<TokenId> encode(std::string_view text, bool parse_special = false) const;
  // The ids of a prompt: BOS first where the vocabulary asks for it (`add_bos`), then the pieces. A
  // special token is recognized only where every byte of it is trusted; the stretches between are
  // tokenized as one text, so that the ids of harmless text equal those of the concatenated string.
  std::vector<TokenId> encode_prompt(std::span<const PromptPiece> pieces,
                                     bool add_bos = true) const;

  // The bytes of one token ("" for a control token); an id outside the vocabulary gives "".
  std::string_view token_bytes(TokenId id) const;
  // The text of the token as the vocabulary writes it, special tokens included.
  std::string_view token_text(TokenId id) const;
  bool is_special(TokenId id) const;
  // Ids that end an answer: eos, eot, eom.
  bool is_end(TokenId id) const;

  std::optional<TokenId> bos() const;
  std::optional<TokenId> eos() const;
  bool adds_bos() const;

 private:
  struct State;
  explicit Tokenizer(std::unique_ptr<const State> state);
  std::unique_ptr<const State> state_;
  friend class Detokenizer;
};

// Tokens to text as they come: never cuts a UTF-8 character; bytes that can never become one are
// U+FFFD.
class Detokenizer {
 public:
  // `tokenizer` must outlive this. An SPM vocabulary puts a space in front of a text, which is
  // taken off again, unless the ids continue another text (an answer after its prompt): then it is
  // part of the text.
  explicit Detokenizer(const Tokenizer& tokenizer, bool continues = false);

  // The text that is complete now, "" while a character is still open. Special tokens give no text.
  std::string push(TokenId id);
  // What is left at the end, open bytes as U+FFFD.
  std::string finish();

 private:
  const Tokenizer* tokenizer_;
  std::string pending_;
  bool strip_space_;  // The next text's first space was put there by the tokenizer.
};

}  // namespace lockstep
