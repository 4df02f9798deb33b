// A type (a line of text) and bytes: what decodes encodes to these bytes; what a revert says is
// short.
#include <algorithm>
#include <cstdlib>

#include "chainbridge/evm/abi.h"
#include "chainbridge/evm/revert.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lockstep;
  const ByteView input(data, size);
  const auto line = std::ranges::find(input, '\n');
  const auto type_bytes = static_cast<std::size_t>(line - input.begin());
  const ByteView bytes = input.subspan(std::min(type_bytes + 1, size));
  const auto type = parse_abi_type(as_text(input.first(type_bytes)));
  if (type.ok()) {
    const auto value = decode_abi(type.value(), bytes);
    if (value.ok()) {
      const auto again = encode_abi(type.value(), value.value());
      if (!again.ok() || !std::ranges::equal(again.value(), bytes)) std::abort();
    }
  }
  static const RevertTable table({"AlreadyRecorded(uint256,string,bytes32[])"});
  if (table.decode(bytes).text.size() > 4096) std::abort();
  return 0;
}
