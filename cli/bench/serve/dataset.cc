#include "cli/bench/serve/dataset.h"

#include <algorithm>
#include <cmath>

#include "base/canonical_json.h"
#include "cli/bench/serve/arrival.h"
#include "cli/bench/serve/sharegpt.h"

namespace lockstep {
namespace {

constexpr int kMaxCorrections = 10;

// Ids below these are bytes and special tokens in most vocabularies.
constexpr std::uint64_t kOrdinaryIds = 1000;

// Tokens that a text can be put together from so that it is read as the same tokens again: a space
// and letters, which no neighbour changes.
std::vector<TokenId> words_of(const Tokenizer& tokenizer) {
  std::vector<TokenId> words;
  const auto is_letter = [](char c) { return c >= 'a' && c <= 'z'; };
  for (TokenId id = 0; id < static_cast<TokenId>(tokenizer.vocab_size()); ++id) {
    const std::string_view bytes = tokenizer.token_bytes(id);
    if (bytes.size() < 2 || bytes.front() != ' ' || tokenizer.is_special(id)) continue;
    if (std::ranges::all_of(bytes.substr(1), is_letter)) words.push_back(id);
  }
  return words;
}

std::vector<TokenId> draw_ids(const std::vector<TokenId>& words, int vocab_size, std::size_t count,
                              std::mt19937_64& random) {
  const auto vocabulary = static_cast<std::uint64_t>(std::max(vocab_size, 1));
  const std::uint64_t first = std::min(kOrdinaryIds, vocabulary / 2);
  std::vector<TokenId> ids(count);
  for (TokenId& id : ids) {
    id = words.empty() ? static_cast<TokenId>(first + integer_draw(random, vocabulary - first))
                       : words[integer_draw(random, words.size())];
  }
  return ids;
}

// A text that is read as `ids.size()` tokens, or nearly so: neighbours can still melt together in
// vocabularies that do not split at spaces.
BenchPrompt text_of(std::vector<TokenId> ids, const std::vector<TokenId>& words,
                    const Tokenizer& tokenizer, std::mt19937_64& random) {
  const std::size_t wanted = ids.size();
  BenchPrompt prompt;
  for (int i = 0; i < kMaxCorrections; ++i) {
    Detokenizer detokenizer(tokenizer, /*continues=*/true);
    prompt.text.clear();
    for (const TokenId id : ids) prompt.text += detokenizer.push(id);
    prompt.text += detokenizer.finish();
    ids = tokenizer.encode(prompt.text);
    prompt.prompt_tokens = static_cast<std::int64_t>(ids.size());
    if (ids.size() == wanted) break;
    while (ids.size() < wanted) ids.push_back(words[integer_draw(random, words.size())]);
    ids.resize(wanted);
  }
  return prompt;
}

std::int64_t length_draw(int middle, double ratio, std::int64_t least, std::mt19937_64& random) {
  const double n = middle;
  const auto low = std::max(least, static_cast<std::int64_t>(std::floor(n * (1 - ratio))));
  const auto high = std::max(low, static_cast<std::int64_t>(std::ceil(n * (1 + ratio))));
  return low + static_cast<std::int64_t>(
                   integer_draw(random, static_cast<std::uint64_t>(high - low + 1)));
}

template <typename T>
void shuffle(std::vector<T>& values, std::mt19937_64& random) {
  for (std::size_t i = values.size(); i > 1; --i) {
    std::swap(values[i - 1], values[integer_draw(random, i)]);
  }
}

// Exactly `count` prompts, or fewer where none may be taken twice.
void fill_up(std::vector<BenchPrompt>& prompts, std::size_t count, bool oversample,
             std::mt19937_64& random) {
  const std::size_t distinct = prompts.size();
  if (distinct > count) prompts.resize(count);
  while (oversample && prompts.size() < count) {
    prompts.push_back(prompts[integer_draw(random, distinct)]);
  }
}

Result<BenchPrompt> line_prompt(std::string_view line, const FileDataset& dataset) {
  LOCKSTEP_TRY_ASSIGN(const Json object, parse_json(line), "expected a JSON object");
  BenchPrompt prompt;
  LOCKSTEP_TRY_ASSIGN(prompt.text, json_text(object, "prompt"), "no usable prompt");
  prompt.completion_tokens = dataset.output_tokens.value_or(0);
  if (!dataset.output_tokens) {
    LOCKSTEP_TRY_ASSIGN(prompt.completion_tokens, json_integer(object, "output_tokens", 1, 1 << 20),
                        "--custom-output-len -1");
  }
  return prompt;
}

}  // namespace

std::vector<BenchPrompt> random_prompts(const RandomDataset& dataset, std::size_t count,
                                        const Tokenizer* tokenizer, std::mt19937_64& random) {
  std::vector<TokenId> words;
  if (tokenizer != nullptr) words = words_of(*tokenizer);
  const bool as_text = !words.empty();
  const std::int64_t added = tokenizer != nullptr && tokenizer->adds_bos() ? 1 : 0;
  const int vocab_size = tokenizer != nullptr ? tokenizer->vocab_size() : dataset.vocab_size;
  const std::vector<TokenId> prefix =
      draw_ids(words, vocab_size, static_cast<std::size_t>(dataset.prefix_tokens), random);
  std::vector<BenchPrompt> prompts;
  prompts.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::int64_t input = length_draw(dataset.input_tokens, dataset.range_ratio, 1, random);
    std::vector<TokenId> ids = prefix;
    const auto own = static_cast<std::size_t>(std::max<std::int64_t>(input - added, 1));
    const std::vector<TokenId> drawn = draw_ids(words, vocab_size, own, random);
    ids.insert(ids.end(), drawn.begin(), drawn.end());
    BenchPrompt prompt;
    if (as_text) {
      prompt = text_of(std::move(ids), words, *tokenizer, random);
      prompt.prompt_tokens += added;
    } else {
      prompt.prompt_tokens = static_cast<std::int64_t>(ids.size());
      prompt.ids = std::move(ids);
    }
    prompt.completion_tokens = length_draw(dataset.output_tokens, dataset.range_ratio, 1, random);
    prompts.push_back(std::move(prompt));
  }
  return prompts;
}

Result<std::vector<BenchPrompt>> sharegpt_prompts(std::string_view json, const FileDataset& dataset,
                                                  std::size_t count, const Tokenizer& tokenizer,
                                                  std::mt19937_64& random) {
  LOCKSTEP_TRY_ASSIGN(std::vector<Conversation> conversations, read_sharegpt(json), "sharegpt");
  if (dataset.shuffle) shuffle(conversations, random);
  std::vector<BenchPrompt> prompts;
  for (Conversation& conversation : conversations) {
    if (prompts.size() == count) break;
    const auto tokens = [&](const std::string& text) {
      return static_cast<std::int64_t>(tokenizer.encode(text).size());
    };
    BenchPrompt prompt;
    prompt.prompt_tokens = tokens(conversation.question);
    prompt.completion_tokens =
        dataset.output_tokens ? *dataset.output_tokens : tokens(conversation.answer);
    const bool too_short =
        prompt.prompt_tokens < 4 || (!dataset.output_tokens && prompt.completion_tokens < 4);
    const bool too_long =
        prompt.prompt_tokens > 1024 || prompt.prompt_tokens + prompt.completion_tokens > 2048;
    if (too_short || too_long) continue;
    prompt.text = std::move(conversation.question);
    prompts.push_back(std::move(prompt));
  }
  if (prompts.empty()) {
    return Error{ErrorCode::kCorrupt, "sharegpt: no conversation of a usable length"};
  }
  fill_up(prompts, count, dataset.oversample, random);
  return prompts;
}

Result<std::vector<BenchPrompt>> custom_prompts(std::string_view lines, const FileDataset& dataset,
                                                std::size_t count, const Tokenizer* tokenizer,
                                                std::mt19937_64& random) {
  std::vector<BenchPrompt> prompts;
  std::size_t number = 0;
  while (!lines.empty()) {
    const std::size_t end = std::min(lines.find('\n'), lines.size());
    const std::string_view line = lines.substr(0, end);
    lines.remove_prefix(std::min(end + 1, lines.size()));
    if (++number > kMaxDatasetLines) {
      return Error{ErrorCode::kExhausted,
                   "more than " + std::to_string(kMaxDatasetLines) + " lines; split the file"};
    }
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    LOCKSTEP_TRY_ASSIGN(BenchPrompt prompt, line_prompt(line, dataset),
                        "line " + std::to_string(number));
    prompts.push_back(std::move(prompt));
  }
  if (prompts.empty()) return Error{ErrorCode::kCorrupt, "no line with a prompt"};
  if (dataset.shuffle) shuffle(prompts, random);
  fill_up(prompts, count, dataset.oversample, random);
  if (tokenizer != nullptr) {
    for (BenchPrompt& prompt : prompts) {
      const PromptPiece piece{prompt.text, false};
      prompt.prompt_tokens =
          static_cast<std::int64_t>(tokenizer->encode_prompt({&piece, 1}).size());
    }
  }
  return prompts;
}

}  // namespace lockstep
