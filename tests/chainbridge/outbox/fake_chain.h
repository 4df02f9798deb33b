// A chain in memory for the outbox: blocks with parents, accounts, a pool, finality by depth,
// reorganizations, and a node that can be told to misbehave. What a transaction does is one
// function of its data.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "chainbridge/evm/secp256k1.h"
#include "chainbridge/outbox/outbox.h"

namespace lockstep {

class FakeClock final : public Clock {
 public:
  std::int64_t monotonic_ns() const override { return now_ms * 1'000'000; }
  std::int64_t unix_ms() const override { return now_ms; }

  std::int64_t now_ms = 1'700'000'000'000;
};

// Signs with the key keccak256("cow").
class FakeSigner final : public TransactionSigner {
 public:
  static Address address() { return address_of_key(keccak256("cow").bytes).value(); }

  Result<Bytes> sign(const Transaction& transaction) override {
    if (refusal) return *refusal;
    num_signed += 1;
    const Digest key = keccak256("cow");
    return encode_signed(
        {transaction, sign_digest(key.bytes, signing_digest(transaction)).value()});
  }

  std::optional<Error> refusal;
  int num_signed = 0;
};

class FakeChain final : public OutboxChain {
 public:
  struct Block {
    BlockHeader header;
    std::vector<SignedTransaction> transactions;
    std::vector<bool> success;
  };

  FakeChain() { append({}); }

  // What a call of these data does behind these transactions: revert data, or nothing. The default:
  // the second write of the same data is reverted with AlreadyRecorded().
  std::function<std::optional<Bytes>(const Bytes& data, int earlier)> contract =
      [](const Bytes&, int earlier) -> std::optional<Bytes> {
    if (earlier == 0) return std::nullopt;
    return encode_abi_call("AlreadyRecorded()", {}).value();
  };

  // Puts what the pool has, in the order of nonces, into the next block.
  void mine(int count = 1) {
    for (int i = 0; i < count; ++i) append(std::exchange(pool, {}));
  }
  // Takes the last `depth` blocks away and puts as many others there; their transactions are lost,
  // or wait again.
  void reorganize(int depth, bool keeps_transactions) {
    salt_ += 1;
    std::vector<SignedTransaction> lost;
    for (int i = 0; i < depth; ++i) {
      for (const auto& transaction : blocks.back().transactions) lost.push_back(transaction);
      blocks.pop_back();
    }
    if (keeps_transactions) pool.insert(pool.end(), lost.begin(), lost.end());
    for (int i = 0; i <= depth; ++i) append({});
  }
  // A transaction of another process with the same key.
  void mine_strangers() {
    Transaction other{.chain_id = 1,
                      .nonce = nonce_at(blocks.size()),
                      .fees = {1, 1},
                      .gas_limit = 21'000,
                      .to = Address{},
                      .value = 0,
                      .data = {0xEE}};
    append({decode_signed(FakeSigner().sign(other).value()).value()});
  }

  int times_done(const Bytes& data) const { return done_before(data, blocks.size()); }

  Result<ChainHeads> heads() override {
    if (outage) return *outage;
    const std::size_t last = blocks.size() - 1;
    return ChainHeads{blocks[last].header, blocks[last - std::min(last, finality)].header};
  }
  Result<BlockHeader> header(std::uint64_t number) override {
    if (number >= blocks.size()) return Error{ErrorCode::kNotFound, "no such block"};
    return blocks[number].header;
  }
  Result<AccountState> account(const Address&, const ChainHeads& heads) override {
    return AccountState{nonce_at(heads.latest.id.number + 1), nonce_at(heads.final.id.number + 1),
                        balance};
  }
  Result<GasFees> suggested_fees(const ChainHeads&) override { return suggested; }
  Result<std::optional<TransactionReceipt>> receipt(const Digest& transaction) override {
    for (const Block& block : blocks) {
      for (std::size_t i = 0; i < block.transactions.size(); ++i) {
        const SignedTransaction& mined = block.transactions[i];
        if (keccak256(ByteView(encode_signed(mined))) != transaction) continue;
        return std::optional(TransactionReceipt{transaction, block.header.id, block.success[i],
                                                kGasUsed, mined.transaction.fees.max_fee});
      }
    }
    return std::optional<TransactionReceipt>();
  }
  Result<CallOutcome> call(const ChainCall& call, const BlockId& block) override {
    const auto revert = contract(call.data, done_before(call.data, block.number + 1));
    return revert ? CallOutcome{true, *revert, 0} : CallOutcome{false, {}, kGasUsed};
  }
  Result<BroadcastOutcome> broadcast(ByteView signed_bytes) override {
    broadcasts.emplace_back(signed_bytes.begin(), signed_bytes.end());
    if (broadcast_answer) return *broadcast_answer;
    const SignedTransaction transaction = decode_signed(signed_bytes).value();
    const std::uint64_t nonce = transaction.transaction.nonce;
    if (nonce < nonce_at(blocks.size())) {
      return BroadcastOutcome{BroadcastOutcome::Kind::kNonceTooLow, "nonce too low"};
    }
    if (is_deaf) return BroadcastOutcome{};
    std::erase_if(pool,
                  [nonce](const SignedTransaction& t) { return t.transaction.nonce == nonce; });
    pool.push_back(transaction);
    return BroadcastOutcome{};
  }

  static constexpr std::uint64_t kGasUsed = 50'000;

  std::vector<Block> blocks;
  std::vector<SignedTransaction> pool;
  std::vector<Bytes> broadcasts;
  std::uint64_t finality = 4;  // Depth.
  GasFees suggested{.max_fee = 2'000, .max_priority = 100};
  Uint256 balance = 1'000'000'000'000'000;
  std::optional<Error> outage;
  std::optional<BroadcastOutcome> broadcast_answer;  // In place of the pool.
  bool is_deaf = false;                              // Accepts, and forgets at once.

 private:
  std::uint64_t nonce_at(std::size_t num_blocks) const {
    std::uint64_t nonce = 0;
    for (std::size_t i = 0; i < num_blocks && i < blocks.size(); ++i) {
      nonce += blocks[i].transactions.size();
    }
    return nonce;
  }
  int done_before(const Bytes& data, std::size_t num_blocks) const {
    int count = 0;
    for (std::size_t b = 0; b < num_blocks && b < blocks.size(); ++b) {
      for (std::size_t i = 0; i < blocks[b].transactions.size(); ++i) {
        count += blocks[b].success[i] && blocks[b].transactions[i].transaction.data == data ? 1 : 0;
      }
    }
    return count;
  }
  void append(std::vector<SignedTransaction> candidates) {
    std::ranges::sort(candidates, {}, [](const auto& t) { return t.transaction.nonce; });
    Block block;
    block.header.id.number = blocks.size();
    if (!blocks.empty()) block.header.parent = blocks.back().header.id.hash;
    block.header.base_fee = 1'000;
    block.header.id.hash = keccak256(block.header.parent.hex() + std::to_string(blocks.size()) +
                                     "/" + std::to_string(salt_));
    blocks.push_back(block);
    for (const SignedTransaction& candidate : candidates) {
      if (candidate.transaction.nonce != nonce_at(blocks.size())) continue;  // A gap, or used.
      const Bytes& data = candidate.transaction.data;
      const bool is_success = !contract(data, done_before(data, blocks.size()));
      blocks.back().transactions.push_back(candidate);
      blocks.back().success.push_back(is_success);
    }
  }

  int salt_ = 0;
};

}  // namespace lockstep
