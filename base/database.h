// A SQLite database and its prepared statements as owned values whose errors are Results. Not
// thread-safe: one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/digest.h"
#include "base/request_id.h"
#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace lockstep {

// A prepared statement. Texts and bytes that are bound must live until the statement is done.
class Statement {
 public:
  Statement() = default;

  // Starts anew with these parameters: std::int64_t, std::uint32_t, bool, texts, bytes, ids,
  // digests, nullptr.
  template <typename... Values>
  Statement& bind(const Values&... values) {
    reset();
    int index = 0;
    (bind_one(++index, values), ...);
    return *this;
  }

  // The next row; false behind the last. The views of its columns live until the next call.
  Result<bool> step();
  // Runs to the end.
  Status run();
  void reset();

  bool is_null(int column) const;
  std::int64_t integer(int column) const;
  std::uint32_t u32(int column) const { return static_cast<std::uint32_t>(integer(column)); }
  std::string text(int column) const;
  ByteView bytes(int column) const;
  // All zero unless the column has as many bytes.
  RequestId id(int column) const;
  Digest digest(int column) const;

 private:
  friend class Database;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}

  void bind_one(int index, std::int64_t value);
  void bind_one(int index, std::uint32_t value) { bind_one(index, std::int64_t{value}); }
  void bind_one(int index, std::int32_t value) { bind_one(index, std::int64_t{value}); }
  void bind_one(int index, bool value) { bind_one(index, std::int64_t{value}); }
  void bind_one(int index, std::string_view value);
  void bind_one(int index, const std::string& value) { bind_one(index, std::string_view(value)); }
  void bind_one(int index, ByteView value);
  void bind_one(int index, const Bytes& value) { bind_one(index, ByteView(value)); }
  void bind_one(int index, const RequestId& value) { bind_one(index, ByteView(value.bytes)); }
  void bind_one(int index, const Digest& value) { bind_one(index, value.view()); }
  void bind_one(int index, std::nullptr_t);

  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

struct DatabaseOptions {
  // Nobody else opens it, and its journal is a write-ahead log; else others may open it, and its
  // journal is a file that is deleted.
  bool exclusive = true;
  bool create = true;
  const char* vfs = nullptr;  // SQLite's own name of a file system; null: the usual.
};

class Database {
 public:
  // Every commit is synced. kCorrupt names the file and the fix, kUnavailable says that another
  // process has it open.
  static Result<Database> open(const std::string& path, const DatabaseOptions& options);

  // One or more statements without parameters.
  Status execute(const std::string& sql);
  Result<Statement> prepare(std::string_view sql);
  // The first column of the first row.
  Result<std::int64_t> query_integer(std::string_view sql);

  bool in_transaction() const;
  // Rows that the last insert, update or delete touched.
  std::int64_t changes() const;
  std::int64_t last_row() const;
  // Pages in the log since its last restart, as of the last commit.
  std::int64_t log_pages() const { return *log_pages_; }
  // Copies the log back into the file; blocks for its syncs.
  Status checkpoint();

  const std::string& path() const { return path_; }
  sqlite3* handle() const { return handle_.get(); }

 private:
  struct Close {
    void operator()(sqlite3* handle) const;
  };
  Database(sqlite3* handle, std::string path);

  std::unique_ptr<std::int64_t> log_pages_;  // Written by SQLite's hook.
  std::unique_ptr<sqlite3, Close> handle_;
  std::string path_;
};

// The error of the last call: kExhausted disk full, kIo, kCorrupt, kUnavailable busy, kPermission.
Error database_error(sqlite3* handle, const std::string& what);

}  // namespace lockstep
