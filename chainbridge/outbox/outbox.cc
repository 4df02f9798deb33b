#include "chainbridge/outbox/outbox.h"

#include <algorithm>
#include <utility>

#include "base/crash_point.h"
#include "base/log.h"

namespace lockstep {
namespace {

constexpr std::size_t kMaxAlarms = 1024;   // Those beyond are logged alone.
constexpr std::size_t kMaxRevived = 4096;  // Rows that a person's reset looks at.

Error halted(const std::string& reason) {
  return {ErrorCode::kAborted, "outbox: stopped: " + reason};
}

}  // namespace

Outbox::Outbox(Database& database, OutboxChain& chain, TransactionSigner& signer,
               const OutboxConfig& config, const Clock& clock)
    : database_(&database), chain_(&chain), signer_(&signer), config_(config), clock_(&clock) {}

Result<Outbox> Outbox::open(Database& database, OutboxChain& chain, TransactionSigner& signer,
                            const OutboxConfig& config, const Clock& clock) {
  Outbox outbox(database, chain, signer, config, clock);
  LOCKSTEP_TRY_ASSIGN(outbox.tables_, OutboxTables::open(database, config.owner), "outbox");
  return outbox;
}

// A transaction around `write`, or neither.
Status Outbox::transact(const std::function<Status()>& write) {
  LOCKSTEP_TRY(database_->execute("BEGIN IMMEDIATE"), "outbox");
  Status status = write();
  if (status.ok()) status = database_->execute("COMMIT");
  if (!status.ok() && database_->in_transaction()) (void)database_->execute("ROLLBACK");
  return status;
}

void Outbox::alarm(const std::string& key, const std::string& text) {
  const auto told = alarms_.find(key);
  if (told != alarms_.end() && told->second == text) return;
  if (alarms_.size() < kMaxAlarms) alarms_[key] = text;
  log_event(LogLevel::kError, "outbox_alarm", {{"key", key}, {"why", text}});
}

Result<OutboxReport> Outbox::poll() {
  CHECK(!database_->in_transaction(), "a transaction is open");
  LOCKSTEP_TRY_ASSIGN(const std::string reason, tables_.halt_reason(), "outbox");
  if (!reason.empty()) {
    alarm("halt", reason);
    return halted(reason);
  }
  Sight sight;
  LOCKSTEP_TRY_ASSIGN(sight.heads, chain_->heads(), "outbox");
  LOCKSTEP_TRY(follow(sight.heads), "outbox");
  OutboxReport report{.heads = sight.heads, .num_open = 0, .alarms = {}};
  LOCKSTEP_TRY_ASSIGN(report.num_open, tables_.num_open(), "outbox");
  if (report.num_open == 0) return report;
  LOCKSTEP_TRY_ASSIGN(sight.window, tables_.window(), "outbox");
  LOCKSTEP_TRY_ASSIGN(sight.account, chain_->account(config_.owner.sender, sight.heads), "outbox");
  LOCKSTEP_TRY_ASSIGN(sight.suggested, chain_->suggested_fees(sight.heads), "outbox");
  LOCKSTEP_TRY_ASSIGN(sight.in_flight, tables_.in_flight(config_.policy.max_in_flight), "outbox");
  std::vector<OutboxRow> rows = sight.in_flight;
  for (OutboxRow& row : rows) {
    LOCKSTEP_TRY_ASSIGN(const OutboxSighting sighting, look_at(row, sight), row.intent.key);
    const OutboxMoment moment{.now_ms = clock_->unix_ms(),
                              .is_lowest_nonce = row.nonce == sight.account.nonce};
    const OutboxAction action = next_action(row, sighting, moment, config_.policy);
    LOCKSTEP_TRY(act(row, action, sighting, sight), row.intent.key);
  }
  LOCKSTEP_TRY_ASSIGN(rows, tables_.due_intents(clock_->unix_ms(), config_.policy.max_in_flight),
                      "outbox");
  for (OutboxRow& row : rows) {
    LOCKSTEP_TRY_ASSIGN(sight.in_flight, tables_.in_flight(config_.policy.max_in_flight), "outbox");
    // A nonce is reserved while the one before is not signed: never two, so that one can be given
    // back.
    const bool is_reserved = std::ranges::any_of(sight.in_flight, [](const OutboxRow& other) {
      return other.state == OutboxState::kIntent;
    });
    const auto num_unmined = std::ranges::count_if(sight.in_flight, [&](const OutboxRow& other) {
      return *other.nonce >= sight.account.nonce;
    });
    if (is_reserved || sight.in_flight.size() >= config_.policy.max_in_flight ||
        std::cmp_greater_equal(num_unmined, config_.policy.max_unmined)) {
      break;
    }
    LOCKSTEP_TRY(begin(row, sight), row.intent.key);
  }
  LOCKSTEP_TRY_ASSIGN(report.num_open, tables_.num_open(), "outbox");
  for (const auto& [key, text] : alarms_) report.alarms.push_back(key + ": " + text);
  return report;
}

// Follows the chain from the last final block on, back over blocks that are no longer its.
Status Outbox::follow(const ChainHeads& heads) {
  LOCKSTEP_TRY_ASSIGN(const std::optional<HeadWindow> before, tables_.window(), "blocks");
  HeadWindow window = before.value_or(HeadWindow(heads.final.id));
  if (heads.latest.id.number < window.final().number) {
    return Error{ErrorCode::kUnavailable, "the chain's nodes are behind block " +
                                              std::to_string(window.final().number) +
                                              ", which was final"};
  }
  LOCKSTEP_TRY(walk_back(window, heads), "blocks");
  LOCKSTEP_TRY(extend(window, heads), "blocks");
  if (!window.advance_final(heads.final.id)) {
    return Error{ErrorCode::kUnavailable, "the chain is being reorganized; looking again"};
  }
  if (before && before->blocks() == window.blocks()) return {};
  const Status committed = transact([&]() -> Status {
    LOCKSTEP_TRY(tables_.set_window(window), "blocks");
    CRASH_POINT("outbox.window");
    return {};
  });
  LOCKSTEP_TRY(committed, "blocks");
  return {};
}

Status Outbox::walk_back(HeadWindow& window, const ChainHeads& heads) {
  const std::uint64_t head = window.head().number;
  for (;;) {
    const BlockId known = window.head();
    if (known.number <= heads.latest.id.number) {
      LOCKSTEP_TRY_ASSIGN(const BlockHeader now, chain_->header(known.number), "walk back");
      if (now.id == known) break;
    }
    if (!window.pop()) {
      return halt("block " + std::to_string(known.number) + " (0x" + known.hash.hex() +
                  ") was final and is no longer in the chain");
    }
  }
  if (window.head().number < head) {
    log_event(LogLevel::kWarning, "chain_reorganized",
              {{"from_block", window.head().number}, {"blocks", head - window.head().number}});
  }
  return {};
}

Status Outbox::extend(HeadWindow& window, const ChainHeads& heads) {
  // Too far behind to look at every block: the final one is where to go on.
  const std::uint64_t missing = heads.latest.id.number - window.head().number;
  if (missing > kMaxHeadWindow) {
    window = HeadWindow(heads.final.id);
  }
  while (window.head().number < heads.latest.id.number) {
    LOCKSTEP_TRY_ASSIGN(const BlockHeader next, chain_->header(window.head().number + 1), "extend");
    const HeadWindow::Push push = window.push(next);
    if (push == HeadWindow::Push::kFull) return {};  // Enough to see a reorganization.
    if (push == HeadWindow::Push::kDoesNotLink) {
      return Error{ErrorCode::kUnavailable, "the chain is being reorganized; looking again"};
    }
  }
  return {};
}

Status Outbox::halt(const std::string& reason) {
  const Status committed = transact([&] { return tables_.set_halt_reason(reason); });
  LOCKSTEP_TRY(committed, "halt");
  CRASH_POINT("outbox.halted");
  alarm("halt", reason);
  return halted(reason);
}

// What was in the blocks that vanished is sent again, the same bytes; its nonces are free again.
Status Outbox::reset_halt() {
  LOCKSTEP_TRY_ASSIGN(const ChainHeads heads, chain_->heads(), "outbox");
  LOCKSTEP_TRY_ASSIGN(std::vector<OutboxRow> rows, tables_.last_mined(kMaxRevived), "outbox");
  std::vector<OutboxRow> vanished;
  for (OutboxRow& row : rows) {
    const Result<BlockHeader> header = chain_->header(row.block->number);
    if (!header.ok() && header.error().code != ErrorCode::kNotFound) return header.error();
    if (header.ok() && header.value().id == *row.block) break;  // What is before it is, too.
    row.state = OutboxState::kSent;
    row.block.reset();
    row.mined = {};
    row.sent_ms = 0;
    row.reason = "its block was final and has vanished";
    vanished.push_back(std::move(row));
  }
  return transact([&]() -> Status {
    for (const OutboxRow& row : vanished) LOCKSTEP_TRY(tables_.update(row), "outbox");
    LOCKSTEP_TRY(tables_.set_next_nonce(0), "outbox");
    LOCKSTEP_TRY(tables_.set_window(HeadWindow(heads.final.id)), "outbox");
    calm("halt");
    return tables_.set_halt_reason("");
  });
}

Result<OutboxSighting> Outbox::look_at(const OutboxRow& row, const Sight& sight) {
  OutboxSighting sighting;
  if (!row.nonce) return sighting;
  sighting.is_nonce_used = *row.nonce < sight.account.nonce;
  sighting.is_nonce_used_final = *row.nonce < sight.account.final_nonce;
  if (row.state == OutboxState::kIncluded && row.block->number > sight.heads.final.id.number &&
      sight.window->contains(*row.block)) {
    // Its block is where it was: nothing to ask.
    sighting.receipt = TransactionReceipt{.transaction = row.mined,
                                          .block = *row.block,
                                          .is_success = true,
                                          .gas_used = 0,
                                          .gas_price = {}};
    return sighting;
  }
  if (!sighting.is_nonce_used && row.state != OutboxState::kIncluded) return sighting;
  // Any of them may have been mined; the last one most likely.
  for (auto attempt = row.attempts.rbegin(); attempt != row.attempts.rend(); ++attempt) {
    LOCKSTEP_TRY_ASSIGN(sighting.receipt, chain_->receipt(attempt->hash), "receipt");
    if (sighting.receipt) break;
  }
  if (!sighting.receipt) return sighting;
  CRASH_POINT("outbox.receipt");
  const BlockId& block = sighting.receipt->block;
  if (block.number > sight.heads.final.id.number) return sighting;
  // A receipt is believed when its block is the one of that number.
  LOCKSTEP_TRY_ASSIGN(const BlockHeader header, chain_->header(block.number), "receipt");
  if (header.id != block) {
    return Error{ErrorCode::kUnavailable, "a receipt names a block that the chain has not got"};
  }
  sighting.is_receipt_final = true;
  return sighting;
}

Status Outbox::act(OutboxRow& row, OutboxAction action, const OutboxSighting& sighting,
                   const Sight& sight) {
  switch (action) {
    case OutboxAction::kWait:
      if (!row.reason.empty() && row.state != OutboxState::kIncluded) {
        alarm(row.intent.key, row.reason);
      }
      return {};
    case OutboxAction::kSign: {
      LOCKSTEP_TRY(sign_and_store(row), "sign");
      return row.state == OutboxState::kSigned ? send(row) : Status();
    }
    case OutboxAction::kSend:
      return send(row);
    case OutboxAction::kReplace:
      return replace(row, sight);
    case OutboxAction::kInclude:
      return include(row, *sighting.receipt);
    case OutboxAction::kVanish:
      return vanish(row);
    case OutboxAction::kFinish:
      return finish(row, *sighting.receipt);
    case OutboxAction::kExamine:
      return examine(row, *sighting.receipt);
    case OutboxAction::kStranger:
      return lose_to_stranger(row);
  }
  return {};
}

}  // namespace lockstep
