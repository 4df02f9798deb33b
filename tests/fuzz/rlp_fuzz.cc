// decode_rlp, decode_signed and decode_unsigned on any bytes: what is accepted has these bytes
// alone.
#include <cstdlib>

#include "chainbridge/evm/rlp.h"
#include "chainbridge/evm/transaction.h"

namespace {

void append(lockstep::Bytes& out, const lockstep::RlpItem& item) {
  if (!item.is_list) return lockstep::append_rlp_bytes(out, item.bytes);
  lockstep::Bytes payload;
  for (const lockstep::RlpItem& child : item.items) append(payload, child);
  lockstep::append_rlp_list(out, payload);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lockstep;
  const ByteView bytes(data, size);
  const Bytes copy(bytes.begin(), bytes.end());
  if (const auto item = decode_rlp(bytes); item.ok()) {
    Bytes again;
    append(again, item.value());
    if (again != copy) std::abort();
  }
  const auto plain = decode_unsigned(bytes);
  if (plain.ok() && encode_unsigned(plain.value()) != copy) std::abort();
  const auto signed_transaction = decode_signed(bytes);
  if (signed_transaction.ok() && encode_signed(signed_transaction.value()) != copy) std::abort();
  return 0;
}
