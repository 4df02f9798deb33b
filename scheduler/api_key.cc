#include "scheduler/api_key.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>

#include "base/clock.h"
#include "base/database.h"
#include "base/file.h"
#include "scheduler/gateway/store/state_directory.h"

namespace lockstep {
namespace {

constexpr std::string_view kPrefix = "lk-";
constexpr std::size_t kIdDigits = 16;
constexpr std::size_t kSecretDigits = 64;
constexpr std::size_t kKeyBytes = kPrefix.size() + kIdDigits + 1 + kSecretDigits;
constexpr std::size_t kMaxTenantBytes = 128;

constexpr const char* kSchema =
    "CREATE TABLE IF NOT EXISTS api_keys("
    "  id TEXT PRIMARY KEY,"
    "  secret_hash BLOB NOT NULL,"
    "  tenant TEXT NOT NULL,"
    "  scopes TEXT NOT NULL,"
    "  created_ms INTEGER NOT NULL,"
    "  expires_ms INTEGER NOT NULL,"
    "  tokens_per_minute INTEGER NOT NULL,"
    "  weight INTEGER NOT NULL,"
    "  best_priority INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID; PRAGMA user_version=1;";

std::vector<std::string> split_words(const std::string& text) {
  std::vector<std::string> words;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    words.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return words;
}

std::string joined_words(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

Result<Database> open_keys(const std::string& path) {
  LOCKSTEP_TRY_ASSIGN(Database database, Database::open(path, {.exclusive = false}), "API keys");
  if (::chmod(path.c_str(), 0600) != 0) return system_error(errno, path, "chmod");
  LOCKSTEP_TRY_ASSIGN(const std::int64_t version, database.query_integer("PRAGMA user_version"),
                      "API keys");
  if (version > 1) {
    return Error{ErrorCode::kInvalidArgument, path + ": is of a newer lockstep; use that one"};
  }
  if (version == 0) LOCKSTEP_TRY(database.execute(kSchema), "API keys");
  return database;
}

Result<std::vector<ApiKey>> read_keys(Database& database) {
  LOCKSTEP_TRY_ASSIGN(
      Statement rows,
      database.prepare("SELECT id, secret_hash, tenant, scopes, created_ms, expires_ms, "
                       "tokens_per_minute, weight, best_priority FROM api_keys ORDER BY "
                       "created_ms, id"),
      "API keys");
  std::vector<ApiKey> keys;
  for (;;) {
    LOCKSTEP_TRY_ASSIGN(const bool found, rows.step(), "API keys");
    if (!found) return keys;
    keys.push_back({rows.text(0), rows.digest(1), rows.text(2), split_words(rows.text(3)),
                    rows.integer(4), rows.integer(5), static_cast<std::uint64_t>(rows.integer(6)),
                    rows.u32(7), static_cast<PriorityClass>(rows.integer(8))});
  }
}

Status check_fields(const ApiKey& key) {
  if (key.tenant.empty() || key.tenant.size() > kMaxTenantBytes) {
    return Error{ErrorCode::kInvalidArgument, "tenant: expected 1 to 128 bytes"};
  }
  if (key.scopes.empty()) return Error{ErrorCode::kInvalidArgument, "scopes: expected one or more"};
  for (const std::string& scope : key.scopes) {
    if (std::ranges::find(kApiScopes, scope) != std::end(kApiScopes)) continue;
    return Error{ErrorCode::kInvalidArgument,
                 "scopes: expected inference, batch or admin, got \"" + scope + "\""};
  }
  if (key.weight < 1) return Error{ErrorCode::kInvalidArgument, "weight: expected 1 or more"};
  return {};
}

// Looks at every byte whatever it finds.
bool equal_in_constant_time(const Digest& a, const Digest& b) {
  volatile std::uint8_t difference = 0;
  for (std::size_t i = 0; i < a.bytes.size(); ++i) {
    difference = static_cast<std::uint8_t>(difference | (a.bytes[i] ^ b.bytes[i]));
  }
  return difference == 0;
}

std::string random_hex(Random& random, std::size_t digits) {
  Bytes bytes(digits / 2);
  random.fill(bytes);
  return to_hex(bytes);
}

}  // namespace

Result<ApiKeyFile> ApiKeyFile::open(const std::string& state_directory) {
  LOCKSTEP_TRY(make_state_directory(state_directory), "API keys");
  const std::string path = api_keys_path(state_directory);
  LOCKSTEP_TRY(open_keys(path), "API keys");
  return ApiKeyFile(path);
}

Result<std::string> ApiKeyFile::add(ApiKey key, Random& random) {
  LOCKSTEP_TRY(check_fields(key), "API key");
  LOCKSTEP_TRY_ASSIGN(Database database, open_keys(path_), "add");
  key.id = random_hex(random, kIdDigits);
  const std::string text = std::string(kPrefix) + key.id + "-" + random_hex(random, kSecretDigits);
  key.secret_hash = sha256(as_bytes(text));
  const std::string scopes = joined_words(key.scopes);
  LOCKSTEP_TRY_ASSIGN(
      Statement insert,
      database.prepare("INSERT INTO api_keys SELECT ?1,?2,?3,?4,?5,?6,?7,?8,?9 WHERE (SELECT "
                       "count(*) FROM api_keys) < ?10"),
      "add");
  insert.bind(key.id, key.secret_hash, key.tenant, scopes, key.created_ms, key.expires_ms,
              static_cast<std::int64_t>(key.tokens_per_minute), key.weight,
              static_cast<std::uint32_t>(key.best_priority),
              static_cast<std::int64_t>(kMaxApiKeys));
  LOCKSTEP_TRY(insert.run(), "add");
  if (database.changes() == 0) {
    return Error{ErrorCode::kExhausted, path_ + ": has " + std::to_string(kMaxApiKeys) +
                                            " keys; revoke those that nobody needs"};
  }
  return text;
}

Result<std::vector<ApiKey>> ApiKeyFile::list() {
  LOCKSTEP_TRY_ASSIGN(Database database, open_keys(path_), "list");
  return read_keys(database);
}

Status ApiKeyFile::revoke(const std::string& id) {
  LOCKSTEP_TRY_ASSIGN(Database database, open_keys(path_), "revoke");
  LOCKSTEP_TRY_ASSIGN(Statement remove, database.prepare("DELETE FROM api_keys WHERE id=?"),
                      "revoke");
  LOCKSTEP_TRY(remove.bind(id).run(), "revoke");
  if (database.changes() == 0) return Error{ErrorCode::kNotFound, "there is no API key " + id};
  return {};
}

struct ApiKeyRing::State {
  using Keys = std::map<std::string, std::shared_ptr<const ApiKey>, std::less<>>;

  explicit State(Database opened) : database(std::move(opened)) {}
  Database database;  // Of the thread that refreshes.
  std::int64_t version = -1;
  mutable std::mutex mutex;
  std::shared_ptr<const Keys> keys = std::make_shared<Keys>();
};

ApiKeyRing::ApiKeyRing(std::unique_ptr<State> state) : state_(std::move(state)) {}
ApiKeyRing::~ApiKeyRing() = default;

Result<std::unique_ptr<ApiKeyRing>> ApiKeyRing::open(const std::string& state_directory) {
  const std::string path = api_keys_path(state_directory);
  if (::access(path.c_str(), F_OK) != 0) {
    return Error{ErrorCode::kNotFound,
                 path + ": there are no API keys yet; make one with `lockstep state key add`"};
  }
  LOCKSTEP_TRY_ASSIGN(Database database, open_keys(path), "API keys");
  std::unique_ptr<ApiKeyRing> ring(new ApiKeyRing(std::make_unique<State>(std::move(database))));
  LOCKSTEP_TRY(ring->refresh(), "API keys");
  return ring;
}

Status ApiKeyRing::refresh() {
  LOCKSTEP_TRY_ASSIGN(const std::int64_t version,
                      state_->database.query_integer("PRAGMA data_version"), "refresh");
  if (version == state_->version) return {};
  LOCKSTEP_TRY_ASSIGN(std::vector<ApiKey> read, read_keys(state_->database), "refresh");
  auto keys = std::make_shared<State::Keys>();
  for (ApiKey& key : read) {
    auto shared = std::make_shared<const ApiKey>(std::move(key));
    keys->emplace(shared->id, shared);
  }
  state_->version = version;
  const std::scoped_lock lock(state_->mutex);
  state_->keys = std::move(keys);
  return {};
}

std::shared_ptr<const ApiKey> ApiKeyRing::check(std::string_view sent, std::int64_t now_ms) const {
  std::shared_ptr<const State::Keys> keys;
  {
    const std::scoped_lock lock(state_->mutex);
    keys = state_->keys;
  }
  const bool has_form = sent.size() == kKeyBytes && sent.starts_with(kPrefix);
  const auto place = has_form ? keys->find(sent.substr(kPrefix.size(), kIdDigits)) : keys->end();
  const bool is_known = place != keys->end();
  const Digest hash = sha256(as_bytes(sent.substr(0, kKeyBytes)));
  const bool is_equal =
      equal_in_constant_time(hash, is_known ? place->second->secret_hash : Digest{});
  if (!is_known || !is_equal) return nullptr;
  const std::int64_t expires_ms = place->second->expires_ms;
  if (expires_ms != 0 && expires_ms <= now_ms) return nullptr;
  return place->second;
}

}  // namespace lockstep
