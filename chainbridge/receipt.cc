#include "chainbridge/receipt.h"

#include "chainbridge/encoding/abi_word.h"

namespace lockstep {

Bytes receipt_bytes(const Receipt& receipt) {
  Bytes bytes;
  bytes.reserve(kReceiptBytes);
  append_abi_word(bytes, receipt.job_id);
  append_abi_word(bytes, receipt.result_hash);
  append_abi_word(bytes, receipt.output_hash);
  append_abi_word(bytes, receipt.price);
  return bytes;
}

Digest receipt_digest(const Receipt& receipt) { return keccak256(receipt_bytes(receipt)); }

}  // namespace lockstep
