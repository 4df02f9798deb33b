// What the signer may sign, from a file that its owner wrote. Pure: no clock, no disk, no key.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "chainbridge/evm/abi.h"
#include "chainbridge/evm/transaction.h"
#include "chainbridge/rollup.h"
#include "chainbridge/signer/sign_request.h"

namespace lockstep {

// A method of a contract that may be called. Its arguments must decode, to the last byte.
struct AllowedCall {
  Address contract;
  std::string method;  // "withdrawTo(address)".
  Selector selector{};
  Uint256 max_value;                              // Wei that may go along.
  std::optional<std::size_t> recipient_argument;  // This one must be the policy's recipient.
};

struct AllowedChain {
  std::uint64_t chain_id = 0;
  Uint256 max_fee_per_gas;  // Wei.
  std::uint64_t max_gas_limit = 0;
  Uint256 spend_per_day;          // Wei: values and the most that gas may cost; a UTC day.
  std::optional<Address> rollup;  // Whose headers may be signed, each sequence once.
  std::optional<Address> escrow;  // Whose receipts may be signed.
  std::vector<AllowedCall> calls;
};

struct SignerPolicy {
  Address owner;      // The node's cold key: the operator of every header.
  Address recipient;  // Where money may go.
  std::vector<AllowedChain> chains;
};

inline constexpr std::size_t kMaxPolicyBytes = 64 << 10;
inline constexpr std::size_t kMaxPolicyChains = 16;
inline constexpr std::size_t kMaxPolicyCalls = 64;  // Of a chain.

// kInvalidArgument names what is wrong in the JSON text; see the README of this folder.
Result<SignerPolicy> parse_signer_policy(std::string_view text);

// The method that records a header; its transactions commit to the header as a signature does.
inline constexpr std::string_view kSubmitMethod =
    "submit((address,uint64,bytes32,bytes32,uint64,bytes32),bytes)";

// What a request commits to, once it is allowed.
struct SignerCommitment {
  std::optional<RollupHeader> header;  // To be the only one of its sequence.
  Uint256 spend;                       // Wei; 0 for what is no transaction.
  Uint256 spend_per_day;
};

// kPermission says which rule a request breaks.
Result<SignerCommitment> check_request(const SignerPolicy& policy, const SignRequest& request);

}  // namespace lockstep
