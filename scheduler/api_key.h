// API keys: who may ask, for which tenant, how much. A key is 256 random bits that are shown once;
// what is kept is its SHA-256. The keys lie in a database of their own below the state directory,
// so that they can be changed while a gateway runs; it sees the change within a refresh.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/random.h"
#include "base/result.h"
#include "scheduler/priority.h"

namespace lockstep {

struct ApiKey {
  std::string id;  // 16 hexadecimal digits; names the key, opens nothing.
  Digest secret_hash;
  std::string tenant;
  std::vector<std::string> scopes;      // "inference", "batch", "admin"
  std::int64_t created_ms = 0;          // Unix time.
  std::int64_t expires_ms = 0;          // 0: never.
  std::uint64_t tokens_per_minute = 0;  // Prompt and completion tokens; 0: no limit.
  std::uint32_t weight = 1;             // Share of its tenant, against others'.
  PriorityClass best_priority = PriorityClass::kInteractive;  // Asking for better is refused.
};

inline constexpr std::size_t kMaxApiKeys = 10'000;
inline constexpr std::string_view kApiScopes[] = {"inference", "batch", "admin"};

// All keys of a state directory. Each call opens the database, so several processes may use it.
class ApiKeyFile {
 public:
  // Makes the state directory and the file if they are missing.
  static Result<ApiKeyFile> open(const std::string& state_directory);

  // Adds a key with a new id and secret, and gives the text that its holder sends: shown once,
  // never kept. kExhausted when there are too many keys, kInvalidArgument names the field.
  Result<std::string> add(ApiKey key, Random& random);
  // Of all keys, in order of their creation.
  Result<std::vector<ApiKey>> list();
  // kNotFound when there is no such key.
  Status revoke(const std::string& id);

 private:
  explicit ApiKeyFile(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

// The keys as a gateway checks them. Thread-safe.
class ApiKeyRing {
 public:
  // kNotFound when the file is missing: no keys yet.
  static Result<std::unique_ptr<ApiKeyRing>> open(const std::string& state_directory);
  ~ApiKeyRing();

  // The key that a client sent, or null: unknown, wrong, or expired at `now_ms`. Takes the same
  // time whether the secret or the id is wrong.
  std::shared_ptr<const ApiKey> check(std::string_view sent, std::int64_t now_ms) const;
  // Reads the keys again if they have changed. Called every second or so, by one thread.
  Status refresh();

 private:
  struct State;
  explicit ApiKeyRing(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace lockstep
