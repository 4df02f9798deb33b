// A policy, and requests that it allows, for the tests of the signer.
#pragma once

#include <string>
#include <vector>

#include "chainbridge/signer/sign_request.h"
#include "chainbridge/signer/signer_policy.h"

namespace lockstep {

inline Address numbered_address(std::uint8_t number) {
  Address address;
  address.bytes.fill(number);
  return address;
}

inline const Address kOwner = numbered_address(0x11);
inline const Address kRollup = numbered_address(0x22);
inline const Address kEscrow = numbered_address(0x33);
inline constexpr std::uint64_t kChain = 31337;

// As JSON, with the addresses above.
inline std::string policy_text() {
  const auto call = [](const Address& contract, std::string_view method, const std::string& more) {
    return "{\"contract\": \"" + contract.text() + "\", \"method\": \"" + std::string(method) +
           "\"" + more + "}";
  };
  return "{\"owner\": \"" + kOwner.text() + "\", \"recipient\": \"" + kOwner.text() +
         "\", \"chains\": [{\"chain_id\": 31337, \"max_fee_per_gas\": \"1000\", "
         "\"max_gas_limit\": 1000000, \"spend_per_day\": \"1000000000\", \"rollup\": \"" +
         kRollup.text() + "\", \"escrow\": \"" + kEscrow.text() + "\", \"calls\": [" +
         call(kRollup, kSubmitMethod, "") + ", " +
         call(kEscrow, "withdrawTo(address)", ", \"recipient_argument\": 0") + ", " +
         call(kEscrow, "fund(uint256)", ", \"max_value\": \"500\"") + "]}]}";
}

inline SignerPolicy example_policy() { return parse_signer_policy(policy_text()).value(); }

inline RollupHeader example_header(std::uint64_t sequence, const std::string& content = "a") {
  RollupHeader header;
  header.chain_id = kChain;
  header.contract = kRollup.word();
  header.operator_id = kOwner.word();
  header.sequence = sequence;
  header.previous = keccak256("previous");
  header.root = keccak256(content);
  header.count = 3;
  header.data_commitment = keccak256("data");
  return header;
}

inline Transaction call_transaction(const Address& to, std::string_view method,
                                    const std::vector<AbiValue>& arguments) {
  return {.chain_id = kChain,
          .nonce = 1,
          .fees = {.max_fee = 100, .max_priority = 10},
          .gas_limit = 100'000,
          .to = to,
          .value = 0,
          .data = encode_abi_call(method, arguments).value()};
}

inline Transaction submit_transaction(const RollupHeader& header) {
  const AbiValue fields =
      AbiValue::list({AbiValue::of(header.operator_id), AbiValue::of(Uint256(header.sequence)),
                      AbiValue::of(header.previous), AbiValue::of(header.root),
                      AbiValue::of(Uint256(header.count)), AbiValue::of(header.data_commitment)});
  return call_transaction(kRollup, kSubmitMethod, {fields, AbiValue::of_bytes({})});
}

inline Transaction withdraw_transaction(const Address& recipient) {
  return call_transaction(kEscrow, "withdrawTo(address)", {AbiValue::of(recipient)});
}

}  // namespace lockstep
