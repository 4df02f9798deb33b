// What ethers made (evm_vectors.cjs, by evm_ethers_test.py) against what we make of the same
// values.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "base/canonical_json.h"
#include "chainbridge/evm/abi.h"
#include "chainbridge/evm/json_rpc.h"
#include "chainbridge/evm/keystore.h"
#include "chainbridge/evm/transaction.h"
#include "chainbridge/evm/typed_data.h"

namespace lockstep {
namespace {

std::string text_of(const Json& value) { return value.get<std::string>(); }
Digest digest_of(const Json& value) { return rpc_digest(value).value(); }
Bytes bytes_of(const Json& value) { return from_hex(text_of(value)).value(); }
Address address_of(const Json& value) { return Address::of_text(text_of(value)).value(); }
Uint256 number_of(const Json& value) { return Uint256::of_decimal(text_of(value)).value(); }
std::uint64_t u64_of(const Json& value) { return number_of(value).u64().value(); }

void expect_transaction(const Json& item) {
  const Bytes bytes = bytes_of(item["signed"]);
  const SignedTransaction decoded = decode_signed(bytes).value();
  EXPECT_EQ(encode_signed(decoded), bytes);
  EXPECT_EQ(keccak256(ByteView(bytes)), digest_of(item["hash"]));
  EXPECT_EQ(sender_of(decoded).value(), address_of(item["from"]));
  EXPECT_EQ(encode_unsigned(decoded.transaction), bytes_of(item["unsigned"]));
  const Digest key = digest_of(item["key"]);
  EXPECT_EQ(sign_digest(key.bytes, signing_digest(decoded.transaction)).value(), decoded.signature);
}

// Decoding is strict, so that encoding what was decoded compares every byte.
void expect_call(const Json& item) {
  const std::string signature = text_of(item["signature"]);
  const Bytes data = bytes_of(item["data"]);
  const auto arguments = decode_abi_call(signature, data);
  ASSERT_TRUE(arguments.ok()) << signature << ": " << arguments.error().message;
  EXPECT_EQ(encode_abi_call(signature, arguments.value()).value(), data) << signature;
}

Digest struct_hash(const std::string& name, const Json& m) {
  if (name == "Login") return login_hash({digest_of(m["job"]), u64_of(m["expiry"])});
  if (name == "Receipt") {
    const Uint256 price = number_of(m["price"]);
    return receipt_hash({digest_of(m["jobId"]),
                         digest_of(m["resultHash"]),
                         digest_of(m["outputHash"]),
                         {price.limbs[1], price.limbs[0]}});
  }
  if (name == "RollupHeader") {
    RollupHeader header;
    header.operator_id = address_of(m["operator"]).word();
    header.sequence = u64_of(m["sequence"]);
    header.previous = digest_of(m["previous"]);
    header.root = digest_of(m["root"]);
    header.count = u64_of(m["count"]);
    header.data_commitment = digest_of(m["dataCommitment"]);
    return header_struct_hash(header);
  }
  if (name == "OperatorConsent") {
    return operator_consent_hash({address_of(m["owner"]), address_of(m["operator"]),
                                  digest_of(m["salt"]), u64_of(m["expiry"])});
  }
  const Json& s = m["spec"];
  PostOrder order{address_of(m["client"]),
                  u64_of(m["clientNonce"]),
                  {},
                  digest_of(m["salt"]),
                  u64_of(m["expiry"])};
  order.spec.model_id = digest_of(s["modelId"]);
  order.spec.sampling_hash = digest_of(s["samplingHash"]);
  order.spec.prompt_hash = digest_of(s["promptHash"]);
  order.spec.prompt_tokens = static_cast<std::uint32_t>(u64_of(s["promptTokens"]));
  order.spec.max_completion_tokens = static_cast<std::uint32_t>(u64_of(s["maxCompletionTokens"]));
  order.spec.price_per_prompt_token = u64_of(s["pricePerPromptToken"]);
  order.spec.price_per_completion_token = u64_of(s["pricePerCompletionToken"]);
  order.spec.deadline = u64_of(s["deadline"]);
  order.spec.provider = address_of(s["provider"]).word();
  return post_order_hash(order);
}

void expect_typed(const Json& item) {
  const Json& domain = item["domain"];
  const Digest separator = domain_separator({.chain_id = domain["chainId"].get<std::uint64_t>(),
                                             .contract = address_of(domain["verifyingContract"])});
  const std::string name = text_of(item["name"]);
  EXPECT_EQ(typed_data_digest(separator, struct_hash(name, item["message"])),
            digest_of(item["digest"]))
      << name;
}

TEST(EvmVectors, EqualThoseOfEthers) {
  const char* path = std::getenv("LOCKSTEP_EVM_VECTORS");
  if (path == nullptr) GTEST_SKIP() << "LOCKSTEP_EVM_VECTORS names no file";
  const Json vectors = Json::parse(std::ifstream(path));
  ASSERT_FALSE(vectors["transactions"].empty());
  for (const Json& item : vectors["transactions"]) expect_transaction(item);
  for (const Json& item : vectors["calls"]) expect_call(item);
  for (const Json& item : vectors["typed"]) expect_typed(item);
  for (const Json& item : vectors["messages"]) {
    const Digest key = digest_of(item["key"]);
    const Digest digest = personal_message_digest(as_bytes(text_of(item["message"])));
    EXPECT_EQ(sign_digest(key.bytes, digest).value().bytes(), bytes_of(item["signature"]));
  }
  for (const Json& item : vectors["keystores"]) {
    const auto keystore = parse_keystore(text_of(item["text"]));
    ASSERT_TRUE(keystore.ok()) << keystore.error().message;
    Digest key;
    ASSERT_TRUE(open_keystore(keystore.value(), "pass phrase", key.bytes).ok());
    EXPECT_EQ(key, digest_of(item["key"]));
  }
}

}  // namespace
}  // namespace lockstep
