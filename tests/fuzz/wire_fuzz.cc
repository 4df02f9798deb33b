// The decoders of messages between gateway and replicas. The first byte chooses the direction. What
// is accepted encodes to bytes that decode to the same message.
#include <cstdlib>

#include "base/wire.h"

namespace {

template <typename Decode>
void check(lockstep::ByteView bytes, Decode decode) {
  const auto message = decode(bytes);
  if (!message.ok()) return;
  const lockstep::Bytes encoded = lockstep::encode_wire(message.value());
  const auto again = decode(encoded);
  if (!again.ok() || lockstep::encode_wire(again.value()) != encoded) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const lockstep::ByteView bytes(data + 1, size - 1);
  if (data[0] % 2 == 0) {
    check(bytes, lockstep::decode_to_replica);
  } else {
    check(bytes, lockstep::decode_to_gateway);
  }
  return 0;
}
