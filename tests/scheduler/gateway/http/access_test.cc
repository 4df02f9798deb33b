#include "scheduler/gateway/http/access.h"

#include <gtest/gtest.h>

#include "scheduler/gateway/http/router.h"
#include "tests/support/fake_api_backend.h"

namespace lockstep {
namespace {

RequestHead head_with(std::vector<HeaderField> fields) {
  RequestHead head;
  head.fields = std::move(fields);
  return head;
}

int status_of(const OrApiError<Principal>& checked) {
  const auto* error = std::get_if<ApiError>(&checked);
  return error == nullptr ? 200 : error->status;
}

bool is_allowed(const std::string& host, AccessOptions options = {}) {
  return check_access_options({host, 0}, options).ok();
}

TEST(CheckAccessOptions, KeepsTheServiceFromGivingItselfAway) {
  AccessOptions open;
  open.no_auth = true;
  AccessOptions tls;
  tls.has_tls = true;
  AccessOptions insecure;
  insecure.insecure_http = true;
  EXPECT_TRUE(is_allowed("127.0.0.1"));
  EXPECT_TRUE(is_allowed("127.8.9.1", open));
  EXPECT_TRUE(is_allowed("::1", open));
  EXPECT_TRUE(is_allowed("10.0.0.1", tls));
  EXPECT_TRUE(is_allowed("10.0.0.1", insecure));
  EXPECT_FALSE(is_allowed("10.0.0.1"));
  EXPECT_FALSE(is_allowed("10.0.0.1", open));
  tls.no_auth = true;
  EXPECT_FALSE(is_allowed("10.0.0.1", tls));
  for (const char* wildcard : {"0.0.0.0", "::", "::0", "*", "", "localhost"}) {
    EXPECT_FALSE(is_allowed(wildcard, insecure)) << wildcard;
  }
}

TEST(NamesLoopback, TakesNamesOfThisMachineAlone) {
  for (const char* name : {"localhost", "LocalHost:8000", "127.0.0.1", "127.0.0.1:1", "[::1]:80"}) {
    EXPECT_TRUE(names_loopback(name)) << name;
  }
  for (const char* name : {"", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example",
                           "localhost:80@evil", "[::1", "10.0.0.1", "localhost:80x"}) {
    EXPECT_FALSE(names_loopback(name)) << name;
  }
}

TEST(AccessCheck, AsksForAKeyOfTheRoute) {
  FakeKeys keys;
  Principal jobs;
  jobs.tenant = "t";
  jobs.scopes = kScopeJobs;
  jobs.expires_ms = 1000;
  keys.add("secret", jobs);
  Access access({}, &keys);
  const auto check = [&](const char* value, std::uint32_t scope, std::int64_t now) {
    return access.check(head_with({{"authorization", value}}), scope, now);
  };
  EXPECT_EQ(std::get<Principal>(check("Bearer secret", kScopeJobs, 999)).tenant, "t");
  EXPECT_EQ(status_of(check("bearer secret", kScopeJobs, 999)), 200);
  EXPECT_EQ(status_of(check("Bearer secret", kScopeJobs, 1000)), 401);
  EXPECT_EQ(status_of(check("Bearer secret", kScopeInference, 999)), 403);
  EXPECT_EQ(status_of(check("Bearer secreT", kScopeJobs, 999)), 401);
  EXPECT_EQ(status_of(check("Bearer", kScopeJobs, 999)), 401);
  EXPECT_EQ(status_of(check("Basic secret", kScopeJobs, 999)), 401);
  EXPECT_EQ(status_of(access.check(head_with({}), kScopeJobs, 0)), 401);
  EXPECT_EQ(status_of(access.check(head_with({}), 0, 0)), 200);
}

TEST(AccessCheck, LooksAtHostAndOriginWhereThereAreNoKeys) {
  AccessOptions options;
  options.no_auth = true;
  Access access(options, nullptr);
  const auto check = [&](std::vector<HeaderField> fields) {
    return status_of(access.check(head_with(std::move(fields)), 0, 0));
  };
  EXPECT_EQ(check({{"Host", "localhost:80"}}), 200);
  EXPECT_EQ(check({{"Host", "localhost:80"}, {"Origin", "http://localhost:80"}}), 200);
  EXPECT_EQ(check({{"Host", "localhost:80"}, {"Origin", "http://localhost:81"}}), 403);
  EXPECT_EQ(check({{"Host", "localhost:80"}, {"Origin", "https://evil.example"}}), 403);
  EXPECT_EQ(check({{"Host", "localhost:80"}, {"Origin", "null"}}), 403);
  EXPECT_EQ(check({{"Host", "evil.example"}}), 403);
}

TEST(AccessAdmit, SpreadsAKeysTokensOverTheMinute) {
  FakeKeys keys;
  Access access({}, &keys);
  Principal principal;
  principal.key_id = "k";
  principal.tokens_per_minute = 60;
  EXPECT_FALSE(access.admit(principal, 0));
  access.charge(principal, 70, 0);  // Overdraws by 10: a token per second comes back.
  ASSERT_TRUE(access.admit(principal, 0));
  EXPECT_EQ(access.admit(principal, 0)->status, 429);
  EXPECT_EQ(access.admit(principal, 0)->retry_after_s, 11);
  EXPECT_TRUE(access.admit(principal, 10'000));
  EXPECT_FALSE(access.admit(principal, 11'000));
}

TEST(MatchRoute, FindsPathsAndTellsTheirMethods) {
  EXPECT_EQ(match_route("POST", "/v1/completions").route->id, RouteId::kCompletions);
  EXPECT_EQ(match_route("HEAD", "/healthz").route->id, RouteId::kHealth);
  const RouteMatch job = match_route("DELETE", "/v1/jobs/abc");
  EXPECT_EQ(job.route->id, RouteId::kCancelJob);
  EXPECT_EQ(job.parameter, "abc");
  EXPECT_EQ(match_route("GET", "/v1/requests/r/events").parameter, "r");
  EXPECT_EQ(match_route("PUT", "/v1/jobs/abc").allow, "GET, HEAD, DELETE");
  EXPECT_EQ(match_route("HEAD", "/v1/completions").allow, "POST");
  for (const char* path : {"/v1", "/v1/jobs/", "/v1/jobs/a/b", "/v1/requests//events", "//", ""}) {
    const RouteMatch match = match_route("GET", path);
    EXPECT_TRUE(match.route == nullptr && match.allow.empty()) << path;
  }
}

}  // namespace
}  // namespace lockstep
