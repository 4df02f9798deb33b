// Copies the database into one file while it is in use, a bounded piece per call. The copy has its
// name when it is whole. Not thread-safe: belongs to the thread of the source.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/database.h"
#include "base/result.h"

struct sqlite3_backup;

namespace lockstep {

class Backup {
 public:
  // kInvalidArgument when `path` is there already. Requires: `source` outlives it.
  static Result<Backup> begin(Database& source, const std::string& path);

  // True when there is more to copy. Outside of a transaction.
  Result<bool> step();

 private:
  struct Finish {
    void operator()(sqlite3_backup* backup) const;
  };
  Backup(std::string path, Database copy, sqlite3_backup* backup)
      : path_(std::move(path)), copy_(std::move(copy)), backup_(backup) {}
  Status name_copy();

  std::string path_;
  std::optional<Database> copy_;
  std::unique_ptr<sqlite3_backup, Finish> backup_;
};

}  // namespace lockstep
