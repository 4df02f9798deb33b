// The HTTP server over the fake backend, for Python tests:
//
//   fake_gateway_tool [name=value]...
//
// host, port, no_auth, insecure_http, tls_cert, tls_key, max_connections, head_ms, idle_ms,
// heartbeat_ms, token_us, patience, context, ready, full, fail_prompt;
// key=KEY,TENANT[,TOKENS_PER_MINUTE[,SCOPES]] any number of times. Prints "port N". SIGHUP reads
// the TLS files again, SIGTERM ends it.
#include <pthread.h>

#include <csignal>
#include <cstdio>
#include <ctime>
#include <map>
#include <sstream>

#include "base/clock.h"
#include "base/random.h"
#include "scheduler/gateway/http/api_service.h"
#include "scheduler/gateway/http/server.h"
#include "tests/support/fake_api_backend.h"
#include "tests/support/fake_batch_backend.h"

namespace lockstep {
namespace {

struct Arguments {
  std::map<std::string, std::string> values;
  FakeKeys keys;

  std::string text(const std::string& name, const std::string& fallback = "") const {
    const auto found = values.find(name);
    return found == values.end() ? fallback : found->second;
  }
  int number(const std::string& name, int fallback) const {
    const auto found = values.find(name);
    return found == values.end() ? fallback : std::stoi(found->second);
  }
};

void add_key(const std::string& value, FakeKeys& keys) {
  std::istringstream parts(value);
  std::string key;
  std::string limit;
  std::string scopes;
  Principal principal;
  std::getline(parts, key, ',');
  std::getline(parts, principal.tenant, ',');
  if (std::getline(parts, limit, ',')) principal.tokens_per_minute = std::stoull(limit);
  if (std::getline(parts, scopes, ',')) {
    principal.scopes = static_cast<std::uint32_t>(std::stoul(scopes));
  }
  principal.key_id = key.substr(0, 8);
  keys.add(key, principal);
}

HttpServerOptions server_options(const Arguments& arguments) {
  HttpServerOptions options;
  options.listen.host = arguments.text("host", "127.0.0.1");
  options.listen.port = static_cast<std::uint16_t>(arguments.number("port", 0));
  options.access.no_auth = arguments.number("no_auth", 0) != 0;
  options.access.insecure_http = arguments.number("insecure_http", 0) != 0;
  options.tls_certificate = arguments.text("tls_cert");
  options.tls_key = arguments.text("tls_key");
  options.max_connections = static_cast<std::size_t>(arguments.number("max_connections", 4096));
  options.timeouts.head = std::chrono::milliseconds(arguments.number("head_ms", 5000));
  options.timeouts.idle = std::chrono::milliseconds(arguments.number("idle_ms", 75000));
  options.timeouts.heartbeat = std::chrono::milliseconds(arguments.number("heartbeat_ms", 15000));
  return options;
}

int serve(const Arguments& arguments) {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGHUP, SIGTERM, SIGINT}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  const auto model = fake_model_text(static_cast<std::uint32_t>(arguments.number("context", 2048)));
  FakeBackend backend(model);
  FakeBatchBackend batches;
  backend.ready = arguments.number("ready", 1) != 0;
  backend.full = arguments.number("full", 0) != 0;
  backend.fail_prompt_tokens = static_cast<std::size_t>(arguments.number("fail_prompt", 0));
  const HttpServerOptions options = server_options(arguments);
  ApiServiceOptions api;
  api.model = model;
  api.backend = &backend;
  api.files = &batches;
  api.batches = &batches;
  api.keys = &arguments.keys;
  api.clock = &system_clock();
  api.random = &system_random();
  api.access = options.access;
  api.counters = std::make_shared<HttpCounters>();
  auto server = ApiServer::start(options, make_api_service(api), api.counters);
  if (!server.ok()) {
    std::fprintf(stderr, "%s\n", server.error().message.c_str());
    return exit_status(server.error().code);
  }
  std::printf("port %d\n", server.value()->port());
  std::fflush(stdout);

  const std::chrono::microseconds step(arguments.number("token_us", 1000));
  const int patience = arguments.number("patience", 100000);
  const timespec interval{step.count() / 1'000'000, step.count() % 1'000'000 * 1000};
  while (true) {
    const int signal = sigtimedwait(&signals, nullptr, &interval);
    if (signal == SIGTERM || signal == SIGINT) break;
    if (signal == SIGHUP) {
      const Status status = server.value()->reload_tls();
      if (!status.ok()) std::fprintf(stderr, "%s\n", status.error().message.c_str());
    }
    backend.advance(patience);
  }
  server.value()->stop(std::chrono::milliseconds(200));
  return 0;
}

}  // namespace
}  // namespace lockstep

int main(int argc, char** argv) {
  lockstep::Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const std::size_t equals = argument.find('=');
    if (equals == argument.npos) {
      std::fprintf(stderr, "%s: expected name=value\n", argv[i]);
      return 64;
    }
    const std::string name = argument.substr(0, equals);
    const std::string value = argument.substr(equals + 1);
    if (name == "key") {
      lockstep::add_key(value, arguments.keys);
    } else {
      arguments.values[name] = value;
    }
  }
  return lockstep::serve(arguments);
}
