// Fields of JSON objects from outside, of the types that records and proofs need. kCorrupt names
// the key.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "base/canonical_json.h"
#include "base/digest.h"

namespace lockstep {

Result<std::uint64_t> json_unsigned(const Json& object, const char* key,
                                    std::uint64_t max = std::numeric_limits<std::uint64_t>::max());
Result<std::uint32_t> json_u32(const Json& object, const char* key);

// An integer that holds the IEEE bits of a binary32.
Result<float> json_float_bits(const Json& object, const char* key);

Result<Digest> json_digest(const Json& object, const char* key);
Result<std::vector<Digest>> json_digests(const Json& object, const char* key);
Result<std::vector<std::uint32_t>> json_u32s(const Json& object, const char* key);

Result<const Json*> json_array(const Json& object, const char* key);
Result<const Json*> json_object(const Json& object, const char* key);

}  // namespace lockstep
