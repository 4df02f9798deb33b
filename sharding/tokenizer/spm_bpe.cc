#include "sharding/tokenizer/spm_bpe.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <optional>
#include <string>

#include "sharding/tokenizer/unicode.h"

namespace lockstep {
namespace {

constexpr const char* kScoresKey = "tokenizer.ggml.scores";

// A number that is lower the higher the score is, and equal for equal scores.
std::uint32_t order_of(float score) {
  const auto bits = std::bit_cast<std::uint32_t>(score + 0.0F);  // + 0: -0 becomes 0.
  return bits >> 31 == 0 ? 0x7FFFFFFFU - bits : bits;
}

}  // namespace

Result<SpmBpe> SpmBpe::from_json(const Json& object, const Vocabulary& vocabulary) {
  SpmBpe bpe;
  bpe.add_space_prefix_ = vocabulary.add_space_prefix().value_or(true);
  bpe.byte_ids_.fill(kNoToken);
  LOCKSTEP_TRY_ASSIGN(const Json* scores, json_member(object, kScoresKey), "tokenizer");
  const auto reject = [](const std::string& what) {
    return Error{ErrorCode::kCorrupt, "tokenizer: " + std::string(kScoresKey) + ": " + what};
  };
  if (!scores->is_array() || scores->size() != vocabulary.size()) {
    return reject("expected an array of " + std::to_string(vocabulary.size()) + " scores");
  }
  for (const Json& score : *scores) {
    const auto id = static_cast<TokenId>(bpe.orders_.size());
    const bool fits = score.is_number_unsigned() && score.get<std::uint64_t>() <= 0xFFFFFFFFU;
    const float value = fits ? std::bit_cast<float>(score.get<std::uint32_t>()) : std::nanf("");
    if (!std::isfinite(value)) {
      return reject("token " + std::to_string(id) + ": not the bits of a finite binary32");
    }
    bpe.orders_.push_back(order_of(value));
    bpe.max_token_bytes_ = std::max(bpe.max_token_bytes_, vocabulary.text(id).size());
    if (vocabulary.kind(id) == TokenKind::kByte) {
      bpe.byte_ids_[static_cast<std::uint8_t>(vocabulary.bytes(id)[0])] = id;
    }
  }
  return bpe;
}

void SpmBpe::encode(const Vocabulary& vocabulary, std::string_view text,
                    std::vector<TokenId>& ids) const {
  if (text.empty()) return;
  std::string escaped = replace_all(text, " ", kSpmSpace);
  if (add_space_prefix_) escaped.insert(0, kSpmSpace);
  const std::string_view all = escaped;

  MergeQueue queue;
  for (std::size_t begin = 0; begin < all.size();) {
    const std::uint32_t bytes = decode_utf8(all, begin).bytes;
    queue.append(vocabulary.find_mergeable(all.substr(begin, bytes)).value_or(kNoToken), begin,
                 bytes);
    begin += bytes;
  }
  queue.merge([&](const Symbol& a, const Symbol& b) -> std::optional<Merge> {
    const std::size_t bytes = std::size_t{a.bytes} + b.bytes;
    if (bytes > max_token_bytes_) return std::nullopt;
    const auto id = vocabulary.find_mergeable(all.substr(a.begin, bytes));
    if (!id) return std::nullopt;
    return Merge{orders_[*id], *id};
  });
  for (const Symbol& symbol : queue.symbols()) {
    if (symbol.bytes != 0 && symbol.id != kNoToken) {
      ids.push_back(symbol.id);
    } else if (symbol.bytes != 0) {
      for (const char c : all.substr(symbol.begin, symbol.bytes)) {
        const TokenId id = byte_ids_[static_cast<std::uint8_t>(c)];
        if (id != kNoToken) ids.push_back(id);
      }
    }
  }
}

}  // namespace lockstep
