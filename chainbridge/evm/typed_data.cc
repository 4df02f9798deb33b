#include "chainbridge/evm/typed_data.h"

#include <string>

#include "chainbridge/encoding/abi_word.h"

namespace lockstep {

TypedStruct::TypedStruct(std::string_view type) { add(keccak256(type)); }

TypedStruct& TypedStruct::add(const Digest& word) {
  append_abi_word(words_, word);
  return *this;
}

Digest domain_separator(const TypedDomain& domain) {
  return TypedStruct(
             "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
      .add_hashed(as_bytes(domain.name))
      .add_hashed(as_bytes(domain.version))
      .add(Uint256(domain.chain_id))
      .add(domain.contract)
      .digest();
}

Digest typed_data_digest(const Digest& separator, const Digest& struct_hash) {
  Bytes bytes = {0x19, 0x01};
  append_abi_word(bytes, separator);
  append_abi_word(bytes, struct_hash);
  return keccak256(ByteView(bytes));
}

Digest login_hash(const Login& login) {
  return TypedStruct(kLoginType).add(login.job).add(Uint256(login.expiry)).digest();
}

Digest receipt_hash(const Receipt& receipt) {
  Uint256 price;
  price.limbs = {receipt.price.low, receipt.price.high, 0, 0};
  return TypedStruct(kReceiptType)
      .add(receipt.job_id)
      .add(receipt.result_hash)
      .add(receipt.output_hash)
      .add(price)
      .digest();
}

Digest header_struct_hash(const RollupHeader& header) {
  return TypedStruct(kHeaderType)
      .add(header.operator_id)
      .add(Uint256(header.sequence))
      .add(header.previous)
      .add(header.root)
      .add(Uint256(header.count))
      .add(header.data_commitment)
      .digest();
}

Digest post_order_hash(const PostOrder& order) {
  constexpr std::string_view kSpecType =
      "Spec(bytes32 modelId,bytes32 samplingHash,bytes32 promptHash,uint32 promptTokens,"
      "uint32 maxCompletionTokens,uint64 pricePerPromptToken,uint64 pricePerCompletionToken,"
      "uint64 deadline,address provider)";
  const JobSpec& spec = order.spec;
  const Digest spec_struct = TypedStruct(kSpecType)
                                 .add(spec.model_id)
                                 .add(spec.sampling_hash)
                                 .add(spec.prompt_hash)
                                 .add(Uint256(spec.prompt_tokens))
                                 .add(Uint256(spec.max_completion_tokens))
                                 .add(Uint256(spec.price_per_prompt_token))
                                 .add(Uint256(spec.price_per_completion_token))
                                 .add(Uint256(spec.deadline))
                                 .add(spec.provider)
                                 .digest();
  const std::string type =
      "PostOrder(address client,uint64 clientNonce,Spec spec,bytes32 salt,uint64 expiry)" +
      std::string(kSpecType);
  return TypedStruct(type)
      .add(order.client)
      .add(Uint256(order.client_nonce))
      .add(spec_struct)
      .add(order.salt)
      .add(Uint256(order.expiry))
      .digest();
}

Digest operator_consent_hash(const OperatorConsent& consent) {
  return TypedStruct("OperatorConsent(address owner,address operator,bytes32 salt,uint64 expiry)")
      .add(consent.owner)
      .add(consent.operator_key)
      .add(consent.salt)
      .add(Uint256(consent.expiry))
      .digest();
}

Digest personal_message_digest(ByteView message) {
  const std::string prefix =
      "\x19"
      "Ethereum Signed Message:\n" +
      std::to_string(message.size());
  Keccak256 hash;
  hash.update(as_bytes(prefix));
  hash.update(message);
  return hash.finish();
}

}  // namespace lockstep
