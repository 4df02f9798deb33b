#include "cli/slurm/registry.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "tests/support/scratch_directory.h"

namespace lockstep {
namespace {

Registration registration() {
  Registration one;
  one.job = "4711";
  one.url = "https://10.0.0.1:31000";
  one.host = "n1";
  one.certificate = "-----BEGIN CERTIFICATE-----\n";
  one.expires_ms = 20'000;
  return one;
}

TEST(RegistryPublish, ReplacesTheFileAndLeavesNothingBeside) {
  const ScratchDirectory scratch;
  const std::string path = scratch.file("endpoint.json");
  Registration one = registration();
  ASSERT_TRUE(publish(path, one).ok());
  one.url = "https://10.0.0.2:31000";
  ASSERT_TRUE(publish(path, one).ok());

  const auto found = look_up(path, 19'999);

  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found.value().url, "https://10.0.0.2:31000");
  EXPECT_EQ(found.value().certificate, one.certificate);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(scratch.path()), {}), 1);
  struct stat info {};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
}

TEST(RegistryLookUp, RefusesALeaseThatRanOut) {
  const ScratchDirectory scratch;
  const std::string path = scratch.file("endpoint.json");
  ASSERT_TRUE(publish(path, registration()).ok());

  const auto found = look_up(path, 25'000);

  ASSERT_FALSE(found.ok());
  EXPECT_EQ(found.error().code, ErrorCode::kUnavailable);
  EXPECT_NE(found.error().message.find("ran out 5 s ago"), std::string::npos);
  EXPECT_EQ(look_up(scratch.file("none"), 0).error().code, ErrorCode::kNotFound);
}

TEST(ParseRegistration, NamesWhatIsWrong) {
  const std::string good = encode_registration(registration());
  ASSERT_TRUE(parse_registration(good).ok());
  EXPECT_EQ(encode_registration(parse_registration(good).value()), good);
  for (const char* text : {"", "{}", "[]", "{\"version\":2}", "{\"version\":1,\"job\":7}"}) {
    EXPECT_EQ(parse_registration(text).error().code, ErrorCode::kCorrupt) << text;
  }
}

}  // namespace
}  // namespace lockstep
