// Values of GGUF metadata: their extent, scalars of one type, and canonical JSON text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "sharding/gguf/byte_reader.h"
#include "sharding/gguf/gguf_file.h"

namespace lockstep {

// Moves `reader` behind one value of this type. Arrays nest at most four levels.
Status skip_gguf_value(ByteReader& reader, GgufValueType type);

// The value as an unsigned integer; kInvalidArgument names the key when it is no integer, or
// negative.
Result<std::uint64_t> gguf_integer(const GgufValue& value);
Result<float> gguf_float(const GgufValue& value);
Result<bool> gguf_flag(const GgufValue& value);
Result<std::string_view> gguf_text(const GgufValue& value);

// Appends the value as canonical JSON: integers as they are, floats as the integer of their IEEE
// bits, arrays as arrays. kInvalidArgument for text that is no UTF-8; kExhausted when `out` grows
// beyond `max_bytes`.
Status append_gguf_json(const GgufValue& value, std::size_t max_bytes, std::string& out);

// Appends `text` as a JSON string, byte for byte as canonical_dump writes it. False when it is no
// UTF-8.
bool append_json_string(std::string_view text, std::string& out);

}  // namespace lockstep
