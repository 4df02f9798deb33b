#include "base/database.h"

#include <sqlite3.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace lockstep {
namespace {

constexpr int kBusyTimeoutMs = 5000;  // Where others may have it open.

ErrorCode code_of(sqlite3* handle, int code) {
  switch (code & 0xFF) {
    case SQLITE_FULL:
      return ErrorCode::kExhausted;
    case SQLITE_IOERR: {
      const int number = sqlite3_system_errno(handle);
      // A quota is a full disk, too.
      const bool write = code == SQLITE_IOERR_WRITE;
      return write && (number == EDQUOT || number == EFBIG) ? ErrorCode::kExhausted
                                                            : ErrorCode::kIo;
    }
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return ErrorCode::kCorrupt;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_NOMEM:
      return ErrorCode::kUnavailable;
    case SQLITE_CANTOPEN:
      return ErrorCode::kIo;
    case SQLITE_PERM:
    case SQLITE_READONLY:
      return ErrorCode::kPermission;
    case SQLITE_TOOBIG:
      return ErrorCode::kInvalidArgument;
    default:
      return ErrorCode::kInternal;
  }
}

std::string fix_of(int code) {
  switch (code & 0xFF) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return "; put a file of `lockstep state backup` in its place, or move it away to start empty";
    case SQLITE_FULL:
      return "; free space on its disk";
    case SQLITE_BUSY:
      return "; another process has it open";
    default:
      return "";
  }
}

template <std::size_t N>
std::array<std::uint8_t, N> exact_bytes(ByteView bytes) {
  std::array<std::uint8_t, N> out{};
  if (bytes.size() == N) std::ranges::copy(bytes, out.begin());
  return out;
}

}  // namespace

Error database_error(sqlite3* handle, const std::string& what) {
  const int code = sqlite3_extended_errcode(handle);
  const char* path = sqlite3_db_filename(handle, "main");
  const std::string place = path == nullptr || *path == '\0' ? "database" : path;
  return Error{code_of(handle, code),
               place + ": " + what + ": " + sqlite3_errmsg(handle) + fix_of(code)};
}

void Statement::Finalize::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }

void Statement::reset() {
  // An error of the last step was reported by it.
  (void)sqlite3_reset(statement_.get());
  (void)sqlite3_clear_bindings(statement_.get());
}

Result<bool> Statement::step() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) {
    reset();
    return false;
  }
  Error error = database_error(sqlite3_db_handle(statement_.get()), sqlite3_sql(statement_.get()));
  reset();
  return error;
}

Status Statement::run() {
  for (;;) {
    const Result<bool> row = step();
    if (!row.ok()) return row.error();
    if (!row.value()) return {};
  }
}

bool Statement::is_null(int column) const {
  return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
}

std::int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

std::string Statement::text(int column) const {
  const auto* text = sqlite3_column_text(statement_.get(), column);
  if (text == nullptr) return {};
  const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column));
  return {reinterpret_cast<const char*>(text), size};
}

ByteView Statement::bytes(int column) const {
  const auto* data =
      static_cast<const std::uint8_t*>(sqlite3_column_blob(statement_.get(), column));
  if (data == nullptr) return {};
  return {data, static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column))};
}

RequestId Statement::id(int column) const { return RequestId{exact_bytes<16>(bytes(column))}; }

Digest Statement::digest(int column) const { return Digest{exact_bytes<32>(bytes(column))}; }

// Parameters are bound by our own code in the order of the text: an error is a bug.
void Statement::bind_one(int index, std::int64_t value) {
  CHECK(sqlite3_bind_int64(statement_.get(), index, value) == SQLITE_OK, "no such parameter");
}

void Statement::bind_one(int index, std::string_view value) {
  const char* data = value.empty() ? "" : value.data();
  const int code =
      sqlite3_bind_text64(statement_.get(), index, data, value.size(), SQLITE_STATIC, SQLITE_UTF8);
  // What is too long for a row fails when it is inserted.
  CHECK(code == SQLITE_OK || code == SQLITE_TOOBIG, "no such parameter");
}

void Statement::bind_one(int index, ByteView value) {
  const void* data = value.empty() ? static_cast<const void*>("") : value.data();
  const int code = sqlite3_bind_blob64(statement_.get(), index, data, value.size(), SQLITE_STATIC);
  CHECK(code == SQLITE_OK || code == SQLITE_TOOBIG, "no such parameter");
}

void Statement::bind_one(int index, std::nullptr_t) {
  CHECK(sqlite3_bind_null(statement_.get(), index) == SQLITE_OK, "no such parameter");
}

Database::Database(sqlite3* handle, std::string path)
    : log_pages_(std::make_unique<std::int64_t>(0)), handle_(handle), path_(std::move(path)) {
  // In the place of SQLite's own hook, which would checkpoint within a commit.
  sqlite3_wal_hook(
      handle,
      [](void* pages, sqlite3*, const char*, int count) {
        *static_cast<std::int64_t*>(pages) = count;
        return SQLITE_OK;
      },
      log_pages_.get());
}

void Database::Close::operator()(sqlite3* handle) const { sqlite3_close_v2(handle); }

Result<Database> Database::open(const std::string& path, const DatabaseOptions& options) {
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE |
                    (options.create ? SQLITE_OPEN_CREATE : 0);
  sqlite3* handle = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &handle, flags, options.vfs);
  CHECK(handle != nullptr, "no memory for a database handle");
  Database database(handle, path);
  sqlite3_extended_result_codes(handle, 1);
  if (code != SQLITE_OK) {
    return Error{code_of(handle, code), path + ": open: " + sqlite3_errmsg(handle)};
  }
  sqlite3_busy_timeout(handle, options.exclusive ? 0 : kBusyTimeoutMs);
  // Locked before the log is chosen, so that the log's index lies in memory and no second process
  // can come in between.
  const char* modes = options.exclusive ? "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL;"
                                        : "PRAGMA locking_mode=NORMAL; PRAGMA journal_mode=DELETE;";
  LOCKSTEP_TRY(database.execute(modes), "open");
  LOCKSTEP_TRY(database.execute("PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
                                "PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON;"
                                "PRAGMA temp_store=MEMORY;"
                                "PRAGMA journal_size_limit=67108864; PRAGMA cache_size=-65536;"),
               "open");
  return database;
}

Status Database::execute(const std::string& sql) {
  if (sqlite3_exec(handle(), sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK) return {};
  return database_error(handle(), sql.substr(0, 60));
}

Result<Statement> Database::prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v3(handle(), sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (code != SQLITE_OK) return database_error(handle(), std::string(sql));
  return Statement(statement);
}

Result<std::int64_t> Database::query_integer(std::string_view sql) {
  LOCKSTEP_TRY_ASSIGN(Statement statement, prepare(sql), "query");
  LOCKSTEP_TRY_ASSIGN(const bool row, statement.step(), "query");
  if (!row) return Error{ErrorCode::kNotFound, path_ + ": " + std::string(sql) + ": no row"};
  return statement.integer(0);
}

bool Database::in_transaction() const { return sqlite3_get_autocommit(handle()) == 0; }

std::int64_t Database::changes() const { return sqlite3_changes64(handle()); }

std::int64_t Database::last_row() const { return sqlite3_last_insert_rowid(handle()); }

Status Database::checkpoint() {
  if (sqlite3_wal_checkpoint_v2(handle(), "main", SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr) !=
      SQLITE_OK) {
    return database_error(handle(), "checkpoint");
  }
  *log_pages_ = 0;
  return {};
}

}  // namespace lockstep
