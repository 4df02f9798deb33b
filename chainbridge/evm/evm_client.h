// A chain seen through its nodes. What money depends on is asked of as many endpoints as must
// agree: two where two or more are configured. Blocks that not enough of them know are not seen
// yet, so a node that lags, or runs ahead, changes nothing. Not thread-safe; calls block.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "chainbridge/evm/endpoint.h"
#include "chainbridge/outbox/outbox_chain.h"

namespace lockstep {

struct EvmClientConfig {
  std::vector<std::string> urls;  // 1 to kMaxEndpoints.
  ChainIdentity chain;
  std::string authorities;  // PEM file of certificates to trust; "": the system's.
  HttpLimits limits;
  // Blocks behind the latest that are final; none: the nodes' own `finalized`.
  std::optional<std::uint64_t> finality_depth;
  std::uint64_t max_gas_limit = 30'000'000;  // Of one transaction.
};

inline constexpr std::size_t kMaxEndpoints = 8;
inline constexpr std::size_t kMaxBlockLogs = 10'000;

class EvmClient final : public OutboxChain {
 public:
  // kInvalidArgument names what is wrong in the configuration. Connects to nobody yet.
  static Result<std::unique_ptr<EvmClient>> make(const EvmClientConfig& config, const Clock& clock);

  Result<ChainHeads> heads() override;
  Result<BlockHeader> header(std::uint64_t number) override;
  Result<AccountState> account(const Address& address, const ChainHeads& heads) override;
  Result<GasFees> suggested_fees(const ChainHeads& heads) override;
  Result<std::optional<TransactionReceipt>> receipt(const Digest& transaction) override;
  Result<CallOutcome> call(const ChainCall& call, const BlockId& block) override;
  Result<BroadcastOutcome> broadcast(ByteView signed_bytes) override;

  // All logs of these contracts in one block, in order. kCorrupt: logs of another block or
  // contract.
  Result<std::vector<EventLog>> logs(const BlockId& block, const std::vector<Address>& contracts);

  const ChainIdentity& chain() const { return config_.chain; }

 private:
  EvmClient(const EvmClientConfig& config, std::vector<Endpoint> endpoints);

  std::size_t quorum() const { return endpoints_.size() > 1 ? 2 : 1; }
  // The result that as many endpoints as must agree give, parsed.
  template <typename Parse>
  auto agreed(std::string_view method, const Json& params, Parse parse)
      -> decltype(parse(RpcAnswer()));
  Result<BlockHeader> agreed_head(const char* tag);
  Result<std::uint64_t> estimate_gas(const Json& request);

  EvmClientConfig config_;
  std::vector<Endpoint> endpoints_;
};

}  // namespace lockstep
