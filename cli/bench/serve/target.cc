#include "cli/bench/serve/target.h"

#include <algorithm>

#include "base/canonical_json.h"
#include "base/config.h"
#include "base/file.h"

namespace lockstep {
namespace {

constexpr std::uint64_t kMaxKeyBytes = 4096;

Error invalid(const std::string& message) { return {ErrorCode::kInvalidArgument, message}; }

// The key goes from the environment or a file into a header, and nowhere else.
Result<std::string> api_key(const ServeBenchOptions& options) {
  if (!options.api_key_file) return environment_variable("OPENAI_API_KEY").value_or("");
  LOCKSTEP_TRY_ASSIGN(std::string key, read_file(*options.api_key_file, kMaxKeyBytes),
                      "--api-key-file");
  while (!key.empty() && (key.back() == '\n' || key.back() == '\r')) key.pop_back();
  if (key.empty()) return invalid("--api-key-file: " + *options.api_key_file + " is empty");
  return key;
}

}  // namespace

Result<HttpServer> server_of(const ServeBenchOptions& options) {
  const bool bracket = options.host.find(':') != std::string::npos;
  const std::string host = bracket ? "[" + options.host + "]" : options.host;
  const std::string url =
      options.base_url.value_or("http://" + host + ":" + std::to_string(options.port));
  HttpServer server;
  LOCKSTEP_TRY_ASSIGN(server.endpoint, parse_endpoint(url, options.path()), "URL");
  server.verify_certificate = !options.insecure;
  LOCKSTEP_TRY_ASSIGN(const std::string key, api_key(options), "API key");
  if (!key.empty()) server.headers.emplace_back("Authorization", "Bearer " + key);
  for (const std::string& header : options.headers) {
    LOCKSTEP_TRY_ASSIGN(auto pair, parse_key_value(header), "--header");
    std::string name = pair.first;
    std::ranges::transform(name, name.begin(), [](char c) {
      return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    if (name == "authorization") {
      return invalid(
          "--header: a key in a command line is seen by every user of the machine; use "
          "OPENAI_API_KEY or --api-key-file");
    }
    server.headers.push_back(std::move(pair));
  }
  const auto has_line_end = [](const auto& header) {
    return header.first.find_first_of("\r\n: ") != std::string::npos ||
           header.second.find_first_of("\r\n") != std::string::npos;
  };
  if (std::ranges::any_of(server.headers, has_line_end)) {
    return invalid("--header or API key: a line end or a colon where none may be");
  }
  return server;
}

Result<std::string> first_model(const ServeBenchOptions& options, const HttpServer& server) {
  const std::string path = server.endpoint.path;
  const std::string prefix = path.substr(0, path.size() - options.path().size());
  LOCKSTEP_TRY_ASSIGN(const std::string body, http_get(server, prefix + "/v1/models"),
                      "/v1/models of " + server.endpoint.authority());
  const auto models = parse_json(body);
  if (models.ok() && models.value().is_object() && models.value().contains("data")) {
    const Json& list = models.value()["data"];
    if (list.is_array() && !list.empty()) {
      const auto id = json_text(list.front(), "id");
      if (id.ok()) return id.value();
    }
  }
  return Error{ErrorCode::kUnavailable, "/v1/models names no model; use --model"};
}

}  // namespace lockstep
