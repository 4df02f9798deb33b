// The packed columns of the gateway's database: what decodes encodes to the same bytes.
#include <algorithm>

#include "base/check.h"
#include "scheduler/gateway/store/row_bytes.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lockstep;
  if (size == 0) return 0;
  const ByteView bytes(data + 1, size - 1);
  const auto sampling = decode_sampling(bytes);
  if (sampling.ok()) {
    CHECK(std::ranges::equal(encode_sampling(sampling.value()), bytes), "another sampling");
  }
  const auto tokens = decode_token_ids(bytes);
  if (tokens.ok()) {
    CHECK(std::ranges::equal(encode_token_ids(tokens.value()), bytes), "another prompt");
  }
  std::vector<CompletionToken> completion;
  if (decode_completion(bytes, data[0], completion).ok()) {
    // Columns that hold nothing are left out when it is written again; then it is stable.
    const Bytes once = encode_completion(completion);
    std::vector<CompletionToken> again;
    CHECK(decode_completion(once, data[0], again).ok(), "what was written cannot be read");
    CHECK(encode_completion(again) == once, "another piece of an answer");
  }
  return 0;
}
