// Cuts text into the words that byte-level BPE merges one at a time, as the published patterns of
// the models do. Hand-written scanners: linear in the text, without a regular-expression engine
// whose limits or Unicode version could change an answer.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep {

enum class Pretokenizer : std::uint8_t {
  kGpt2,
  kSmollm,  // Also `starcoder`: single digits, then kGpt2.
  kDeepseekCoder,
  kLlamaBpe,
  kQwen2,
};

// By the value of `tokenizer.ggml.pre`; nothing for a name that is not known.
std::optional<Pretokenizer> pretokenizer_named(std::string_view name);

// The known names, for a message: "gpt-2, smollm, ...".
std::string pretokenizer_names();

// The words of `text` in order; together they are `text`. Requires: `text` is valid UTF-8.
std::vector<std::string_view> pretokenize(Pretokenizer pretokenizer, std::string_view text);

}  // namespace lockstep
