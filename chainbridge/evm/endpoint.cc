#include "chainbridge/evm/endpoint.h"

#include <algorithm>

namespace lockstep {
namespace {

constexpr std::int64_t kFirstPauseMs = 100;  // After a fault; doubles with each in a row.
constexpr std::int64_t kLongestPauseMs = 30'000;
constexpr int kTooManyRequests = 429;
constexpr int kOk = 200;

}  // namespace

Endpoint::Endpoint(std::unique_ptr<HttpClient> http, const ChainIdentity& chain,
                   const HttpLimits& limits, const Clock& clock)
    : http_(std::move(http)), chain_(chain), limits_(limits), clock_(&clock) {}

void Endpoint::pause(std::int64_t ms) {
  paused_until_ns_ = clock_->monotonic_ns() + ms * 1'000'000;
}

Result<RpcAnswer> Endpoint::call(std::string_view method, const Json& params) {
  const std::int64_t left_ns = paused_until_ns_ - clock_->monotonic_ns();
  if (left_ns > 0) {
    return Error{ErrorCode::kUnavailable,
                 place() + ": paused for " + std::to_string(left_ns / 1'000'000) + " ms more"};
  }
  if (!is_checked_) LOCKSTEP_TRY(check_chain(), place());
  Result<RpcAnswer> answer = exchange(method, params);
  if (!answer.ok()) {
    is_checked_ = false;  // Behind the same address there may be another node by now.
    return std::move(answer).error().with_context(place() + ": " + std::string(method));
  }
  return answer;
}

Result<RpcAnswer> Endpoint::exchange(std::string_view method, const Json& params) {
  const std::uint64_t id = next_id_++;
  const Result<HttpAnswer> answer = http_->post(rpc_request(id, method, params), limits_);
  if (!answer.ok()) {
    pause(std::min(kFirstPauseMs << std::min(faults_++, 10), kLongestPauseMs));
    return answer.error();
  }
  const HttpAnswer& got = answer.value();
  if (got.status != kOk) {
    const std::int64_t usual_ms =
        std::min(kFirstPauseMs << std::min(faults_++, 10), kLongestPauseMs);
    pause(std::max(usual_ms, got.retry_after_ms.value_or(0)));
    return Error{ErrorCode::kUnavailable,
                 "HTTP " + std::to_string(got.status) +
                     (got.status == kTooManyRequests ? ": too many requests" : "")};
  }
  Result<RpcAnswer> parsed = parse_rpc_answer(got.body, id);
  if (parsed.ok()) {
    faults_ = 0;
  } else {
    pause(std::min(kFirstPauseMs << std::min(faults_++, 10), kLongestPauseMs));
  }
  return parsed;
}

Status Endpoint::check_chain() {
  LOCKSTEP_TRY_ASSIGN(const RpcAnswer id, exchange("eth_chainId", Json::array()), "chain id");
  LOCKSTEP_TRY_ASSIGN(const RpcAnswer block,
                      exchange("eth_getBlockByNumber", Json::array({"0x0", false})), "genesis");
  if (id.fault || block.fault) {
    return Error{ErrorCode::kUnavailable, "refuses to say which chain it is of"};
  }
  LOCKSTEP_TRY_ASSIGN(const std::uint64_t chain_id, rpc_u64(id.result), "chain id");
  LOCKSTEP_TRY_ASSIGN(const Json* hash, json_member(block.result, "hash"), "genesis");
  LOCKSTEP_TRY_ASSIGN(const Digest genesis, rpc_digest(*hash), "genesis");
  if (ChainIdentity{chain_id, genesis} != chain_) {
    pause(kLongestPauseMs);
    return Error{ErrorCode::kPermission, "is a node of chain " + std::to_string(chain_id) +
                                             " with genesis 0x" + genesis.hex() +
                                             ", not of chain " + std::to_string(chain_.chain_id) +
                                             " with genesis 0x" + chain_.genesis.hex()};
  }
  is_checked_ = true;
  return {};
}

}  // namespace lockstep
