#include "chainbridge/outbox/outbox_tables.h"

#include <utility>

namespace lockstep {
namespace {

constexpr std::string_view kVersion = "1";

// Integers of 256 bits are big-endian words; `state` is an OutboxState.
constexpr const char* kSchema = R"sql(
CREATE TABLE IF NOT EXISTS outbox_meta(
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outbox(
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,
  recipient BLOB NOT NULL,
  value BLOB NOT NULL,
  data BLOB NOT NULL,
  fee_ceiling BLOB NOT NULL,
  state INTEGER NOT NULL,
  nonce INTEGER,
  gas_limit INTEGER NOT NULL,
  max_fee BLOB NOT NULL,
  max_priority BLOB NOT NULL,
  block_number INTEGER,
  block_hash BLOB NOT NULL,
  mined BLOB NOT NULL,
  paid BLOB NOT NULL,
  tries INTEGER NOT NULL,
  sent_ms INTEGER NOT NULL,
  not_before_ms INTEGER NOT NULL,
  reason TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS outbox_nonces ON outbox(nonce) WHERE nonce IS NOT NULL;
CREATE INDEX IF NOT EXISTS outbox_in_flight ON outbox(nonce) WHERE nonce IS NOT NULL AND state < 4;
CREATE INDEX IF NOT EXISTS outbox_intents ON outbox(id) WHERE nonce IS NULL AND state = 0;
CREATE TABLE IF NOT EXISTS outbox_attempts(
  attempt INTEGER PRIMARY KEY,
  hash BLOB NOT NULL UNIQUE,
  row INTEGER NOT NULL,
  nonce INTEGER NOT NULL,
  bytes BLOB NOT NULL,
  max_fee BLOB NOT NULL,
  max_priority BLOB NOT NULL,
  signed_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS outbox_attempts_of ON outbox_attempts(row, nonce);
CREATE TABLE IF NOT EXISTS outbox_days(
  day INTEGER PRIMARY KEY,
  paid BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS outbox_blocks(
  number INTEGER PRIMARY KEY,
  hash BLOB NOT NULL
) STRICT;
)sql";

constexpr std::string_view kColumns =
    "SELECT id, key, recipient, value, data, fee_ceiling, state, nonce, gas_limit, max_fee, "
    "max_priority, block_number, block_hash, mined, paid, tries, sent_ms, not_before_ms, reason "
    "FROM outbox ";

std::int64_t stored(std::uint64_t value) { return static_cast<std::int64_t>(value); }
std::uint64_t loaded(std::int64_t value) { return static_cast<std::uint64_t>(value); }

Uint256 number(const Statement& statement, int column) {
  return Uint256::of_word(statement.digest(column));
}

Error damaged(std::string_view what) {
  return {ErrorCode::kCorrupt, "outbox: " + std::string(what) + " is damaged; restore a backup"};
}

}  // namespace

Result<OutboxTables> OutboxTables::open(Database& database, const OutboxOwner& owner) {
  CHECK(!database.in_transaction(), "a transaction is open");
  LOCKSTEP_TRY(database.execute(kSchema), "outbox");
  OutboxTables tables;
  LOCKSTEP_TRY(tables.prepare(database), "outbox");
  LOCKSTEP_TRY(tables.check_owner(owner, database.path()), "outbox");
  return tables;
}

Status OutboxTables::prepare(Database& database) {
  const std::string select(kColumns);
  const std::pair<Statement*, std::string> statements[] = {
      {&insert_,
       "INSERT INTO outbox(key, recipient, value, data, fee_ceiling, state, gas_limit, max_fee, "
       "max_priority, block_hash, mined, paid, tries, sent_ms, not_before_ms, reason) "
       "VALUES(?1, ?2, ?3, ?4, ?5, 0, 0, ?6, ?6, ?6, ?6, ?6, 0, 0, 0, '')"},
      {&find_, select + "WHERE key = ?"},
      {&in_flight_, select + "WHERE nonce IS NOT NULL AND state < 4 ORDER BY nonce LIMIT ?"},
      {&due_,
       select + "WHERE nonce IS NULL AND state = 0 AND not_before_ms <= ? ORDER BY id LIMIT ?"},
      {&mined_, select + "WHERE nonce IS NOT NULL AND state >= 4 AND block_number IS NOT NULL "
                         "ORDER BY nonce DESC LIMIT ?"},
      {&holder_, "SELECT 1 FROM outbox WHERE nonce = ?"},
      {&count_, "SELECT count(*) FROM outbox WHERE state < 4"},
      {&update_,
       "UPDATE outbox SET state = ?2, nonce = ?3, gas_limit = ?4, max_fee = ?5, max_priority = ?6, "
       "block_number = ?7, block_hash = ?8, mined = ?9, paid = ?10, tries = ?11, sent_ms = ?12, "
       "not_before_ms = ?13, reason = ?14 WHERE id = ?1"},
      {&insert_attempt_,
       "INSERT INTO outbox_attempts(hash, row, nonce, bytes, max_fee, max_priority, signed_ms) "
       "VALUES(?, ?, ?, ?, ?, ?, ?) ON CONFLICT(hash) DO NOTHING"},
      {&attempts_,
       "SELECT hash, bytes, max_fee, max_priority, signed_ms FROM outbox_attempts "
       "WHERE row = ? AND nonce = ? ORDER BY attempt"},
      {&read_meta_, "SELECT value FROM outbox_meta WHERE name = ?"},
      {&write_meta_, "INSERT OR REPLACE INTO outbox_meta VALUES(?, ?)"},
      {&read_day_, "SELECT paid FROM outbox_days WHERE day = ?"},
      {&write_day_, "INSERT OR REPLACE INTO outbox_days VALUES(?, ?)"},
      {&read_blocks_, "SELECT number, hash FROM outbox_blocks ORDER BY number"},
      {&clear_blocks_, "DELETE FROM outbox_blocks"},
      {&insert_block_, "INSERT INTO outbox_blocks VALUES(?, ?)"},
  };
  for (const auto& [statement, sql] : statements) {
    LOCKSTEP_TRY_ASSIGN(*statement, database.prepare(sql), "outbox");
  }
  return {};
}

// Makes the tables that owner's, or refuses.
Status OutboxTables::check_owner(const OutboxOwner& owner, const std::string& path) {
  const std::string name = std::to_string(owner.chain.chain_id) + " " + owner.chain.genesis.hex() +
                           " " + owner.sender.text();
  LOCKSTEP_TRY_ASSIGN(const std::string version, meta("version"), "open");
  LOCKSTEP_TRY_ASSIGN(const std::string found, meta("owner"), "open");
  if (version.empty()) {
    LOCKSTEP_TRY(set_meta("owner", name), "open");
    LOCKSTEP_TRY(set_meta("version", std::string(kVersion)), "open");
    return {};
  }
  if (version == kVersion && found == name) return {};
  return Error{ErrorCode::kInvalidArgument, path + ": the outbox is of chain, genesis and sender " +
                                                found + " (version " + version + "), not of " +
                                                name};
}

Result<std::string> OutboxTables::meta(const std::string& name) {
  LOCKSTEP_TRY_ASSIGN(const bool found, read_meta_.bind(name).step(), "outbox");
  std::string value = found ? read_meta_.text(0) : "";
  read_meta_.reset();
  return value;
}

Status OutboxTables::set_meta(const std::string& name, const std::string& value) {
  return write_meta_.bind(name, value).run();
}

Result<bool> OutboxTables::add(const OutboxIntent& intent) {
  LOCKSTEP_TRY_ASSIGN(const std::optional<OutboxRow> old, find(intent.key), "outbox");
  if (old) {
    if (old->intent == intent) return false;
    return Error{ErrorCode::kInvalidArgument,
                 "outbox: \"" + intent.key + "\" is there already, with other bytes"};
  }
  const Digest value = intent.value.word();
  const Digest ceiling = intent.fee_ceiling.word();
  LOCKSTEP_TRY(
      insert_.bind(intent.key, intent.to.view(), value, intent.data, ceiling, Digest{}).run(),
      "outbox");
  return true;
}

Result<OutboxRow> OutboxTables::read_row(Statement& s) {
  OutboxRow row;
  row.id = s.integer(0);
  row.intent.key = s.text(1);
  const ByteView recipient = s.bytes(2);
  const std::int64_t state = s.integer(6);
  if (recipient.size() != row.intent.to.bytes.size() || state < 0 || state > 5) {
    return damaged("a row");
  }
  std::copy(recipient.begin(), recipient.end(), row.intent.to.bytes.begin());
  row.intent.value = number(s, 3);
  const ByteView data = s.bytes(4);
  row.intent.data.assign(data.begin(), data.end());
  row.intent.fee_ceiling = number(s, 5);
  row.state = static_cast<OutboxState>(state);
  if (!s.is_null(7)) row.nonce = loaded(s.integer(7));
  row.gas_limit = loaded(s.integer(8));
  row.fees = {.max_fee = number(s, 9), .max_priority = number(s, 10)};
  if (!s.is_null(11)) row.block = BlockId{loaded(s.integer(11)), s.digest(12)};
  row.mined = s.digest(13);
  row.paid = number(s, 14);
  row.tries = s.u32(15);
  row.sent_ms = s.integer(16);
  row.not_before_ms = s.integer(17);
  row.reason = s.text(18);
  if (!row.nonce) return row;
  attempts_.bind(row.id, stored(*row.nonce));
  for (;;) {
    LOCKSTEP_TRY_ASSIGN(const bool found, attempts_.step(), "outbox");
    if (!found) break;
    const ByteView bytes = attempts_.bytes(1);
    row.attempts.push_back({attempts_.digest(0),
                            Bytes(bytes.begin(), bytes.end()),
                            {number(attempts_, 2), number(attempts_, 3)},
                            attempts_.integer(4)});
  }
  attempts_.reset();
  return row;
}

Result<std::vector<OutboxRow>> OutboxTables::read_rows(Statement& statement) {
  std::vector<OutboxRow> rows;
  for (;;) {
    LOCKSTEP_TRY_ASSIGN(const bool found, statement.step(), "outbox");
    if (!found) break;
    LOCKSTEP_TRY_ASSIGN(OutboxRow row, read_row(statement), "outbox");
    rows.push_back(std::move(row));
  }
  statement.reset();
  return rows;
}

Result<std::optional<OutboxRow>> OutboxTables::find(const std::string& key) {
  LOCKSTEP_TRY_ASSIGN(std::vector<OutboxRow> rows, read_rows(find_.bind(key)), "outbox");
  if (rows.empty()) return std::optional<OutboxRow>();
  return std::optional(std::move(rows.front()));
}

Result<std::vector<OutboxRow>> OutboxTables::in_flight(std::size_t limit) {
  return read_rows(in_flight_.bind(stored(limit)));
}

Result<std::vector<OutboxRow>> OutboxTables::due_intents(std::int64_t now_ms, std::size_t limit) {
  return read_rows(due_.bind(now_ms, stored(limit)));
}

Result<std::uint64_t> OutboxTables::num_open() {
  LOCKSTEP_TRY_ASSIGN(const bool found, count_.bind().step(), "outbox");
  const std::uint64_t count = found ? loaded(count_.integer(0)) : 0;
  count_.reset();
  return count;
}

Status OutboxTables::update(const OutboxRow& row) {
  const Digest words[] = {row.fees.max_fee.word(), row.fees.max_priority.word(), row.paid.word()};
  const Digest hash = row.block ? row.block->hash : Digest{};
  const auto bind = [&](const auto& nonce, const auto& block_number) -> Statement& {
    return update_.bind(row.id, static_cast<std::int64_t>(row.state), nonce, stored(row.gas_limit),
                        words[0], words[1], block_number, hash, row.mined, words[2], row.tries,
                        row.sent_ms, row.not_before_ms, row.reason);
  };
  const auto bind_nonce = [&](const auto& nonce) -> Statement& {
    return row.block ? bind(nonce, stored(row.block->number)) : bind(nonce, nullptr);
  };
  return (row.nonce ? bind_nonce(stored(*row.nonce)) : bind_nonce(nullptr)).run();
}

Status OutboxTables::add_attempt(const OutboxRow& row, const OutboxAttempt& attempt) {
  CHECK(row.nonce.has_value(), "signed bytes without a nonce");
  const Digest words[] = {attempt.fees.max_fee.word(), attempt.fees.max_priority.word()};
  LOCKSTEP_TRY(insert_attempt_
                   .bind(attempt.hash, row.id, stored(*row.nonce), attempt.bytes, words[0],
                         words[1], attempt.signed_ms)
                   .run(),
               "outbox");
  return update(row);
}

Result<std::uint64_t> OutboxTables::next_nonce() {
  LOCKSTEP_TRY_ASSIGN(const std::string text, meta("next_nonce"), "outbox");
  if (text.empty()) return std::uint64_t{0};
  const Result<Uint256> value = Uint256::of_decimal(text);
  if (!value.ok() || !value.value().u64()) return damaged("the next nonce");
  return *value.value().u64();
}

Result<std::uint64_t> OutboxTables::free_nonce(std::uint64_t from) {
  for (std::uint64_t nonce = from;; ++nonce) {
    LOCKSTEP_TRY_ASSIGN(const bool is_held, holder_.bind(stored(nonce)).step(), "outbox");
    holder_.reset();
    if (!is_held) return nonce;
  }
}

Result<std::vector<OutboxRow>> OutboxTables::last_mined(std::size_t limit) {
  return read_rows(mined_.bind(stored(limit)));
}

Status OutboxTables::set_next_nonce(std::uint64_t nonce) {
  return set_meta("next_nonce", std::to_string(nonce));
}

Result<Uint256> OutboxTables::fees_of_day(std::int64_t day) {
  LOCKSTEP_TRY_ASSIGN(const bool found, read_day_.bind(day).step(), "outbox");
  const Uint256 paid = found ? number(read_day_, 0) : Uint256{};
  read_day_.reset();
  return paid;
}

Status OutboxTables::add_fees(std::int64_t day, const Uint256& wei) {
  LOCKSTEP_TRY_ASSIGN(const Uint256 before, fees_of_day(day), "outbox");
  const auto sum = checked_add(before, wei);
  if (!sum) return damaged("the sum of fees");
  const Digest word = sum->word();
  return write_day_.bind(day, word).run();
}

Result<std::optional<HeadWindow>> OutboxTables::window() {
  read_blocks_.reset();
  std::vector<BlockId> blocks;
  for (;;) {
    LOCKSTEP_TRY_ASSIGN(const bool found, read_blocks_.step(), "outbox");
    if (!found) break;
    const BlockId block{loaded(read_blocks_.integer(0)), read_blocks_.digest(1)};
    const bool follows = blocks.empty() || block.number == blocks.back().number + 1;
    if (!follows || blocks.size() > kMaxHeadWindow) return damaged("the list of blocks");
    blocks.push_back(block);
  }
  read_blocks_.reset();
  if (blocks.empty()) return std::optional<HeadWindow>();
  return std::optional<HeadWindow>(HeadWindow(std::move(blocks)));
}

Status OutboxTables::set_window(const HeadWindow& window) {
  LOCKSTEP_TRY(clear_blocks_.bind().run(), "outbox");
  for (const BlockId& block : window.blocks()) {
    LOCKSTEP_TRY(insert_block_.bind(stored(block.number), block.hash).run(), "outbox");
  }
  return {};
}

Result<std::string> OutboxTables::halt_reason() { return meta("halted"); }

Status OutboxTables::set_halt_reason(const std::string& reason) {
  return set_meta("halted", reason);
}

}  // namespace lockstep
