// A GGUF file as llama: tables, keys, tokenizer text, and every row as the importer reads it.
#include <cstddef>
#include <cstdint>

#include "sharding/gguf/float_row.h"
#include "sharding/gguf/gguf_file.h"
#include "sharding/gguf/llama_source.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto file = lockstep::GgufFile::parse({data, size});
  if (!file.ok()) return 0;
  const auto source = lockstep::read_llama(file.value());
  if (!source.ok()) return 0;
  lockstep::Bytes scratch;
  for (const lockstep::GgufTensor& tensor : file.value().tensors()) {
    for (std::int64_t row = 0; row < tensor.rows; ++row) {
      if (!lockstep::check_row(tensor, row).ok() || tensor.vector) break;
      const auto groups = static_cast<int>((tensor.k + 31) / 32);
      lockstep::row_blocks(tensor, row, {0, groups}, scratch);
    }
  }
  return 0;
}
