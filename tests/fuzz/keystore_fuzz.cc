// parse_keystore on any text: what is accepted reads back as the same keystore.
#include <cstdlib>

#include "chainbridge/evm/keystore.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lockstep;
  const auto keystore = parse_keystore(as_text({data, size}));
  if (!keystore.ok()) return 0;
  const std::string text = keystore_text(keystore.value());
  const auto again = parse_keystore(text);
  if (!again.ok() || keystore_text(again.value()) != text) std::abort();
  return 0;
}
