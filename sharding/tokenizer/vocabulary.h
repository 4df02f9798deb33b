// The tokens of a vocabulary and what each may be used for, checked as they come from a GGUF file.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/canonical_json.h"
#include "base/result.h"
#include "sharding/tokenizer.h"

namespace lockstep {

enum class TokenizerModel : std::uint8_t {
  kByteBpe,  // GGUF "gpt2"
  kSpmBpe,   // GGUF "llama"
};

enum class TokenKind : std::uint8_t {
  kText,     // May come out of merging.
  kLiteral,  // GGUF "user defined": stands for its own text wherever that occurs.
  kSpecial,  // Control, unknown and end tokens: never from untrusted text, and no text of their
             // own.
  kByte,     // One byte, of an SPM vocabulary.
  kUnused,   // Never comes out of text, has no text.
};

class Vocabulary {
 public:
  // From the object of the `tokenizer.*` keys. Errors name the key.
  static Result<Vocabulary> from_json(const Json& object);

  Vocabulary(Vocabulary&&) = default;
  Vocabulary& operator=(Vocabulary&&) = default;

  TokenizerModel model() const { return model_; }
  std::size_t size() const { return texts_.size(); }
  // Requires for all of these: id < size().
  const std::string& text(TokenId id) const { return texts_[id]; }
  const std::string& bytes(TokenId id) const { return bytes_[id]; }
  TokenKind kind(TokenId id) const { return kinds_[id]; }

  // The token that merging may give for this text as the vocabulary writes it; the last one where
  // several have it.
  std::optional<TokenId> find_mergeable(std::string_view text) const;
  // Whether any token has this text.
  bool contains(std::string_view text) const { return ids_.contains(text); }

  std::optional<TokenId> bos() const { return bos_; }
  std::optional<TokenId> eos() const { return eos_; }
  bool is_end(TokenId id) const { return id == eos_ || id == eot_ || id == eom_; }
  // What the file says, where it says something.
  std::optional<bool> add_bos() const { return add_bos_; }
  std::optional<bool> add_space_prefix() const { return add_space_prefix_; }

 private:
  static constexpr TokenId kNotMergeable = 0xFFFFFFFF;

  Vocabulary() = default;
  Status read_tokens(const Json& object);
  Status read_kinds(const Json& object);
  Status read_settings(const Json& object);
  void index_tokens();
  bool is_mergeable(TokenId id) const;

  TokenizerModel model_ = TokenizerModel::kByteBpe;
  std::vector<std::string> texts_;
  std::vector<std::string> bytes_;
  std::vector<TokenKind> kinds_;
  std::unordered_map<std::string_view, TokenId> ids_;  // Views into texts_; or kNotMergeable.
  std::optional<TokenId> bos_, eos_, eot_, eom_;
  std::optional<bool> add_bos_, add_space_prefix_;
};

// How byte-level vocabularies write bytes: printable Latin-1 bytes as themselves, the other 68 as
// U+0100 and up.
char32_t byte_level_char(std::uint8_t byte);
// The text as a byte-level vocabulary writes it.
std::string to_byte_level(std::string_view bytes);
// The bytes of a token's text; nothing when it has a character that stands for no byte.
std::optional<std::string> from_byte_level(std::string_view text);

inline constexpr std::string_view kSpmSpace = "\xE2\x96\x81";  // U+2581
std::string replace_all(std::string_view text, std::string_view from, std::string_view to);

}  // namespace lockstep
