#include "sharding/tokenizer/vocabulary.h"

#include <array>
#include <utility>

#include "sharding/tokenizer/unicode.h"

namespace lockstep {
namespace {

constexpr std::size_t kMaxTokens = std::size_t{1} << 22;
constexpr const char* kModelKey = "tokenizer.ggml.model";
constexpr const char* kTokensKey = "tokenizer.ggml.tokens";
constexpr const char* kTypesKey = "tokenizer.ggml.token_type";

Error corrupt(std::string_view key, std::string_view what) {
  return Error{ErrorCode::kCorrupt, std::string(key) + ": " + std::string(what)};
}

// The byte of "<0x00>" to "<0xFF>".
std::optional<std::uint8_t> parse_byte_token(std::string_view text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text.back() != '>') return std::nullopt;
  unsigned value = 0;
  for (const char c : text.substr(3, 2)) {
    const std::size_t digit = std::string_view("0123456789ABCDEF").find(c);
    if (digit == std::string_view::npos) return std::nullopt;
    value = value * 16 + static_cast<unsigned>(digit);
  }
  return static_cast<std::uint8_t>(value);
}

// Chat markers such as "<|User|>" that a converter wrote as user defined: a user must not be able
// to write them.
bool looks_special(std::string_view text) {
  constexpr std::string_view kWideOpen = "<\xEF\xBD\x9C";  // "<" and U+FF5C, DeepSeek's bar
  constexpr std::string_view kWideClose = "\xEF\xBD\x9C>";
  const auto enclosed = [text](std::string_view open, std::string_view close) {
    return text.size() > open.size() + close.size() && text.starts_with(open) &&
           text.ends_with(close);
  };
  return enclosed("<|", "|>") || enclosed(kWideOpen, kWideClose);
}

// Char of every byte and byte of every char below 0x144, 0x100 where there is none.
struct ByteLevelAlphabet {
  std::array<char32_t, 256> to_char{};
  std::array<std::uint16_t, 0x144> to_byte{};

  ByteLevelAlphabet() {
    to_byte.fill(0x100);
    char32_t next = 0x100;
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
      const bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
      to_char[byte] = printable ? byte : next++;
      to_byte[to_char[byte]] = static_cast<std::uint16_t>(byte);
    }
  }
};

const ByteLevelAlphabet& alphabet() {
  static const ByteLevelAlphabet instance;
  return instance;
}

}  // namespace

char32_t byte_level_char(std::uint8_t byte) { return alphabet().to_char[byte]; }

std::string to_byte_level(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  for (const char c : bytes) {
    append_two_byte_utf8(out, byte_level_char(static_cast<std::uint8_t>(c)));
  }
  return out;
}

std::optional<std::string> from_byte_level(std::string_view text) {
  std::string out;
  for (std::size_t position = 0; position < text.size();) {
    const Utf8Char c = decode_utf8(text, position);
    if (c.code_point >= alphabet().to_byte.size()) return std::nullopt;
    const std::uint16_t byte = alphabet().to_byte[c.code_point];
    if (byte > 0xFF) return std::nullopt;
    out += static_cast<char>(byte);
    position += c.bytes;
  }
  return out;
}

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  for (std::size_t begin = 0;;) {
    const std::size_t found = text.find(from, begin);
    out += text.substr(begin, found - begin);
    if (found == std::string_view::npos) return out;
    out += to;
    begin = found + from.size();
  }
}

Result<Vocabulary> Vocabulary::from_json(const Json& object) {
  Vocabulary vocabulary;
  LOCKSTEP_TRY_ASSIGN(const std::string model, json_text(object, kModelKey), "tokenizer");
  if (model == "gpt2") {
    vocabulary.model_ = TokenizerModel::kByteBpe;
  } else if (model == "llama") {
    vocabulary.model_ = TokenizerModel::kSpmBpe;
  } else {
    return Error{ErrorCode::kInvalidArgument, std::string(kModelKey) + ": \"" + model +
                                                  "\" is not supported; known are gpt2, llama"};
  }
  LOCKSTEP_TRY(vocabulary.read_tokens(object), "tokenizer");
  LOCKSTEP_TRY(vocabulary.read_kinds(object), "tokenizer");
  LOCKSTEP_TRY(vocabulary.read_settings(object), "tokenizer");
  vocabulary.index_tokens();
  return vocabulary;
}

Status Vocabulary::read_tokens(const Json& object) {
  LOCKSTEP_TRY_ASSIGN(const Json* tokens, json_member(object, kTokensKey), "read");
  if (!tokens->is_array()) return corrupt(kTokensKey, "expected an array");
  if (tokens->empty() || tokens->size() > kMaxTokens) {
    return corrupt(kTokensKey, std::to_string(tokens->size()) + " tokens are not in [1, " +
                                   std::to_string(kMaxTokens) + "]");
  }
  texts_.reserve(tokens->size());
  for (const Json& token : *tokens) {
    if (!token.is_string()) {
      return corrupt(kTokensKey, "token " + std::to_string(texts_.size()) + " is no text");
    }
    texts_.push_back(token.get_ref<const std::string&>());
  }
  return {};
}

Status Vocabulary::read_kinds(const Json& object) {
  kinds_.assign(texts_.size(), TokenKind::kText);
  const bool spm = model_ == TokenizerModel::kSpmBpe;
  const auto types = object.find(kTypesKey);
  if (types == object.end()) {
    for (std::size_t id = 0; id < texts_.size(); ++id) {
      if (spm && parse_byte_token(texts_[id])) kinds_[id] = TokenKind::kByte;
    }
    return {};
  }
  if (!types->is_array() || types->size() != texts_.size()) {
    return corrupt(kTypesKey, "expected an array of " + std::to_string(texts_.size()) + " types");
  }
  constexpr TokenKind kKinds[] = {TokenKind::kUnused,  TokenKind::kText,    TokenKind::kSpecial,
                                  TokenKind::kSpecial, TokenKind::kLiteral, TokenKind::kUnused,
                                  TokenKind::kByte};
  std::size_t id = 0;
  for (const Json& type : *types) {
    const auto reject = [&](std::string_view what) {
      return corrupt(kTypesKey, "token " + std::to_string(id) + ": " + std::string(what));
    };
    if (!type.is_number_unsigned() || type.get<std::uint64_t>() < 1 ||
        type.get<std::uint64_t>() > 6) {
      return reject("the type is not in [1, 6]");
    }
    TokenKind kind = kKinds[type.get<std::uint64_t>()];
    if (kind == TokenKind::kLiteral && looks_special(texts_[id])) kind = TokenKind::kSpecial;
    if (kind == TokenKind::kByte && !spm) kind = TokenKind::kUnused;
    if (kind == TokenKind::kByte && !parse_byte_token(texts_[id])) {
      return reject("a byte token is not written <0x00> to <0xFF>");
    }
    kinds_[id++] = kind;
  }
  return {};
}

Status Vocabulary::read_settings(const Json& object) {
  const std::pair<const char*, std::optional<TokenId>*> ids[] = {
      {"tokenizer.ggml.bos_token_id", &bos_},
      {"tokenizer.ggml.eos_token_id", &eos_},
      {"tokenizer.ggml.eot_token_id", &eot_},
      {"tokenizer.ggml.eom_token_id", &eom_}};
  const auto last = static_cast<std::int64_t>(texts_.size()) - 1;
  for (const auto& [key, id] : ids) {
    if (!object.contains(key)) continue;
    LOCKSTEP_TRY_ASSIGN(const std::int64_t value, json_integer(object, key, 0, last), "read");
    *id = static_cast<TokenId>(value);
    kinds_[**id] = TokenKind::kSpecial;
  }
  for (const char* key : {"tokenizer.ggml.unknown_token_id", "tokenizer.ggml.padding_token_id"}) {
    if (!object.contains(key)) continue;
    LOCKSTEP_TRY(json_integer(object, key, 0, last), "read");
  }
  const std::pair<const char*, std::optional<bool>*> flags[] = {
      {"tokenizer.ggml.add_bos_token", &add_bos_},
      {"tokenizer.ggml.add_space_prefix", &add_space_prefix_}};
  for (const auto& [key, flag] : flags) {
    if (!object.contains(key)) continue;
    LOCKSTEP_TRY_ASSIGN(*flag, json_flag(object, key), "read");
  }
  return {};
}

void Vocabulary::index_tokens() {
  bytes_.resize(texts_.size());
  ids_.reserve(texts_.size());
  const bool spm = model_ == TokenizerModel::kSpmBpe;
  for (TokenId id = 0; id < texts_.size(); ++id) {
    const std::string& text = texts_[id];
    if (kinds_[id] == TokenKind::kText) {
      bytes_[id] = spm ? replace_all(text, kSpmSpace, " ") : from_byte_level(text).value_or(text);
    } else if (kinds_[id] == TokenKind::kLiteral) {
      bytes_[id] = text;
    } else if (kinds_[id] == TokenKind::kByte) {
      bytes_[id] = static_cast<char>(parse_byte_token(text).value_or(0));
    }
    TokenId& entry = ids_.try_emplace(text, kNotMergeable).first->second;
    if (is_mergeable(id)) entry = id;
  }
}

// A literal token stands for its text as it is; merging works on the text as the vocabulary writes
// it. Where the two differ, merging must not give the token.
bool Vocabulary::is_mergeable(TokenId id) const {
  const std::string& text = texts_[id];
  if (text.empty()) return false;
  const bool literal = kinds_[id] == TokenKind::kLiteral;
  if (kinds_[id] != TokenKind::kText && !literal) return false;
  if (model_ == TokenizerModel::kSpmBpe) {
    return !literal || text.find(kSpmSpace) == std::string::npos;
  }
  const std::optional<std::string> decoded = from_byte_level(text);
  return decoded && (!literal || *decoded == text);
}

std::optional<TokenId> Vocabulary::find_mergeable(std::string_view text) const {
  const auto found = ids_.find(text);
  if (found == ids_.end() || found->second == kNotMergeable) return std::nullopt;
  return found->second;
}

}  // namespace lockstep
