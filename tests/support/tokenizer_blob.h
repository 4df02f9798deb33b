// The tokenizer blob of a GGUF file, as an import stores it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"
#include "sharding/gguf/gguf_file.h"
#include "sharding/gguf/gguf_value.h"

namespace lockstep {

inline Result<std::string> tokenizer_blob(const std::string& gguf_path) {
  constexpr std::size_t kMaxBytes = std::size_t{64} << 20;
  LOCKSTEP_TRY_ASSIGN(const GgufFile file, GgufFile::open(gguf_path), "tokenizer blob");
  std::string blob = "{";
  for (const GgufValue& value : file.values()) {  // Sorted by key, as canonical JSON wants them.
    if (!value.key.starts_with("tokenizer.ggml.")) continue;
    if (blob.size() > 1) blob += ',';
    append_json_string(value.key, blob);
    blob += ':';
    LOCKSTEP_TRY(append_gguf_json(value, kMaxBytes, blob), "tokenizer blob");
  }
  return blob + '}';
}

}  // namespace lockstep
