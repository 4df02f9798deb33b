#include "chainbridge/evm/transaction.h"

#include <algorithm>
#include <string>

#include "chainbridge/evm/rlp.h"

namespace lockstep {
namespace {

constexpr std::uint8_t kType = 2;
constexpr std::size_t kNumFields = 9;  // Without the signature's three.

Error corrupt(std::string_view why) {
  return {ErrorCode::kCorrupt, "transaction: " + std::string(why)};
}

void append_fields(Bytes& out, const Transaction& t) {
  append_rlp_integer(out, t.chain_id);
  append_rlp_integer(out, t.nonce);
  append_rlp_integer(out, t.fees.max_priority);
  append_rlp_integer(out, t.fees.max_fee);
  append_rlp_integer(out, t.gas_limit);
  append_rlp_bytes(out, t.to ? t.to->view() : ByteView());
  append_rlp_integer(out, t.value);
  append_rlp_bytes(out, t.data);
  append_rlp_list(out, {});
}

Bytes envelope(ByteView fields) {
  Bytes out = {kType};
  append_rlp_list(out, fields);
  return out;
}

Result<std::uint64_t> u64_field(const RlpItem& item) {
  LOCKSTEP_TRY_ASSIGN(const Uint256 value, rlp_integer(item), "transaction");
  const std::optional<std::uint64_t> small = value.u64();
  if (!small) return corrupt("an integer above 2^64");
  return *small;
}

Result<Transaction> transaction_of(const std::vector<RlpItem>& fields) {
  Transaction t;
  LOCKSTEP_TRY_ASSIGN(t.chain_id, u64_field(fields[0]), "chain id");
  LOCKSTEP_TRY_ASSIGN(t.nonce, u64_field(fields[1]), "nonce");
  LOCKSTEP_TRY_ASSIGN(t.fees.max_priority, rlp_integer(fields[2]), "priority fee");
  LOCKSTEP_TRY_ASSIGN(t.fees.max_fee, rlp_integer(fields[3]), "fee");
  LOCKSTEP_TRY_ASSIGN(t.gas_limit, u64_field(fields[4]), "gas limit");
  if (fields[5].is_list || fields[7].is_list) return corrupt("a list where bytes were expected");
  if (!fields[5].bytes.empty()) {
    if (fields[5].bytes.size() != 20) return corrupt("an address that has not 20 bytes");
    t.to.emplace();
    std::ranges::copy(fields[5].bytes, t.to->bytes.begin());
  }
  LOCKSTEP_TRY_ASSIGN(t.value, rlp_integer(fields[6]), "value");
  t.data.assign(fields[7].bytes.begin(), fields[7].bytes.end());
  if (!fields[8].is_list || !fields[8].items.empty()) return corrupt("an access list");
  return t;
}

Result<RlpItem> open_envelope(ByteView bytes, std::size_t num_fields) {
  if (bytes.size() > kMaxTransactionBytes) return corrupt("too long");
  if (bytes.empty() || bytes[0] != kType) return corrupt("not of type 2");
  LOCKSTEP_TRY_ASSIGN(RlpItem list, decode_rlp(bytes.subspan(1)), "transaction");
  if (!list.is_list || list.items.size() != num_fields) return corrupt("wrong number of fields");
  return list;
}

}  // namespace

Bytes encode_unsigned(const Transaction& transaction) {
  Bytes fields;
  append_fields(fields, transaction);
  return envelope(fields);
}

Result<Transaction> decode_unsigned(ByteView bytes) {
  LOCKSTEP_TRY_ASSIGN(const RlpItem list, open_envelope(bytes, kNumFields), "unsigned");
  return transaction_of(list.items);
}

Digest signing_digest(const Transaction& transaction) {
  return keccak256(ByteView(encode_unsigned(transaction)));
}

Bytes encode_signed(const SignedTransaction& signed_transaction) {
  Bytes fields;
  append_fields(fields, signed_transaction.transaction);
  const Signature& signature = signed_transaction.signature;
  append_rlp_integer(fields, signature.y_parity);
  append_rlp_integer(fields, Uint256::of_word(signature.r));
  append_rlp_integer(fields, Uint256::of_word(signature.s));
  return envelope(fields);
}

Result<SignedTransaction> decode_signed(ByteView bytes) {
  LOCKSTEP_TRY_ASSIGN(const RlpItem list, open_envelope(bytes, kNumFields + 3), "signed");
  SignedTransaction out;
  LOCKSTEP_TRY_ASSIGN(out.transaction, transaction_of(list.items), "signed");
  LOCKSTEP_TRY_ASSIGN(const std::uint64_t parity, u64_field(list.items[kNumFields]), "parity");
  if (parity > 1) return corrupt("a parity above 1");
  out.signature.y_parity = static_cast<std::uint8_t>(parity);
  LOCKSTEP_TRY_ASSIGN(const Uint256 r, rlp_integer(list.items[kNumFields + 1]), "r");
  LOCKSTEP_TRY_ASSIGN(const Uint256 s, rlp_integer(list.items[kNumFields + 2]), "s");
  out.signature.r = r.word();
  out.signature.s = s.word();
  return out;
}

Result<Address> sender_of(const SignedTransaction& signed_transaction) {
  return recover_signer(signing_digest(signed_transaction.transaction),
                        signed_transaction.signature);
}

}  // namespace lockstep
