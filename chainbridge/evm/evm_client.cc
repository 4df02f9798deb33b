#include "chainbridge/evm/evm_client.h"

#include <algorithm>
#include <cctype>
#include <functional>
#include <utility>

#include "base/log.h"

namespace lockstep {
namespace {

constexpr std::uint64_t kBaseFeeHeadroom = 2;  // Six full blocks in a row double the base fee.
constexpr std::int64_t kRevertCode = 3;        // Of geth and anvil, with data.
constexpr std::size_t kMaxReturnBytes = 64 << 10;

Json block_parameter(const BlockId& block) {
  return {{"blockHash", "0x" + block.hash.hex()}, {"requireCanonical", true}};
}

Error refused(const RpcFault& fault) {
  return {ErrorCode::kUnavailable, "refused: " + fault.message};
}

// `parse` for results alone: a node's refusal is no answer.
template <typename Parse>
auto result_of(Parse parse) {
  return [parse](const RpcAnswer& answer) -> decltype(parse(answer.result)) {
    if (answer.fault) return refused(*answer.fault);
    return parse(answer.result);
  };
}

bool mentions(const std::string& message, std::initializer_list<std::string_view> texts) {
  std::string lower = message;
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
  return std::ranges::any_of(
      texts, [&lower](std::string_view text) { return lower.find(text) != std::string::npos; });
}

// Nodes have no codes for these, only words; the words of geth, reth, erigon, nethermind and anvil.
BroadcastOutcome classify(const RpcFault& fault) {
  using Kind = BroadcastOutcome::Kind;
  const std::string& text = fault.message;
  if (mentions(text, {"already known", "already imported", "alreadyknown", "already in mempool"})) {
    return {Kind::kAccepted, text};
  }
  if (mentions(text, {"nonce too low", "nonce is too low", "oldnonce"})) {
    return {Kind::kNonceTooLow, text};
  }
  if (mentions(text, {"underpriced", "fee cap", "less than block base fee", "fee too low"})) {
    return {Kind::kUnderpriced, text};
  }
  if (mentions(text, {"insufficient", "not have enough funds"})) {
    return {Kind::kInsufficient, text};
  }
  return {Kind::kRefused, text};
}

}  // namespace

EvmClient::EvmClient(const EvmClientConfig& config, std::vector<Endpoint> endpoints)
    : config_(config), endpoints_(std::move(endpoints)) {}

Result<std::unique_ptr<EvmClient>> EvmClient::make(const EvmClientConfig& config,
                                                   const Clock& clock) {
  if (config.urls.empty() || config.urls.size() > kMaxEndpoints) {
    return Error{ErrorCode::kInvalidArgument,
                 "expected 1 to " + std::to_string(kMaxEndpoints) + " endpoints"};
  }
  std::vector<Endpoint> endpoints;
  std::vector<std::string> places;
  for (const std::string& text : config.urls) {
    LOCKSTEP_TRY_ASSIGN(const HttpUrl url, parse_http_url(text), "endpoint");
    LOCKSTEP_TRY_ASSIGN(auto http, HttpClient::make(url, config.authorities), "endpoint");
    if (std::ranges::find(places, url.place()) != places.end()) {
      return Error{ErrorCode::kInvalidArgument,
                   url.place() + ": given twice; a node agrees with itself whatever it says"};
    }
    places.push_back(url.place());
    endpoints.emplace_back(std::move(http), config.chain, config.limits, clock);
  }
  return std::unique_ptr<EvmClient>(new EvmClient(config, std::move(endpoints)));
}

template <typename Parse>
auto EvmClient::agreed(std::string_view method, const Json& params, Parse parse)
    -> decltype(parse(RpcAnswer())) {
  using Value = std::remove_cvref_t<decltype(parse(RpcAnswer()).value())>;
  std::vector<Value> values;
  std::string faults;
  for (Endpoint& endpoint : endpoints_) {
    auto parsed = [&]() -> decltype(parse(RpcAnswer())) {
      LOCKSTEP_TRY_ASSIGN(const RpcAnswer answer, endpoint.call(method, params), "ask");
      return parse(answer);
    }();
    if (!parsed.ok()) {
      // Where one answer is enough, its code says what the caller can do.
      if (endpoints_.size() == 1) return parsed;
      faults += "; " + endpoint.place() + ": " + parsed.error().message;
      continue;
    }
    values.push_back(std::move(parsed).value());
    const auto equal = std::ranges::count(values, values.back());
    if (std::cmp_greater_equal(equal, quorum())) return std::move(values.back());
  }
  return Error{ErrorCode::kUnavailable, std::string(method) + ": of " +
                                            std::to_string(endpoints_.size()) + " endpoints " +
                                            std::to_string(values.size()) + " answered, and no " +
                                            std::to_string(quorum()) + " alike" + faults};
}

// The highest block that enough endpoints have reached, by their own word for `tag`.
Result<BlockHeader> EvmClient::agreed_head(const char* tag) {
  std::vector<std::uint64_t> numbers;
  std::string faults;
  for (Endpoint& endpoint : endpoints_) {
    const auto number = [&]() -> Result<std::uint64_t> {
      LOCKSTEP_TRY_ASSIGN(const RpcAnswer answer,
                          endpoint.call("eth_getBlockByNumber", Json::array({tag, false})), tag);
      LOCKSTEP_TRY_ASSIGN(const BlockHeader header, result_of(rpc_block_header)(answer), tag);
      return header.id.number;
    }();
    if (number.ok()) {
      numbers.push_back(number.value());
    } else if (endpoints_.size() == 1) {
      return number.error();  // Its code says what the caller can do.
    } else {
      faults += "; " + number.error().message;
    }
  }
  if (numbers.size() < quorum()) {
    return Error{ErrorCode::kUnavailable, "not enough endpoints answer" + faults};
  }
  std::ranges::sort(numbers, std::greater());
  return header(numbers[quorum() - 1]);
}

Result<ChainHeads> EvmClient::heads() {
  ChainHeads heads;
  LOCKSTEP_TRY_ASSIGN(heads.latest, agreed_head("latest"), "latest block");
  if (config_.finality_depth) {
    const std::uint64_t depth = std::min(*config_.finality_depth, heads.latest.id.number);
    LOCKSTEP_TRY_ASSIGN(heads.final, header(heads.latest.id.number - depth), "final block");
  } else {
    LOCKSTEP_TRY_ASSIGN(heads.final, agreed_head("finalized"), "final block");
  }
  return heads;
}

Result<BlockHeader> EvmClient::header(std::uint64_t number) {
  const auto parse = [number](const Json& result) -> Result<std::optional<BlockHeader>> {
    if (result.is_null()) return std::optional<BlockHeader>();
    LOCKSTEP_TRY_ASSIGN(const BlockHeader header, rpc_block_header(result), "block");
    if (header.id.number == number) return std::optional(header);
    return Error{ErrorCode::kCorrupt, "block " + std::to_string(header.id.number) +
                                          " in place of " + std::to_string(number)};
  };
  LOCKSTEP_TRY_ASSIGN(const std::optional<BlockHeader> header,
                      agreed("eth_getBlockByNumber",
                             Json::array({Uint256(number).quantity(), false}), result_of(parse)),
                      "block");
  if (header) return *header;
  return Error{ErrorCode::kNotFound, "no block " + std::to_string(number) + " yet"};
}

Result<AccountState> EvmClient::account(const Address& address, const ChainHeads& heads) {
  const auto at = [&address](const BlockHeader& block) {
    return Json::array({address.text(), block_parameter(block.id)});
  };
  AccountState state;
  LOCKSTEP_TRY_ASSIGN(state.nonce,
                      agreed("eth_getTransactionCount", at(heads.latest), result_of(rpc_u64)),
                      "nonce");
  LOCKSTEP_TRY_ASSIGN(state.final_nonce,
                      agreed("eth_getTransactionCount", at(heads.final), result_of(rpc_u64)),
                      "final nonce");
  LOCKSTEP_TRY_ASSIGN(
      state.balance, agreed("eth_getBalance", at(heads.latest), result_of(rpc_uint256)), "balance");
  return state;
}

Result<GasFees> EvmClient::suggested_fees(const ChainHeads& heads) {
  // The smallest offer of all: a node that lies can make us wait, not pay.
  std::optional<Uint256> tip;
  Error fault{ErrorCode::kUnavailable, "no endpoint"};
  for (Endpoint& endpoint : endpoints_) {
    const auto offered = [&]() -> Result<Uint256> {
      LOCKSTEP_TRY_ASSIGN(const RpcAnswer answer,
                          endpoint.call("eth_maxPriorityFeePerGas", Json::array()), "fees");
      return result_of(rpc_uint256)(answer);
    }();
    if (!offered.ok()) {
      fault = offered.error();
    } else if (!tip || offered.value() < *tip) {
      tip = offered.value();
    }
  }
  if (!tip) return fault;
  const auto doubled = checked_mul(heads.latest.base_fee, kBaseFeeHeadroom);
  const auto sum = doubled ? checked_add(*doubled, *tip) : std::nullopt;
  if (!sum) return Error{ErrorCode::kCorrupt, "fees above 2^256"};
  return GasFees{.max_fee = *sum, .max_priority = *tip};
}

Result<std::optional<TransactionReceipt>> EvmClient::receipt(const Digest& transaction) {
  const auto parse =
      [&transaction](const Json& result) -> Result<std::optional<TransactionReceipt>> {
    if (result.is_null()) return std::optional<TransactionReceipt>();
    LOCKSTEP_TRY_ASSIGN(const TransactionReceipt receipt, rpc_receipt(result), "receipt");
    if (receipt.transaction == transaction) return std::optional(receipt);
    return Error{ErrorCode::kCorrupt, "the receipt of another transaction"};
  };
  return agreed("eth_getTransactionReceipt", Json::array({"0x" + transaction.hex()}),
                result_of(parse));
}

Result<CallOutcome> EvmClient::call(const ChainCall& call, const BlockId& block) {
  const Json request = {{"from", call.from.text()},
                        {"to", call.to.text()},
                        {"value", call.value.quantity()},
                        {"data", "0x" + to_hex(call.data)},
                        {"gas", Uint256(config_.max_gas_limit).quantity()}};
  struct Comparable : CallOutcome {
    bool operator==(const Comparable& other) const {
      return is_reverted == other.is_reverted && data == other.data;
    }
  };
  const auto parse = [](const RpcAnswer& answer) -> Result<Comparable> {
    if (!answer.fault) {
      LOCKSTEP_TRY_ASSIGN(Bytes data, rpc_bytes(answer.result, kMaxReturnBytes), "call");
      return Comparable{{false, std::move(data)}};
    }
    const RpcFault& fault = *answer.fault;
    if (fault.code != kRevertCode && !mentions(fault.message, {"revert"})) return refused(fault);
    return Comparable{{true, fault.data}};
  };
  LOCKSTEP_TRY_ASSIGN(Comparable outcome,
                      agreed("eth_call", Json::array({request, block_parameter(block)}), parse),
                      "call");
  if (!outcome.is_reverted) {
    LOCKSTEP_TRY_ASSIGN(outcome.gas, estimate_gas(request), "gas");
  }
  return CallOutcome(std::move(outcome));
}

// The largest estimate: a limit costs nothing that is not used, and fees have ceilings of their
// own.
Result<std::uint64_t> EvmClient::estimate_gas(const Json& request) {
  std::uint64_t most = 0;
  Error fault{ErrorCode::kUnavailable, "no endpoint"};
  for (Endpoint& endpoint : endpoints_) {
    const auto estimate = [&]() -> Result<std::uint64_t> {
      LOCKSTEP_TRY_ASSIGN(const RpcAnswer answer,
                          endpoint.call("eth_estimateGas", Json::array({request})), "ask");
      return result_of(rpc_u64)(answer);
    }();
    if (!estimate.ok()) {
      fault = estimate.error();
    } else if (estimate.value() <= config_.max_gas_limit) {
      most = std::max(most, estimate.value());
    }
  }
  if (most == 0) return fault;
  return most;
}

// To all of them: it is enough that one passes it on.
Result<BroadcastOutcome> EvmClient::broadcast(ByteView signed_bytes) {
  const Json params = Json::array({"0x" + to_hex(signed_bytes)});
  const Digest expected = keccak256(signed_bytes);
  std::optional<BroadcastOutcome> refusal;
  Error fault{ErrorCode::kUnavailable, "no endpoint"};
  bool is_accepted = false;
  for (Endpoint& endpoint : endpoints_) {
    const Result<RpcAnswer> answer = endpoint.call("eth_sendRawTransaction", params);
    if (!answer.ok()) {
      fault = answer.error();
      continue;
    }
    if (answer.value().fault) {
      const BroadcastOutcome outcome = classify(*answer.value().fault);
      if (outcome.kind == BroadcastOutcome::Kind::kAccepted) is_accepted = true;
      if (!refusal) refusal = outcome;
      continue;
    }
    const Result<Digest> hash = rpc_digest(answer.value().result);
    if (hash.ok() && hash.value() == expected) is_accepted = true;
  }
  if (is_accepted) return BroadcastOutcome{};
  if (refusal) return *refusal;
  return fault;
}

Result<std::vector<EventLog>> EvmClient::logs(const BlockId& block,
                                              const std::vector<Address>& contracts) {
  Json addresses = Json::array();
  for (const Address& contract : contracts) addresses.push_back(contract.text());
  const auto parse = [&](const Json& result) -> Result<std::vector<EventLog>> {
    if (!result.is_array() || result.size() > kMaxBlockLogs) {
      return Error{ErrorCode::kCorrupt, "expected a list of logs"};
    }
    std::vector<EventLog> logs;
    for (const Json& item : result) {
      LOCKSTEP_TRY_ASSIGN(EventLog log, rpc_log(item), "logs");
      const bool is_asked_for =
          log.block == block && std::ranges::count(contracts, log.contract) > 0;
      if (!is_asked_for || (!logs.empty() && logs.back().index >= log.index)) {
        return Error{ErrorCode::kCorrupt, "a log that was not asked for, or out of order"};
      }
      logs.push_back(std::move(log));
    }
    return logs;
  };
  const Json filter = {{"blockHash", "0x" + block.hash.hex()}, {"address", addresses}};
  return agreed("eth_getLogs", Json::array({filter}), result_of(parse));
}

}  // namespace lockstep
