#include "chainbridge/evm/json_rpc.h"

#include <algorithm>

namespace lockstep {
namespace {

constexpr std::size_t kMaxMessageBytes = 500;
constexpr std::size_t kMaxRevertBytes = 16 << 10;

Error corrupt(std::string_view why) {
  return {ErrorCode::kCorrupt, "JSON-RPC: " + std::string(why)};
}

Result<std::string_view> text_of(const Json& value, const char* expected) {
  if (!value.is_string()) return corrupt(std::string("expected ") + expected);
  return std::string_view(value.get_ref<const std::string&>());
}

// Of a reverted call nodes give the data as `data`, or as `data.data`.
Bytes revert_data(const Json& error) {
  const auto data = error.find("data");
  if (data == error.end()) return {};
  const auto inner = data->is_object() ? data->find("data") : data;
  if (data->is_object() && inner == data->end()) return {};
  const Result<Bytes> bytes = rpc_bytes(*inner, kMaxRevertBytes);
  return bytes.ok() ? bytes.value() : Bytes();
}

Result<RpcFault> parse_fault(const Json& error) {
  RpcFault fault;
  LOCKSTEP_TRY_ASSIGN(fault.code, json_integer(error, "code", INT64_MIN, INT64_MAX), "error");
  LOCKSTEP_TRY_ASSIGN(fault.message, json_text(error, "message"), "error");
  fault.message.resize(std::min(fault.message.size(), kMaxMessageBytes));
  std::ranges::replace_if(
      fault.message, [](char c) { return c < 0x20 || c > 0x7E; }, '?');
  fault.data = revert_data(error);
  return fault;
}

template <typename Parse>
auto member(const Json& object, const char* key, Parse parse) -> decltype(parse(object)) {
  LOCKSTEP_TRY_ASSIGN(const Json* value, json_member(object, key), "JSON-RPC");
  auto parsed = parse(*value);
  if (!parsed.ok()) return std::move(parsed).error().with_context(key);
  return parsed;
}

Result<BlockId> block_of(const Json& value) {
  BlockId block;
  LOCKSTEP_TRY_ASSIGN(block.number, member(value, "blockNumber", rpc_u64), "block");
  LOCKSTEP_TRY_ASSIGN(block.hash, member(value, "blockHash", rpc_digest), "block");
  return block;
}

Result<Address> rpc_address(const Json& value) {
  LOCKSTEP_TRY_ASSIGN(const Bytes bytes, rpc_bytes(value, 20), "address");
  if (bytes.size() != 20) return corrupt("expected an address of 20 bytes");
  Address address;
  std::ranges::copy(bytes, address.bytes.begin());
  return address;
}

}  // namespace

std::string rpc_request(std::uint64_t id, std::string_view method, const Json& params) {
  const Json request = {{"jsonrpc", "2.0"}, {"id", id}, {"method", method}, {"params", params}};
  return request.dump();
}

Result<RpcAnswer> parse_rpc_answer(std::string_view text, std::uint64_t id) {
  LOCKSTEP_TRY_ASSIGN(Json root, parse_json(text, kMaxRpcDepth), "JSON-RPC");
  if (!root.is_object() || root.value("jsonrpc", Json()) != "2.0") {
    return corrupt("no answer of version 2.0");
  }
  if (root.value("id", Json()) != id) return corrupt("an answer to another request");
  const bool has_error = root.contains("error") && !root["error"].is_null();
  if (has_error == root.contains("result")) return corrupt("neither a result nor an error");
  RpcAnswer answer;
  if (has_error) {
    LOCKSTEP_TRY_ASSIGN(answer.fault, parse_fault(root["error"]), "JSON-RPC");
  } else {
    answer.result = std::move(root["result"]);
  }
  return answer;
}

Result<Uint256> rpc_uint256(const Json& value) {
  LOCKSTEP_TRY_ASSIGN(const std::string_view text, text_of(value, "a quantity"), "JSON-RPC");
  Result<Uint256> number = Uint256::of_quantity(text);
  if (!number.ok()) return corrupt(number.error().message);
  return number;
}

Result<std::uint64_t> rpc_u64(const Json& value) {
  LOCKSTEP_TRY_ASSIGN(const Uint256 number, rpc_uint256(value), "JSON-RPC");
  const std::optional<std::uint64_t> small = number.u64();
  if (!small) return corrupt("a quantity above 2^64");
  return *small;
}

Result<Bytes> rpc_bytes(const Json& value, std::size_t max_bytes) {
  LOCKSTEP_TRY_ASSIGN(const std::string_view text, text_of(value, "bytes"), "JSON-RPC");
  if (!text.starts_with("0x") || text.size() > 2 + 2 * max_bytes) {
    return corrupt("expected 0x and at most " + std::to_string(max_bytes) + " bytes");
  }
  Result<Bytes> bytes = from_hex(text);
  if (!bytes.ok()) return corrupt(bytes.error().message);
  return bytes;
}

Result<Digest> rpc_digest(const Json& value) {
  LOCKSTEP_TRY_ASSIGN(const Bytes bytes, rpc_bytes(value, 32), "JSON-RPC");
  if (bytes.size() != 32) return corrupt("expected a hash of 32 bytes");
  Digest digest;
  std::ranges::copy(bytes, digest.bytes.begin());
  return digest;
}

Result<BlockHeader> rpc_block_header(const Json& value) {
  BlockHeader header;
  LOCKSTEP_TRY_ASSIGN(header.id.number, member(value, "number", rpc_u64), "block");
  LOCKSTEP_TRY_ASSIGN(header.id.hash, member(value, "hash", rpc_digest), "block");
  LOCKSTEP_TRY_ASSIGN(header.parent, member(value, "parentHash", rpc_digest), "block");
  LOCKSTEP_TRY_ASSIGN(header.timestamp, member(value, "timestamp", rpc_u64), "block");
  LOCKSTEP_TRY_ASSIGN(header.base_fee, member(value, "baseFeePerGas", rpc_uint256), "block");
  return header;
}

Result<TransactionReceipt> rpc_receipt(const Json& value) {
  TransactionReceipt receipt;
  LOCKSTEP_TRY_ASSIGN(receipt.transaction, member(value, "transactionHash", rpc_digest), "receipt");
  LOCKSTEP_TRY_ASSIGN(receipt.block, block_of(value), "receipt");
  LOCKSTEP_TRY_ASSIGN(const std::uint64_t status, member(value, "status", rpc_u64), "receipt");
  if (status > 1) return corrupt("receipt: a status above 1");
  receipt.is_success = status == 1;
  LOCKSTEP_TRY_ASSIGN(receipt.gas_used, member(value, "gasUsed", rpc_u64), "receipt");
  LOCKSTEP_TRY_ASSIGN(receipt.gas_price, member(value, "effectiveGasPrice", rpc_uint256),
                      "receipt");
  return receipt;
}

Result<EventLog> rpc_log(const Json& value) {
  EventLog log;
  if (value.is_object() && value.value("removed", Json(false)) != false) {
    return corrupt("log: removed by a reorganization");
  }
  LOCKSTEP_TRY_ASSIGN(log.contract, member(value, "address", rpc_address), "log");
  LOCKSTEP_TRY_ASSIGN(log.block, block_of(value), "log");
  LOCKSTEP_TRY_ASSIGN(log.transaction, member(value, "transactionHash", rpc_digest), "log");
  LOCKSTEP_TRY_ASSIGN(log.index, member(value, "logIndex", rpc_u64), "log");
  const auto data = [](const Json& text) { return rpc_bytes(text, kMaxLogBytes); };
  LOCKSTEP_TRY_ASSIGN(log.data, member(value, "data", data), "log");
  LOCKSTEP_TRY_ASSIGN(const Json* topics, json_member(value, "topics"), "log");
  if (!topics->is_array() || topics->size() > kMaxLogTopics) return corrupt("log: topics");
  for (const Json& topic : *topics) {
    LOCKSTEP_TRY_ASSIGN(const Digest digest, rpc_digest(topic), "log");
    log.topics.push_back(digest);
  }
  return log;
}

}  // namespace lockstep
