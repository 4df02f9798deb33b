// Small vocabularies for the tests, as blobs that can be changed key by key.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/canonical_json.h"
#include "sharding/tokenizer.h"

namespace lockstep {

// Byte-level: <s> 0, <|end|> 1 (end), <|user|> 2, "  " 3 (user defined), then the 256 bytes (byte b
// is 4 + b), then "he" 260, "ll" 261, "hell" 262, "hello" 263, " hello" 264.
Json byte_level_blob();
inline constexpr TokenId kFirstByte = 4;

// SPM: <unk> 0, <s> 1, </s> 2, the 256 bytes (byte b is 3 + b), then "_" 259, "a" 260, "b" 261,
// "ab" 262, "_a" 263,
// "_ab" 264, where _ is U+2581; higher ids have higher scores.
Json spm_blob();

// Requires: the blob is accepted.
Tokenizer tokenizer_of(const Json& blob);
// The message of the refusal. Requires: the blob is refused.
std::string refusal_of(const Json& blob);

// The bytes of all ids.
std::string bytes_of(const Tokenizer& tokenizer, const std::vector<TokenId>& ids);

}  // namespace lockstep
