// The prompts of a load, chosen by a seed: random ones of given length, ShareGPT's conversations,
// or one a line of a file.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sharding/tokenizer.h"

namespace lockstep {

struct BenchPrompt {
  std::string text;
  std::vector<TokenId> ids;            // Sent in place of the text where there are any.
  std::int64_t prompt_tokens = 0;      // 0: not known.
  std::int64_t completion_tokens = 0;  // How many are asked for.
};

struct RandomDataset {
  int input_tokens = 1024;
  int output_tokens = 128;
  double range_ratio = 0;  // Lengths are even in [n (1 - r), n (1 + r)].
  int prefix_tokens = 0;   // In front of every prompt, the same for all.
  int vocab_size = 32000;  // Without a tokenizer: ids are below it.
};

// With a tokenizer texts that it reads as so many tokens, else lists of ids.
std::vector<BenchPrompt> random_prompts(const RandomDataset& dataset, std::size_t count,
                                        const Tokenizer* tokenizer, std::mt19937_64& random);

struct FileDataset {
  // Tokens asked for; empty: as many as the conversation's own answer has, or the line says.
  std::optional<int> output_tokens = std::nullopt;
  bool shuffle = true;
  bool oversample = true;  // Takes prompts again where the file has too few.
};

// The first question of each conversation. As in vLLM: prompts of 4 to 1,024 tokens, at most 2,048
// with the answer, and answers of 4 or more unless their length is given. kCorrupt when the text is
// no ShareGPT file.
Result<std::vector<BenchPrompt>> sharegpt_prompts(std::string_view json, const FileDataset& dataset,
                                                  std::size_t count, const Tokenizer& tokenizer,
                                                  std::mt19937_64& random);

// A line each: {"prompt": "...", "output_tokens": 64}. kCorrupt names the line.
inline constexpr std::size_t kMaxDatasetLines = 1'000'000;
Result<std::vector<BenchPrompt>> custom_prompts(std::string_view lines, const FileDataset& dataset,
                                                std::size_t count, const Tokenizer* tokenizer,
                                                std::mt19937_64& random);

}  // namespace lockstep
