#include "chainbridge/signer/signer_policy.h"

#include <algorithm>
#include <set>

#include "base/canonical_json.h"

namespace lockstep {
namespace {

constexpr int kMaxDepth = 6;

Error refuse(const std::string& why) { return {ErrorCode::kPermission, why}; }

Error wrong(const std::string& why) {
  return {ErrorCode::kInvalidArgument, "signer's policy: " + why};
}

Status check_keys(const Json& object, const std::set<std::string>& known) {
  if (!object.is_object()) return wrong("expected an object");
  for (const auto& [key, value] : object.items()) {
    if (!known.contains(key)) return wrong("unknown key \"" + key + "\"");
  }
  return {};
}

Result<Address> address_field(const Json& object, const char* key) {
  LOCKSTEP_TRY_ASSIGN(const std::string text, json_text(object, key), "signer's policy");
  return Address::of_text(text);
}

Result<Uint256> wei_field(const Json& object, const char* key) {
  LOCKSTEP_TRY_ASSIGN(const std::string text, json_text(object, key), "signer's policy");
  const Result<Uint256> value = Uint256::of_decimal(text);
  if (!value.ok()) return wrong("\"" + std::string(key) + "\": " + value.error().message);
  return value;
}

Result<const Json*> list_field(const Json& object, const char* key, std::size_t max) {
  LOCKSTEP_TRY_ASSIGN(const Json* list, json_member(object, key), "signer's policy");
  if (list->is_array() && list->size() <= max) return list;
  return wrong("\"" + std::string(key) + "\": expected a list of at most " + std::to_string(max));
}

Result<AllowedCall> parse_call(const Json& json) {
  LOCKSTEP_TRY(check_keys(json, {"contract", "max_value", "method", "recipient_argument"}),
               "calls");
  AllowedCall call;
  LOCKSTEP_TRY_ASSIGN(call.contract, address_field(json, "contract"), "calls");
  LOCKSTEP_TRY_ASSIGN(call.method, json_text(json, "method"), "calls");
  const std::size_t open = call.method.find('(');
  if (open == 0 || open == std::string::npos) return wrong("\"method\": expected name(types)");
  const Result<AbiType> arguments = parse_abi_type(std::string_view(call.method).substr(open));
  if (!arguments.ok()) return wrong("\"method\": " + arguments.error().message);
  call.selector = abi_selector(call.method);
  if (json.contains("max_value")) {
    LOCKSTEP_TRY_ASSIGN(call.max_value, wei_field(json, "max_value"), "calls");
  }
  if (!json.contains("recipient_argument")) return call;
  LOCKSTEP_TRY_ASSIGN(const std::int64_t index, json_integer(json, "recipient_argument", 0, 63),
                      "calls");
  call.recipient_argument = static_cast<std::size_t>(index);
  const auto& fields = arguments.value().components;
  if (*call.recipient_argument >= fields.size() ||
      fields[*call.recipient_argument].kind != AbiType::Kind::kAddress) {
    return wrong("\"recipient_argument\": that argument is no address");
  }
  return call;
}

Result<AllowedChain> parse_chain(const Json& json) {
  LOCKSTEP_TRY(check_keys(json, {"calls", "chain_id", "escrow", "max_fee_per_gas", "max_gas_limit",
                                 "rollup", "spend_per_day"}),
               "chains");
  AllowedChain chain;
  LOCKSTEP_TRY_ASSIGN(const std::int64_t id, json_integer(json, "chain_id", 1, INT64_MAX),
                      "chains");
  chain.chain_id = static_cast<std::uint64_t>(id);
  LOCKSTEP_TRY_ASSIGN(chain.max_fee_per_gas, wei_field(json, "max_fee_per_gas"), "chains");
  LOCKSTEP_TRY_ASSIGN(const std::int64_t gas,
                      json_integer(json, "max_gas_limit", 21'000, INT64_MAX), "chains");
  chain.max_gas_limit = static_cast<std::uint64_t>(gas);
  LOCKSTEP_TRY_ASSIGN(chain.spend_per_day, wei_field(json, "spend_per_day"), "chains");
  if (json.contains("rollup")) {
    LOCKSTEP_TRY_ASSIGN(chain.rollup, address_field(json, "rollup"), "chains");
  }
  if (json.contains("escrow")) {
    LOCKSTEP_TRY_ASSIGN(chain.escrow, address_field(json, "escrow"), "chains");
  }
  LOCKSTEP_TRY_ASSIGN(const Json* calls, list_field(json, "calls", kMaxPolicyCalls), "chains");
  for (const Json& item : *calls) {
    LOCKSTEP_TRY_ASSIGN(AllowedCall call, parse_call(item), "chains");
    chain.calls.push_back(std::move(call));
  }
  return chain;
}

Result<const AllowedChain*> find_chain(const SignerPolicy& policy, std::uint64_t chain_id) {
  const auto chain = std::ranges::find(policy.chains, chain_id, &AllowedChain::chain_id);
  if (chain != policy.chains.end()) return &*chain;
  return refuse("chain " + std::to_string(chain_id) + " is not allowed");
}

// The header in the arguments of kSubmitMethod.
Result<RollupHeader> header_of(const Transaction& transaction,
                               const std::vector<AbiValue>& arguments) {
  const std::vector<AbiValue>& fields = arguments[0].items;
  RollupHeader header;
  header.chain_id = transaction.chain_id;
  header.contract = transaction.to->word();
  header.operator_id = fields[0].word;
  header.sequence = fields[1].number().limbs[0];
  header.previous = fields[2].word;
  header.root = fields[3].word;
  header.count = fields[4].number().limbs[0];
  header.data_commitment = fields[5].word;
  return header;
}

Status check_header(const SignerPolicy& policy, const AllowedChain& chain,
                    const RollupHeader& header) {
  if (!chain.rollup || header.contract != chain.rollup->word()) {
    return refuse("headers of this contract are not allowed");
  }
  if (header.operator_id != policy.owner.word()) return refuse("a header of another node");
  return {};
}

Result<SignerCommitment> check_transaction(const SignerPolicy& policy,
                                           const Transaction& transaction) {
  LOCKSTEP_TRY_ASSIGN(const AllowedChain* chain, find_chain(policy, transaction.chain_id),
                      "transaction");
  if (!transaction.to) return refuse("a transaction that creates a contract");
  const auto call = std::ranges::find_if(chain->calls, [&](const AllowedCall& allowed) {
    return allowed.contract == *transaction.to && transaction.data.size() >= 4 &&
           std::ranges::equal(allowed.selector, ByteView(transaction.data).first(4));
  });
  if (call == chain->calls.end()) return refuse("contract or method is not on the list");
  const auto arguments = decode_abi_call(call->method, transaction.data);
  if (!arguments.ok()) return refuse("the arguments are none of " + call->method);
  if (transaction.value > call->max_value)
    return refuse("more value than " + call->method + " may");
  if (transaction.fees.max_fee > chain->max_fee_per_gas ||
      transaction.fees.max_priority > transaction.fees.max_fee) {
    return refuse("fees above the policy's");
  }
  if (transaction.gas_limit > chain->max_gas_limit) return refuse("a gas limit above the policy's");
  if (call->recipient_argument &&
      arguments.value()[*call->recipient_argument].word != policy.recipient.word()) {
    return refuse("money to another than the policy's recipient");
  }
  SignerCommitment commitment;
  const auto gas = checked_mul(Uint256(transaction.gas_limit), transaction.fees.max_fee);
  const auto spend = gas ? checked_add(*gas, transaction.value) : std::nullopt;
  if (!spend) return refuse("costs that cannot be");
  commitment.spend = *spend;
  commitment.spend_per_day = chain->spend_per_day;
  if (call->method == kSubmitMethod) {
    LOCKSTEP_TRY_ASSIGN(commitment.header, header_of(transaction, arguments.value()), "submit");
    LOCKSTEP_TRY(check_header(policy, *chain, *commitment.header), "submit");
  }
  return commitment;
}

struct Checker {
  const SignerPolicy& policy;

  Result<SignerCommitment> operator()(const AddressRequest&) const { return SignerCommitment{}; }
  Result<SignerCommitment> operator()(const TransactionRequest& request) const {
    return check_transaction(policy, request.transaction);
  }
  Result<SignerCommitment> operator()(const HeaderRequest& request) const {
    LOCKSTEP_TRY_ASSIGN(const AllowedChain* chain, find_chain(policy, request.header.chain_id),
                        "header");
    LOCKSTEP_TRY(check_header(policy, *chain, request.header), "header");
    return SignerCommitment{.header = request.header, .spend = {}, .spend_per_day = {}};
  }
  Result<SignerCommitment> operator()(const ReceiptRequest& request) const {
    LOCKSTEP_TRY_ASSIGN(const AllowedChain* chain, find_chain(policy, request.chain_id), "receipt");
    if (chain->escrow != request.escrow) return refuse("receipts of this contract are not allowed");
    return SignerCommitment{};
  }
};

}  // namespace

Result<SignerPolicy> parse_signer_policy(std::string_view text) {
  if (text.size() > kMaxPolicyBytes) return wrong("too long");
  const Result<Json> parsed = parse_json(text, kMaxDepth);
  if (!parsed.ok()) return wrong(parsed.error().message);
  const Json& root = parsed.value();
  LOCKSTEP_TRY(check_keys(root, {"chains", "owner", "recipient"}), "top");
  SignerPolicy policy;
  LOCKSTEP_TRY_ASSIGN(policy.owner, address_field(root, "owner"), "top");
  LOCKSTEP_TRY_ASSIGN(policy.recipient, address_field(root, "recipient"), "top");
  LOCKSTEP_TRY_ASSIGN(const Json* chains, list_field(root, "chains", kMaxPolicyChains), "top");
  for (const Json& item : *chains) {
    LOCKSTEP_TRY_ASSIGN(AllowedChain chain, parse_chain(item), "top");
    if (std::ranges::count(policy.chains, chain.chain_id, &AllowedChain::chain_id) > 0) {
      return wrong("chain " + std::to_string(chain.chain_id) + " stands there twice");
    }
    policy.chains.push_back(std::move(chain));
  }
  return policy;
}

Result<SignerCommitment> check_request(const SignerPolicy& policy, const SignRequest& request) {
  return std::visit(Checker{policy}, request);
}

}  // namespace lockstep
