#include "chainbridge/signer/signer_store.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "base/crash_point.h"
#include "base/descriptor.h"
#include "base/file.h"

namespace lockstep {
namespace {

// Wei are big-endian words of 32 bytes.
constexpr const char* kSchema = R"sql(
CREATE TABLE IF NOT EXISTS headers(
  chain INTEGER NOT NULL,
  contract BLOB NOT NULL,
  sequence INTEGER NOT NULL,
  hash BLOB NOT NULL,
  PRIMARY KEY(chain, contract, sequence)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS nonces(
  chain INTEGER NOT NULL,
  nonce INTEGER NOT NULL,
  wei BLOB NOT NULL,
  PRIMARY KEY(chain, nonce)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS days(
  chain INTEGER NOT NULL,
  day INTEGER NOT NULL,
  wei BLOB NOT NULL,
  PRIMARY KEY(chain, day)
) STRICT, WITHOUT ROWID;
)sql";

std::int64_t stored(std::uint64_t value) { return static_cast<std::int64_t>(value); }

}  // namespace

Result<SignerStore> SignerStore::open(const std::string& path) {
  {
    const Descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (file.get() < 0) return system_error(errno, path, "open");
  }
  LOCKSTEP_TRY_ASSIGN(Database database, Database::open(path, {}), "signer");
  LOCKSTEP_TRY(database.execute(kSchema), "signer");
  SignerStore store(std::move(database));
  LOCKSTEP_TRY(store.prepare(), "signer");
  return store;
}

Status SignerStore::prepare() {
  const std::pair<Statement*, const char*> statements[] = {
      {&find_header_, "SELECT hash FROM headers WHERE chain = ? AND contract = ? AND sequence = ?"},
      {&insert_header_, "INSERT INTO headers VALUES(?, ?, ?, ?)"},
      {&read_nonce_, "SELECT wei FROM nonces WHERE chain = ? AND nonce = ?"},
      {&write_nonce_, "INSERT OR REPLACE INTO nonces VALUES(?, ?, ?)"},
      {&read_day_, "SELECT wei FROM days WHERE chain = ? AND day = ?"},
      {&write_day_, "INSERT OR REPLACE INTO days VALUES(?, ?, ?)"},
  };
  for (const auto& [statement, sql] : statements) {
    LOCKSTEP_TRY_ASSIGN(*statement, database_.prepare(sql), "prepare");
  }
  return {};
}

Status SignerStore::commit(const SignerCommitment& commitment, const Transaction* transaction,
                           std::int64_t day) {
  if (!commitment.header && transaction == nullptr) return {};
  LOCKSTEP_TRY(database_.execute("BEGIN IMMEDIATE"), "signer");
  Status status;
  if (commitment.header) status = note_header(*commitment.header);
  if (status.ok() && transaction != nullptr) status = note_spend(commitment, *transaction, day);
  CRASH_POINT("signer.record");
  if (status.ok()) status = database_.execute("COMMIT");
  if (!status.ok() && database_.in_transaction()) (void)database_.execute("ROLLBACK");
  return status;
}

Status SignerStore::note_header(const RollupHeader& header) {
  const Digest hash = rollup_header_hash(header);
  const std::int64_t chain = stored(header.chain_id);
  const std::int64_t sequence = stored(header.sequence);
  LOCKSTEP_TRY_ASSIGN(const bool found, find_header_.bind(chain, header.contract, sequence).step(),
                      "headers");
  const Digest before = found ? find_header_.digest(0) : Digest{};
  find_header_.reset();
  if (!found) return insert_header_.bind(chain, header.contract, sequence, hash).run();
  if (before == hash) return {};
  return Error{ErrorCode::kPermission, "another header was signed at sequence " +
                                           std::to_string(header.sequence) + ": 0x" + before.hex() +
                                           "; signing a second would be equivocation"};
}

Result<Uint256> SignerStore::read_wei(Statement& statement) {
  LOCKSTEP_TRY_ASSIGN(const bool found, statement.step(), "spending");
  const Uint256 wei = found ? Uint256::of_word(statement.digest(0)) : Uint256{};
  statement.reset();
  return wei;
}

Status SignerStore::note_spend(const SignerCommitment& commitment, const Transaction& transaction,
                               std::int64_t day) {
  const std::int64_t chain = stored(transaction.chain_id);
  const std::int64_t nonce = stored(transaction.nonce);
  LOCKSTEP_TRY_ASSIGN(const Uint256 before, read_wei(read_nonce_.bind(chain, nonce)), "spending");
  const std::optional<Uint256> more = checked_sub(commitment.spend, before);
  if (!more || more->is_zero()) return {};  // Paid for already.
  LOCKSTEP_TRY_ASSIGN(const Uint256 today, read_wei(read_day_.bind(chain, day)), "spending");
  const std::optional<Uint256> sum = checked_add(today, *more);
  if (!sum || *sum > commitment.spend_per_day) {
    return Error{ErrorCode::kExhausted, "spends more than " + commitment.spend_per_day.decimal() +
                                            " wei on this day; " + today.decimal() + " are spent"};
  }
  const Digest day_word = sum->word();
  LOCKSTEP_TRY(write_day_.bind(chain, day, day_word).run(), "spending");
  const Digest nonce_word = commitment.spend.word();
  return write_nonce_.bind(chain, nonce, nonce_word).run();
}

}  // namespace lockstep
