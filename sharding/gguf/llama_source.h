// A GGUF file as a model of architecture `llama`: its configuration and its tensors, everything
// checked against each other. What this program does not compute is refused by name.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "sharding/gguf/gguf_file.h"
#include "sharding/store/tensor_names.h"

namespace lockstep {

struct LlamaSource {
  ModelConfig config;  // Profile fields are left at their defaults.
  ModelFormats formats;
  std::vector<float> rope_factors;
  std::vector<SourceTensor> tensors;  // Sorted by name: the same order as GgufFile::tensors().
  std::string tokenizer;              // Canonical JSON of the `tokenizer.*` keys.
  std::string chat_template;          // Empty when there is none.
};

Result<LlamaSource> read_llama(const GgufFile& file);

}  // namespace lockstep
