// The bytes of columns that hold more than one value: prompts, sampling parameters, tokens. Pure;
// the formats stand in this folder's README.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/sampling.h"
#include "base/wire.h"

namespace lockstep {

Bytes encode_token_ids(std::span<const std::uint32_t> tokens);
// kCorrupt when the bytes are no whole number of tokens.
Result<std::vector<std::uint32_t>> decode_token_ids(ByteView bytes);

Bytes encode_sampling(const SamplingParams& sampling);
// kCorrupt names the field. What decodes encodes to the same bytes.
Result<SamplingParams> decode_sampling(ByteView bytes);

// Digests and log probabilities take room only where one of the tokens has them.
Bytes encode_completion(std::span<const CompletionToken> tokens);
// Appends `count` tokens to `out`; kCorrupt when the bytes are not exactly those.
Status decode_completion(ByteView bytes, std::uint32_t count, std::vector<CompletionToken>& out);

}  // namespace lockstep
