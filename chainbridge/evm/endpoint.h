// One node of a chain, over JSON-RPC: answers as values, faults of the transport as errors, a pause
// where the node asks for one. Whether it is a node of the right chain is checked before the first
// call and after every fault. Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "chainbridge/evm/http_client.h"
#include "chainbridge/evm/json_rpc.h"

namespace lockstep {

// Which chain: both are pinned in the configuration.
struct ChainIdentity {
  std::uint64_t chain_id = 0;
  Digest genesis;  // Hash of block 0.

  bool operator==(const ChainIdentity&) const = default;
};

class Endpoint {
 public:
  Endpoint(std::unique_ptr<HttpClient> http, const ChainIdentity& chain, const HttpLimits& limits,
           const Clock& clock);

  // The node's answer, its own refusals too. kUnavailable and kTimeout: none came, or the node
  // asked for a pause that is not over; kCorrupt: it is none; kExhausted: it is too long;
  // kPermission: the node is of another chain.
  Result<RpcAnswer> call(std::string_view method, const Json& params);

  std::string place() const { return http_->url().place(); }

 private:
  Result<RpcAnswer> exchange(std::string_view method, const Json& params);
  Status check_chain();
  void pause(std::int64_t ms);

  std::unique_ptr<HttpClient> http_;
  ChainIdentity chain_;
  HttpLimits limits_;
  const Clock* clock_;
  std::uint64_t next_id_ = 1;
  bool is_checked_ = false;
  std::int64_t paused_until_ns_ = 0;
  int faults_ = 0;  // In a row.
};

}  // namespace lockstep
