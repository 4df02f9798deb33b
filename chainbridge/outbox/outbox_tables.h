// The outbox's rows on disk, in the database of whoever has the state that causes them: a row is
// written in the same transaction. Not thread-safe; one owner.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/database.h"
#include "base/result.h"
#include "chainbridge/evm/endpoint.h"
#include "chainbridge/outbox/head_window.h"
#include "chainbridge/outbox/outbox_row.h"

namespace lockstep {

// Whose outbox it is: a database of another one is refused.
struct OutboxOwner {
  ChainIdentity chain;
  Address sender;
};

class OutboxTables {
 public:
  // Makes the tables where there are none. kInvalidArgument: they are of another owner, or of a
  // newer version. Requires: no transaction is open.
  static Result<OutboxTables> open(Database& database, const OutboxOwner& owner);

  // Everything that writes requires an open transaction of the caller's.

  // The row of that key, made now or before; false: there was one, and nothing has changed.
  // kInvalidArgument: there was one of other bytes.
  Result<bool> add(const OutboxIntent& intent);
  Result<std::optional<OutboxRow>> find(const std::string& key);

  // Rows with a nonce that are neither final nor failed, by nonce; at most `limit`.
  Result<std::vector<OutboxRow>> in_flight(std::size_t limit);
  // Intents without a nonce that may be tried at `now_ms`, the oldest first; at most `limit`.
  Result<std::vector<OutboxRow>> due_intents(std::int64_t now_ms, std::size_t limit);
  Result<std::uint64_t> num_open();

  // Writes all fields but intent and attempts.
  Status update(const OutboxRow& row);
  // Also takes the row's state and fees with it.
  Status add_attempt(const OutboxRow& row, const OutboxAttempt& attempt);

  // Rows that ended in a block, by nonce, the last first; at most `limit`.
  Result<std::vector<OutboxRow>> last_mined(std::size_t limit);

  // The nonce behind the one that was reserved last.
  Result<std::uint64_t> next_nonce();
  // The lowest nonce from `from` on that no row has.
  Result<std::uint64_t> free_nonce(std::uint64_t from);
  Status set_next_nonce(std::uint64_t nonce);

  // Wei for gas in final blocks of a day (Unix days, UTC).
  Result<Uint256> fees_of_day(std::int64_t day);
  Status add_fees(std::int64_t day, const Uint256& wei);

  // Nothing before the first look at the chain.
  Result<std::optional<HeadWindow>> window();
  Status set_window(const HeadWindow& window);

  // Why nothing is written to this chain any more; "": it is.
  Result<std::string> halt_reason();
  Status set_halt_reason(const std::string& reason);

 private:
  Status prepare(Database& database);
  Status check_owner(const OutboxOwner& owner, const std::string& path);
  Result<std::string> meta(const std::string& name);
  Status set_meta(const std::string& name, const std::string& value);
  Result<OutboxRow> read_row(Statement& statement);
  Result<std::vector<OutboxRow>> read_rows(Statement& statement);

  Statement insert_, find_, in_flight_, due_, count_, update_, mined_, holder_;
  Statement insert_attempt_, attempts_, read_meta_, write_meta_;
  Statement read_day_, write_day_, read_blocks_, clear_blocks_, insert_block_;
};

}  // namespace lockstep
