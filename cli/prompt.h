// From what the user gave to token ids.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/command.h"
#include "sharding/store.h"
#include "sharding/tokenizer.h"

namespace lockstep {

// Exactly one is given.
struct PromptOptions {
  std::optional<std::string> text;
  std::optional<std::string> chat;
  std::optional<std::string> file;
  std::vector<std::uint32_t> ids;
};

// --prompt, --chat, --prompt-file, --prompt-ids; exactly one is required.
void add_prompt_options(CLI::App& command, PromptOptions& options);

// Longest prompt that is read from a file.
inline constexpr std::uint64_t kMaxPromptBytes = 64 << 20;

// The token ids: a chat goes through the model's template, text is text (special tokens written out
// in it stay text).
Result<std::vector<TokenId>> encode_prompt_options(const PromptOptions& options, const Store& store,
                                                   const Tokenizer& tokenizer);

}  // namespace lockstep
