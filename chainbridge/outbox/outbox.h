// Writes to a chain, each exactly once, whatever dies. One owner per key: it alone allocates
// nonces. Signed bytes and their nonce are on disk before anybody sees them; in doubt the same
// bytes are sent again; a write is done when the block that has it is final.
//
// Not thread-safe; poll() blocks for the chain, the signer and the disk.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/database.h"
#include "base/result.h"
#include "chainbridge/outbox/outbox_chain.h"
#include "chainbridge/outbox/outbox_tables.h"
#include "chainbridge/outbox/rules.h"

namespace lockstep {

class TransactionSigner {
 public:
  virtual ~TransactionSigner() = default;
  // The signed bytes; the same transaction gives the same bytes. kPermission: it never will.
  virtual Result<Bytes> sign(const Transaction& transaction) = 0;
};

struct OutboxConfig {
  OutboxOwner owner;
  OutboxPolicy policy;
  RevertRules rules;
};

struct OutboxReport {
  ChainHeads heads;
  std::uint64_t num_open = 0;       // Rows that are neither final nor failed.
  std::vector<std::string> alarms;  // What somebody must look at, as of now.
};

class Outbox {
 public:
  // Called in the transaction that makes a row final or failed: what follows from it is committed
  // with it, or neither is.
  using Listener = std::function<Status(const OutboxRow& row)>;

  // All references outlive the outbox. Errors as of OutboxTables::open.
  static Result<Outbox> open(Database& database, OutboxChain& chain, TransactionSigner& signer,
                             const OutboxConfig& config, const Clock& clock);

  void set_listener(Listener listener) { listener_ = std::move(listener); }

  // Notes a write. Requires: in the caller's transaction, with the state that causes it. The same
  // key and bytes again: false, and no effect; other bytes: kInvalidArgument.
  Result<bool> add(const OutboxIntent& intent) { return tables_.add(intent); }
  Result<std::optional<OutboxRow>> find(const std::string& key) { return tables_.find(key); }

  // One look at the chain, and what follows for every open row. kUnavailable, kTimeout: the chain
  // cannot be seen, nothing is lost. kAborted: a final block has vanished; nothing is signed or
  // sent until reset_halt(). kIo: the disk failed; end the process.
  Result<OutboxReport> poll();

  // The blocks that are known of, for whoever follows events; nothing before the first poll.
  Result<std::optional<HeadWindow>> window() { return tables_.window(); }

  // For people, once they know why a final block has vanished: trusts the chain as it is now. What
  // was final in blocks that are gone is sent again, and the listener hears of it a second time.
  Status reset_halt();

 private:
  // What one poll has seen.
  struct Sight {
    ChainHeads heads;
    std::optional<HeadWindow> window;
    AccountState account;
    GasFees suggested;
    std::vector<OutboxRow> in_flight;
  };
  // What a row may spend now.
  struct Offer {
    std::uint64_t gas_limit;
    GasFees fees;
  };

  Outbox(Database& database, OutboxChain& chain, TransactionSigner& signer,
         const OutboxConfig& config, const Clock& clock);

  Status transact(const std::function<Status()>& write);
  Status follow(const ChainHeads& heads);
  Status walk_back(HeadWindow& window, const ChainHeads& heads);
  Status extend(HeadWindow& window, const ChainHeads& heads);
  Status halt(const std::string& reason);
  Result<OutboxSighting> look_at(const OutboxRow& row, const Sight& sight);

  Status act(OutboxRow& row, OutboxAction action, const OutboxSighting& sighting,
             const Sight& sight);
  Status begin(OutboxRow& row, Sight& sight);
  Status act_on_preflight(OutboxRow& row, const CallOutcome& outcome, const Sight& sight);
  Result<std::optional<Offer>> make_offer(const OutboxRow& row, std::uint64_t gas,
                                          const Sight& sight);
  Uint256 fee_cap(const OutboxRow& row, std::uint64_t gas_limit) const;
  Status sign_and_store(OutboxRow& row);
  Status refuse(OutboxRow& row, const Error& error);
  Status send(OutboxRow& row);
  Status replace(OutboxRow& row, const Sight& sight);
  Status include(OutboxRow& row, const TransactionReceipt& receipt);
  Status vanish(OutboxRow& row);
  Status finish(OutboxRow& row, const TransactionReceipt& receipt);
  Status examine(OutboxRow& row, const TransactionReceipt& receipt);
  Status lose_to_stranger(OutboxRow& row);

  Status end(OutboxRow& row, OutboxState state, std::string reason);
  Status try_again(OutboxRow& row, std::string reason);
  Status take_cost(OutboxRow& row, const TransactionReceipt& receipt);
  Status wait(OutboxRow& row, const std::string& reason);
  void alarm(const std::string& key, const std::string& text);
  void calm(const std::string& key) { alarms_.erase(key); }

  Database* database_;
  OutboxChain* chain_;
  TransactionSigner* signer_;
  OutboxConfig config_;
  const Clock* clock_;
  OutboxTables tables_;
  Listener listener_;
  std::map<std::string, std::string> alarms_;  // By key, until the row goes on.
};

}  // namespace lockstep
