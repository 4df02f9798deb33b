#include "scheduler/api_key.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/support/scratch_directory.h"

namespace lockstep {
namespace {

using testing::HasSubstr;

class ApiKeys : public testing::Test {
 protected:
  ApiKeyFile file() { return ApiKeyFile::open(directory()).value(); }
  std::string directory() const { return scratch_.file("state"); }
  static ApiKey alice() {
    ApiKey key;
    key.tenant = "alice";
    key.scopes = {"inference", "batch"};
    key.created_ms = 5;
    key.expires_ms = 1000;
    key.tokens_per_minute = 60'000;
    key.weight = 3;
    key.best_priority = PriorityClass::kNormal;
    return key;
  }

  ScratchDirectory scratch_;
};

TEST_F(ApiKeys, AreShownOnceAndKeptAsAHash) {
  ApiKeyFile keys = file();
  const Result<std::string> sent = keys.add(alice(), system_random());
  ASSERT_TRUE(sent.ok()) << sent.error().message;
  EXPECT_EQ(sent.value().size(), 3U + 16 + 1 + 64);
  const std::vector<ApiKey> list = keys.list().value();
  ASSERT_EQ(list.size(), 1U);
  EXPECT_EQ(list[0].secret_hash, sha256(as_bytes(sent.value())));
  EXPECT_EQ(list[0].tenant, "alice");
  EXPECT_EQ(list[0].scopes, (std::vector<std::string>{"inference", "batch"}));
  EXPECT_EQ(list[0].created_ms, 5);
  EXPECT_EQ(list[0].expires_ms, 1000);
  EXPECT_EQ(list[0].tokens_per_minute, 60'000U);
  EXPECT_EQ(list[0].weight, 3U);
  EXPECT_EQ(list[0].best_priority, PriorityClass::kNormal);
  const std::string bytes = read_text(directory() + "/keys.sqlite");
  EXPECT_THAT(bytes, HasSubstr("alice"));
  EXPECT_EQ(bytes.find(sent.value().substr(20)), std::string::npos);
  struct stat info {};
  ASSERT_EQ(::stat((directory() + "/keys.sqlite").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
}

TEST_F(ApiKeys, AreCheckedByTheirWholeText) {
  const std::string sent = file().add(alice(), system_random()).value();
  const std::string other = file().add(alice(), system_random()).value();
  const auto ring = ApiKeyRing::open(directory()).value();
  ASSERT_NE(ring->check(sent, 999), nullptr);
  EXPECT_EQ(ring->check(sent, 999)->id, sent.substr(3, 16));
  EXPECT_EQ(ring->check(sent, 1000), nullptr) << "expired";
  for (std::size_t i = 0; i < sent.size(); ++i) {
    std::string wrong = sent;
    wrong[i] = wrong[i] == '0' ? '1' : '0';
    EXPECT_EQ(ring->check(wrong, 0), nullptr) << i;
  }
  EXPECT_EQ(ring->check(sent.substr(0, 20) + other.substr(20), 0), nullptr);
  EXPECT_EQ(ring->check(sent + "0", 0), nullptr);
  EXPECT_EQ(ring->check(sent.substr(0, sent.size() - 1), 0), nullptr);
  EXPECT_EQ(ring->check("", 0), nullptr);
}

TEST_F(ApiKeys, ComeAndGoWhileAGatewayRuns) {
  const std::string first = file().add(alice(), system_random()).value();
  const auto ring = ApiKeyRing::open(directory()).value();
  const std::string second = file().add(alice(), system_random()).value();
  EXPECT_EQ(ring->check(second, 0), nullptr);
  ASSERT_TRUE(ring->refresh().ok());
  EXPECT_NE(ring->check(second, 0), nullptr);

  ASSERT_TRUE(file().revoke(first.substr(3, 16)).ok());
  ASSERT_TRUE(ring->refresh().ok());
  EXPECT_EQ(ring->check(first, 0), nullptr);
  EXPECT_NE(ring->check(second, 0), nullptr);
  EXPECT_EQ(file().revoke(first.substr(3, 16)).error().code, ErrorCode::kNotFound);
}

TEST_F(ApiKeys, HaveATenantAndKnownScopes) {
  ApiKey key = alice();
  key.tenant = "";
  EXPECT_THAT(file().add(key, system_random()).error().message, HasSubstr("tenant"));
  key = alice();
  key.scopes = {"everything"};
  EXPECT_THAT(file().add(key, system_random()).error().message, HasSubstr("\"everything\""));
  key.scopes = {};
  EXPECT_EQ(file().add(key, system_random()).error().code, ErrorCode::kInvalidArgument);
  key = alice();
  key.weight = 0;
  EXPECT_THAT(file().add(key, system_random()).error().message, HasSubstr("weight"));
}

TEST_F(ApiKeys, SayHowToMakeTheFirst) {
  const auto ring = ApiKeyRing::open(directory());
  ASSERT_FALSE(ring.ok());
  EXPECT_EQ(ring.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(ring.error().message, HasSubstr("lockstep state key add"));
}

}  // namespace
}  // namespace lockstep
