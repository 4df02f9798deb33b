// Both directions of the signer's socket, and its policy: what is accepted has these bytes alone,
// and a request that nobody allowed is not.
#include <algorithm>
#include <cstdlib>

#include "chainbridge/signer/sign_request.h"
#include "chainbridge/signer/signer_policy.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lockstep;
  const ByteView bytes(data, size);
  (void)decode_sign_answer(bytes);
  (void)parse_signer_policy(as_text(bytes));
  const auto request = decode_sign_request(bytes);
  if (!request.ok()) return 0;
  if (!std::ranges::equal(encode_sign_request(request.value()), bytes)) std::abort();
  static const SignerPolicy nothing{};
  const bool asks_for_the_address = std::holds_alternative<AddressRequest>(request.value());
  if (check_request(nothing, request.value()).ok() != asks_for_the_address) std::abort();
  return 0;
}
