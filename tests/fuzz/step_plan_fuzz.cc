// The decoder of step plans. The first byte says how the rest is meant: odd, an encoded plan as it
// is; even, a payload that gets a digest that fits it, so that mutations come past the digest. What
// is accepted is encoded to the same bytes.
#include <cstdlib>

#include "scheduler/step_plan.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  lockstep::Bytes bytes(data + 1, data + size);
  if (data[0] % 2 == 0) {
    const lockstep::Digest digest = lockstep::sha256(bytes);
    bytes.insert(bytes.end(), digest.bytes.begin(), digest.bytes.end());
  }
  const auto plan = lockstep::decode_plan(bytes);
  if (plan.ok() && lockstep::encode_plan(plan.value()) != bytes) std::abort();
  return 0;
}
