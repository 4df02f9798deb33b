#include "cli/bench/serve/endpoint.h"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

std::string shown(const std::string& url) {
  const auto endpoint = parse_endpoint(url, "/v1/completions");
  if (!endpoint.ok()) return endpoint.error().message;
  const Endpoint& e = endpoint.value();
  return (e.tls ? "tls " : "") + e.host + " " + std::to_string(e.port) + " " + e.path + " " +
         e.authority();
}

TEST(ParseEndpoint, SplitsAUrl) {
  EXPECT_EQ(shown("http://127.0.0.1:8000"), "127.0.0.1 8000 /v1/completions 127.0.0.1:8000");
  EXPECT_EQ(shown("http://node/"), "node 80 /v1/completions node");
  EXPECT_EQ(shown("https://node/api/"), "tls node 443 /api/v1/completions node");
  EXPECT_EQ(shown("https://node:80"), "tls node 80 /v1/completions node:80");
  EXPECT_EQ(shown("http://[::1]:8000"), "::1 8000 /v1/completions [::1]:8000");
}

TEST(ParseEndpoint, RefusesWhatIsNoPlainUrl) {
  for (const char* url :
       {"", "localhost:8000", "ftp://a", "http://", "http://:80", "http://a:", "http://a:0",
        "http://a:65536", "http://a:8x", "http://[::1", "http://[::1]8000", "http://a b",
        "http://a?x=1", "http://a#b", "http://a\r\nX: y"}) {
    EXPECT_FALSE(parse_endpoint(url, "/").ok()) << url;
  }
  EXPECT_FALSE(parse_endpoint("http://a", "v1").ok());
}

TEST(ParseEndpoint, SaysWhereKeysBelong) {
  EXPECT_EQ(
      shown("http://me@node"),
      "expected http://HOST[:PORT][/PATH] or https://..., got \"http://me@node\": a user; keys "
      "come from OPENAI_API_KEY or --api-key-file");
}

}  // namespace
}  // namespace lockstep
