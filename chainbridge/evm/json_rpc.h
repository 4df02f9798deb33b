// JSON-RPC 2.0 as Ethereum's nodes speak it: requests, answers, and the fields of what is asked
// for. Pure, and suspicious of every byte.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/canonical_json.h"
#include "base/digest.h"
#include "base/result.h"
#include "chainbridge/evm/address.h"
#include "chainbridge/evm/uint256.h"

namespace lockstep {

std::string rpc_request(std::uint64_t id, std::string_view method, const Json& params);

// The node's own refusal.
struct RpcFault {
  std::int64_t code = 0;
  std::string message;  // Printable, at most 500 bytes.
  Bytes data;           // Of a revert; empty where there is none.
};

struct RpcAnswer {
  Json result;  // Null where there is a fault.
  std::optional<RpcFault> fault;
};

inline constexpr int kMaxRpcDepth = 12;

// kCorrupt: no answer to the request with this id.
Result<RpcAnswer> parse_rpc_answer(std::string_view text, std::uint64_t id);

// A block's number and hash.
struct BlockId {
  std::uint64_t number = 0;
  Digest hash;

  bool operator==(const BlockId&) const = default;
};

struct BlockHeader {
  BlockId id;
  Digest parent;
  std::uint64_t timestamp = 0;  // Unix seconds.
  Uint256 base_fee;             // Wei for one gas.

  bool operator==(const BlockHeader&) const = default;
};

struct TransactionReceipt {
  Digest transaction;
  BlockId block;
  bool is_success = false;
  std::uint64_t gas_used = 0;
  Uint256 gas_price;  // What one gas did cost.

  bool operator==(const TransactionReceipt&) const = default;
};

inline constexpr std::size_t kMaxLogTopics = 4;
inline constexpr std::size_t kMaxLogBytes = 64 << 10;

struct EventLog {
  Address contract;
  std::vector<Digest> topics;
  Bytes data;
  BlockId block;
  Digest transaction;
  std::uint64_t index = 0;  // In its block.

  bool operator==(const EventLog&) const = default;
};

// Values and members of results; kCorrupt says what was expected.
Result<std::uint64_t> rpc_u64(const Json& value);
Result<Uint256> rpc_uint256(const Json& value);
Result<Digest> rpc_digest(const Json& value);
Result<Bytes> rpc_bytes(const Json& value, std::size_t max_bytes);

Result<BlockHeader> rpc_block_header(const Json& value);
Result<TransactionReceipt> rpc_receipt(const Json& value);
// Also: a log that a reorganization has removed.
Result<EventLog> rpc_log(const Json& value);

}  // namespace lockstep
