// What people and nodes sign that is no transaction: typed data (EIP-712) of Lockstep's fixed
// structs, and personal messages (EIP-191). Digests only; who signs is secp256k1.h.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/bytes.h"
#include "base/digest.h"
#include "base/identifiers.h"
#include "chainbridge/evm/address.h"
#include "chainbridge/evm/uint256.h"
#include "chainbridge/receipt.h"
#include "chainbridge/rollup.h"

namespace lockstep {

// hashStruct of a struct whose members are words: `TypedStruct("Login(bytes32 job,uint64 expiry)")
// .add(job).add(expiry).digest()`. Nested structs and dynamic members enter as their own hash.
class TypedStruct {
 public:
  explicit TypedStruct(std::string_view type);

  TypedStruct& add(const Digest& word);
  TypedStruct& add(const Uint256& number) { return add(number.word()); }
  TypedStruct& add(const Address& address) { return add(address.word()); }
  TypedStruct& add_hashed(ByteView bytes) { return add(keccak256(bytes)); }

  Digest digest() const { return keccak256(ByteView(words_)); }

 private:
  Bytes words_;
};

struct TypedDomain {
  std::string_view name = "Lockstep";
  std::string_view version = "1";
  std::uint64_t chain_id = 0;
  Address contract;
};

Digest domain_separator(const TypedDomain& domain);

// What is signed: keccak256(0x1901, domain separator, hashStruct).
Digest typed_data_digest(const Digest& separator, const Digest& struct_hash);

// A client of the chain at the gateway: it may read its job until `expiry` (Unix seconds).
inline constexpr std::string_view kLoginType = "Login(bytes32 job,uint64 expiry)";
struct Login {
  Digest job;
  std::uint64_t expiry = 0;
};
Digest login_hash(const Login& login);

// The node's word for a result; its domain's contract is the escrow.
inline constexpr std::string_view kReceiptType =
    "Receipt(bytes32 jobId,bytes32 resultHash,bytes32 outputHash,uint128 price)";
Digest receipt_hash(const Receipt& receipt);

// A rollup's header as a node signs it; chain and contract of the header stand in the domain.
// Requires: the header's operator is an address.
inline constexpr std::string_view kHeaderType =
    "RollupHeader(address operator,uint64 sequence,bytes32 previous,bytes32 root,uint64 count,"
    "bytes32 dataCommitment)";
Digest header_struct_hash(const RollupHeader& header);

// A post that someone else sends; its domain's contract is the escrow.
struct PostOrder {
  Address client;
  std::uint64_t client_nonce = 0;
  JobSpec spec;
  Digest salt;
  std::uint64_t expiry = 0;  // Unix seconds; the last second at which the order holds.
};
Digest post_order_hash(const PostOrder& order);

// A key that agrees to operate the node of `owner`; its domain's contract is the node registry.
struct OperatorConsent {
  Address owner;
  Address operator_key;
  Digest salt;
  std::uint64_t expiry = 0;  // As above.
};
Digest operator_consent_hash(const OperatorConsent& consent);

// EIP-191, version 0x45: what wallets call a personal message.
Digest personal_message_digest(ByteView message);

}  // namespace lockstep
