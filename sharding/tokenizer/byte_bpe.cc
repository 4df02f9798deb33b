#include "sharding/tokenizer/byte_bpe.h"

#include <string>

namespace lockstep {
namespace {

constexpr const char* kPreKey = "tokenizer.ggml.pre";
constexpr const char* kMergesKey = "tokenizer.ggml.merges";

Error bad_merge(std::size_t index, std::string_view what) {
  return Error{ErrorCode::kCorrupt, std::string(kMergesKey) + ": merge " + std::to_string(index) +
                                        ": " + std::string(what)};
}

}  // namespace

Result<ByteBpe> ByteBpe::from_json(const Json& object, const Vocabulary& vocabulary) {
  ByteBpe bpe;
  LOCKSTEP_TRY_ASSIGN(const std::string pre, json_text(object, kPreKey), "tokenizer");
  const std::optional<Pretokenizer> pretokenizer = pretokenizer_named(pre);
  if (!pretokenizer) {
    return Error{ErrorCode::kInvalidArgument, std::string(kPreKey) + ": \"" + pre +
                                                  "\" is not supported; known are " +
                                                  pretokenizer_names()};
  }
  bpe.pretokenizer_ = *pretokenizer;
  for (std::size_t byte = 0; byte < bpe.byte_ids_.size(); ++byte) {
    const char c = static_cast<char>(byte);
    bpe.byte_ids_[byte] =
        vocabulary.find_mergeable(to_byte_level(std::string_view(&c, 1))).value_or(kNoToken);
  }
  LOCKSTEP_TRY(bpe.read_merges(object, vocabulary), "tokenizer");
  return bpe;
}

Status ByteBpe::read_merges(const Json& object, const Vocabulary& vocabulary) {
  LOCKSTEP_TRY_ASSIGN(const Json* merges, json_member(object, kMergesKey), "read");
  if (!merges->is_array()) {
    return Error{ErrorCode::kCorrupt, std::string(kMergesKey) + ": expected an array"};
  }
  merges_ = MergeTable(merges->size());
  std::uint32_t index = 0;
  std::string joined;
  for (const Json& merge : *merges) {
    if (!merge.is_string()) return bad_merge(index, "is no text");
    const std::string_view text = merge.get_ref<const std::string&>();
    const std::size_t space = text.find(' ');
    if (space == std::string_view::npos) return bad_merge(index, "has no space");
    const std::string_view left = text.substr(0, space);
    const std::string_view right = text.substr(space + 1);
    joined.assign(left).append(right);
    for (const std::string_view token : {left, right, std::string_view(joined)}) {
      if (!vocabulary.contains(token)) {
        return bad_merge(index, "\"" + std::string(token) + "\" is not in the vocabulary");
      }
    }
    const auto left_id = vocabulary.find_mergeable(left);
    const auto right_id = vocabulary.find_mergeable(right);
    const auto joined_id = vocabulary.find_mergeable(joined);
    if (left_id && right_id && joined_id) {
      merges_.insert(*left_id, *right_id, Merge{index, *joined_id});
    }
    ++index;
  }
  return {};
}

void ByteBpe::encode(const Vocabulary& vocabulary, std::string_view text,
                     std::vector<TokenId>& ids) const {
  MergeQueue queue;
  for (const std::string_view word : pretokenize(pretokenizer_, text)) {
    encode_word(vocabulary, word, queue, ids);
  }
}

void ByteBpe::encode_word(const Vocabulary& vocabulary, std::string_view word, MergeQueue& queue,
                          std::vector<TokenId>& ids) const {
  // Llama 3's `ignore_merges`: a word that is a token is that token, whatever merging would give.
  if (pretokenizer_ == Pretokenizer::kLlamaBpe) {
    if (const auto id = vocabulary.find_mergeable(to_byte_level(word))) {
      ids.push_back(*id);
      return;
    }
  }
  queue.clear();
  for (std::size_t i = 0; i < word.size(); ++i) {
    const TokenId id = byte_ids_[static_cast<std::uint8_t>(word[i])];
    if (id != kNoToken) queue.append(id, i, 1);
  }
  queue.merge([this](const Symbol& a, const Symbol& b) { return merges_.find(a.id, b.id); });
  for (const Symbol& symbol : queue.symbols()) {
    if (symbol.bytes != 0) ids.push_back(symbol.id);
  }
}

}  // namespace lockstep
