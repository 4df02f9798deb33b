// A model without weights: a vocabulary of bytes and a few words, a chat template, and completion
// tokens that are a function of prompt, choice and position.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/digest.h"
#include "scheduler/gateway/api/model_text.h"
#include "scheduler/job.h"
#include "sharding/tokenizer/vocabulary.h"

namespace lockstep {

inline constexpr TokenId kFakeEos = 1;
inline constexpr TokenId kFakeFirstByte = 8;

inline std::string fake_tokenizer_blob() {
  using J = nlohmann::json;
  J tokens = J::array(
      {"<s>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>", "<|x|>", "<|y|>"});
  J types = J::array({3, 3, 3, 3, 3, 3, 3, 3});
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    tokens.push_back(to_byte_level(std::string_view(&c, 1)));
    types.push_back(1);
  }
  tokens.push_back("ab");
  types.push_back(1);
  J blob;
  blob["tokenizer.ggml.model"] = "gpt2";
  blob["tokenizer.ggml.pre"] = "smollm";
  blob["tokenizer.ggml.tokens"] = tokens;
  blob["tokenizer.ggml.token_type"] = types;
  blob["tokenizer.ggml.merges"] = J::array({"a b"});
  blob["tokenizer.ggml.bos_token_id"] = 0;
  blob["tokenizer.ggml.eos_token_id"] = kFakeEos;
  return blob.dump();
}

inline constexpr std::string_view kFakeTemplate =
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}"
    "{% for c in m.tool_calls or [] %}[{{ c.function.name }} {{ c.function.arguments|tojson }}]"
    "{% endfor %}<|end|>{% endfor %}{% if tools %}{{ tools|tojson }}{% endif %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}";

inline std::shared_ptr<const ModelText> fake_model_text(std::uint32_t context_tokens = 2048) {
  ModelIdentity identity;
  identity.name = "fake";
  identity.model_id = keccak256("fake");
  identity.numerics_version = 1;
  identity.context_tokens = context_tokens;
  identity.created_s = 1'700'000'000;
  auto model = ModelText::create(identity, fake_tokenizer_blob(), kFakeTemplate);
  CHECK(model.ok(), model.ok() ? "" : model.error().message.c_str());
  return std::move(model).value();
}

// The token at `position` of a choice's completion: letters, spaces, and now and then an "é" in two
// tokens of one byte; the end token about every 300th.
inline CompletionToken fake_token(const JobRecord& record, std::uint32_t choice,
                                  std::uint32_t position) {
  std::uint64_t state = record.sampling.seed + choice * 7919 + 1;
  for (const std::uint32_t id : record.prompt) state = state * 6364136223846793005U + id;
  const auto hash = [state](std::uint32_t at) {
    std::uint64_t x = state + at * 0x9E3779B97F4A7C15U;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9U;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBU;
    return x ^ (x >> 31);
  };
  const auto opens = [&](std::uint32_t at) { return hash(at) % 13 == 0; };
  CompletionToken token;
  const std::uint64_t h = hash(position);
  if (position > 0 && opens(position - 1)) {
    token.token = kFakeFirstByte + 0xA9;
  } else if (opens(position)) {
    token.token = kFakeFirstByte + 0xC3;
  } else if (h % 307 == 1 && !record.sampling.ignore_eos) {
    token.token = kFakeEos;
  } else {
    token.token =
        kFakeFirstByte + (h / 13 % 6 == 0 ? ' ' : 'a' + static_cast<TokenId>(h / 101 % 26));
  }
  if (record.sampling.trace == TraceKind::kLogits) {
    token.logits_digest = sha256(as_bytes(std::to_string(h)));
  }
  if (record.num_top_logprobs >= 0) {
    token.logprob = -0.25F;
    for (std::int32_t i = 0; i < record.num_top_logprobs; ++i) {
      const TokenId other = i == 0 ? token.token : kFakeFirstByte + 'A' + static_cast<TokenId>(i);
      token.top.push_back({other, -0.25F - 0.5F * static_cast<float>(i)});
    }
  }
  return token;
}

}  // namespace lockstep
