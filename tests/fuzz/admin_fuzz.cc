// Lines of the admin socket, in both directions. An order that is accepted encodes to its line; an
// answer is one line whatever the message holds.
#include <cstdlib>

#include "scheduler/gateway/admin/admin_order.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view line(reinterpret_cast<const char*>(data), size);
  const auto order = lockstep::parse_admin_order(line);
  if (order.ok() && lockstep::encode_admin_order(order.value()) != line) std::abort();
  const lockstep::Status answer = lockstep::parse_admin_answer(line);
  const std::string encoded = lockstep::encode_admin_answer(answer);
  if (encoded.find('\n') != encoded.npos) std::abort();
  if (lockstep::parse_admin_answer(encoded).ok() != answer.ok()) std::abort();
  return 0;
}
