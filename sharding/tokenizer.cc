#include "sharding/tokenizer.h"

#include <optional>
#include <utility>
#include <variant>

#include "base/canonical_json.h"
#include "sharding/tokenizer/byte_bpe.h"
#include "sharding/tokenizer/literal_matcher.h"
#include "sharding/tokenizer/spm_bpe.h"
#include "sharding/tokenizer/unicode.h"
#include "sharding/tokenizer/vocabulary.h"

namespace lockstep {
namespace {

constexpr std::size_t kMaxBlobBytes = std::size_t{256} << 20;

// Valid UTF-8 and, byte by byte, whether a special token may stand there.
struct MarkedText {
  std::string text;
  std::vector<bool> trusted;
};

// Joins the pieces, then replaces errors: a character may be cut between two pieces.
MarkedText join_pieces(std::span<const PromptPiece> pieces) {
  std::string raw;
  std::vector<bool> raw_trusted;
  for (const PromptPiece& piece : pieces) {
    raw += piece.text;
    raw_trusted.insert(raw_trusted.end(), piece.text.size(), piece.trusted);
  }
  if (is_valid_utf8(raw)) return {std::move(raw), std::move(raw_trusted)};
  MarkedText marked;
  for (std::size_t position = 0; position < raw.size();) {
    const Utf8Char c = decode_utf8(raw, position);
    const bool valid = c.state == Utf8State::kValid;
    const std::string_view bytes =
        valid ? std::string_view(raw).substr(position, c.bytes) : kReplacementCharacter;
    marked.text += bytes;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      marked.trusted.push_back(valid && raw_trusted[position + i]);
    }
    position += c.bytes;
  }
  return marked;
}

}  // namespace

struct Tokenizer::State {
  Vocabulary vocabulary;
  LiteralMatcher literals;
  std::variant<ByteBpe, SpmBpe> model;
  bool adds_bos = false;

  // Whether texts are encoded with a space in front of them.
  bool adds_space_prefix() const {
    const auto* spm = std::get_if<SpmBpe>(&model);
    return spm != nullptr && spm->adds_space_prefix();
  }

  void encode_stretch(std::string_view text, std::vector<TokenId>& ids) const {
    std::visit([&](const auto& bpe) { bpe.encode(vocabulary, text, ids); }, model);
  }

  // Cuts the text at literal tokens. `trusted_end(position)` is the end of the trusted run that
  // holds `position`, `position` itself where there is none.
  template <typename TrustedEnd>
  void encode(std::string_view text, TrustedEnd trusted_end, std::vector<TokenId>& ids) const {
    std::size_t stretch = 0;
    for (std::size_t position = 0; position < text.size();) {
      const auto match = literals.match(text, position, trusted_end(position));
      if (!match) {
        ++position;
        continue;
      }
      encode_stretch(text.substr(stretch, position - stretch), ids);
      ids.push_back(match->id);
      position += match->bytes;
      stretch = position;
    }
    encode_stretch(text.substr(stretch), ids);
  }
};

Tokenizer::Tokenizer(std::unique_ptr<const State> state) : state_(std::move(state)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Result<Tokenizer> Tokenizer::from_json(std::string_view blob) {
  if (blob.size() > kMaxBlobBytes) {
    return Error{ErrorCode::kExhausted, "tokenizer: " + std::to_string(blob.size()) +
                                            " bytes are more than " +
                                            std::to_string(kMaxBlobBytes)};
  }
  LOCKSTEP_TRY_ASSIGN(const Json object, parse_json(blob), "tokenizer");
  LOCKSTEP_TRY_ASSIGN(Vocabulary vocabulary, Vocabulary::from_json(object), "read vocabulary");
  LiteralMatcher literals(vocabulary);
  if (vocabulary.model() == TokenizerModel::kSpmBpe) {
    LOCKSTEP_TRY_ASSIGN(SpmBpe spm, SpmBpe::from_json(object, vocabulary), "read vocabulary");
    const bool adds_bos = vocabulary.add_bos().value_or(true);
    return Tokenizer(std::make_unique<const State>(
        State{std::move(vocabulary), std::move(literals), std::move(spm), adds_bos}));
  }
  LOCKSTEP_TRY_ASSIGN(ByteBpe bpe, ByteBpe::from_json(object, vocabulary), "read vocabulary");
  const bool adds_bos = vocabulary.add_bos().value_or(bpe.adds_bos_by_default());
  return Tokenizer(std::make_unique<const State>(
      State{std::move(vocabulary), std::move(literals), std::move(bpe), adds_bos}));
}

int Tokenizer::vocab_size() const { return static_cast<int>(state_->vocabulary.size()); }

std::vector<TokenId> Tokenizer::encode(std::string_view text, bool parse_special) const {
  std::string replaced;
  if (!is_valid_utf8(text)) {
    replaced = replace_invalid_utf8(text);
    text = replaced;
  }
  std::vector<TokenId> ids;
  state_->encode(
      text, [&](std::size_t position) { return parse_special ? text.size() : position; }, ids);
  return ids;
}

std::vector<TokenId> Tokenizer::encode_prompt(std::span<const PromptPiece> pieces,
                                              bool add_bos) const {
  const MarkedText marked = join_pieces(pieces);
  std::size_t run_end = 0;  // Positions ascend, so each run is walked once.
  const auto trusted_end = [&](std::size_t position) {
    if (run_end < position) run_end = position;
    while (run_end < marked.trusted.size() && marked.trusted[run_end]) ++run_end;
    return run_end;
  };
  std::vector<TokenId> ids;
  state_->encode(marked.text, trusted_end, ids);
  const std::optional<TokenId> first = bos();
  if (add_bos && adds_bos() && first && (ids.empty() || ids.front() != *first)) {
    ids.insert(ids.begin(), *first);
  }
  return ids;
}

std::string_view Tokenizer::token_bytes(TokenId id) const {
  if (id >= state_->vocabulary.size()) return {};
  return state_->vocabulary.bytes(id);
}

std::string_view Tokenizer::token_text(TokenId id) const {
  if (id >= state_->vocabulary.size()) return {};
  return state_->vocabulary.text(id);
}

bool Tokenizer::is_special(TokenId id) const {
  return id < state_->vocabulary.size() && state_->vocabulary.kind(id) == TokenKind::kSpecial;
}

bool Tokenizer::is_end(TokenId id) const { return state_->vocabulary.is_end(id); }

std::optional<TokenId> Tokenizer::bos() const { return state_->vocabulary.bos(); }

std::optional<TokenId> Tokenizer::eos() const { return state_->vocabulary.eos(); }

bool Tokenizer::adds_bos() const { return state_->adds_bos; }

Detokenizer::Detokenizer(const Tokenizer& tokenizer, bool continues)
    : tokenizer_(&tokenizer), strip_space_(!continues && tokenizer.state_->adds_space_prefix()) {}

std::string Detokenizer::push(TokenId id) {
  std::string_view bytes = tokenizer_->token_bytes(id);
  if (!bytes.empty() && strip_space_) {
    strip_space_ = false;
    if (bytes.front() == ' ') bytes.remove_prefix(1);
  }
  pending_ += bytes;
  std::string out;
  std::size_t position = 0;
  while (position < pending_.size()) {
    const Utf8Char c = decode_utf8(pending_, position);
    if (c.state == Utf8State::kCut) break;
    out += c.state == Utf8State::kValid ? std::string_view(pending_).substr(position, c.bytes)
                                        : kReplacementCharacter;
    position += c.bytes;
  }
  pending_.erase(0, position);
  return out;
}

std::string Detokenizer::finish() { return replace_invalid_utf8(std::exchange(pending_, {})); }

}  // namespace lockstep
