#include "scheduler/gateway/ring_key_checker.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "tests/support/scratch_directory.h"

namespace lockstep {
namespace {

TEST(RingKeyCheckerFind, GivesWhatTheKeyStandsFor) {
  const ScratchDirectory folder;
  auto file = ApiKeyFile::open(folder.path());
  ASSERT_TRUE(file.ok()) << file.error().message;
  ApiKey key;
  key.tenant = "physics";
  key.scopes = {"inference", "admin"};
  key.expires_ms = 1000;
  key.tokens_per_minute = 60;
  key.best_priority = PriorityClass::kNormal;
  const auto sent = file.value().add(key, system_random());
  ASSERT_TRUE(sent.ok()) << sent.error().message;
  const auto ring = ApiKeyRing::open(folder.path());
  ASSERT_TRUE(ring.ok()) << ring.error().message;
  const RingKeyChecker checker(*ring.value());

  const auto found = checker.find(sent.value(), 999);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->tenant, "physics");
  EXPECT_EQ(found->scopes, kScopeInference | kScopeJobs | kScopeStatus);
  EXPECT_EQ(found->tokens_per_minute, 60U);
  EXPECT_EQ(found->highest_priority, PriorityClass::kNormal);
  EXPECT_FALSE(checker.find(sent.value(), 1000));
  std::string other = sent.value();
  other.back() = other.back() == '0' ? '1' : '0';
  EXPECT_FALSE(checker.find(other, 999));
  EXPECT_FALSE(checker.find("", 999));
}

}  // namespace
}  // namespace lockstep
