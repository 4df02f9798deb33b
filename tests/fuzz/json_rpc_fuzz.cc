// A node's answer: whatever it says, its fields are read without a fault; and URLs.
#include <cstdlib>

#include "chainbridge/evm/http_client.h"
#include "chainbridge/evm/json_rpc.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lockstep;
  const std::string_view text = as_text({data, size});
  (void)parse_http_url(text);
  const auto answer = parse_rpc_answer(text, 1);
  if (!answer.ok()) return 0;
  if (answer.value().fault) {
    if (answer.value().fault->message.size() > 500) std::abort();
    return 0;
  }
  const Json& result = answer.value().result;
  (void)rpc_block_header(result);
  (void)rpc_receipt(result);
  const auto log = rpc_log(result);
  if (log.ok() && log.value().topics.size() > kMaxLogTopics) std::abort();
  const auto number = rpc_uint256(result);
  if (number.ok() && Json(number.value().quantity()) != result) {
    // Digits of another case are the same number.
    if (rpc_uint256(Json(number.value().quantity())).value() != number.value()) std::abort();
  }
  (void)rpc_bytes(result, 1024);
  return 0;
}
