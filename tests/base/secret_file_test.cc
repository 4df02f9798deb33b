#include "base/secret_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/scratch_directory.h"

namespace lockstep {
namespace {

TEST(SecretFileWrite, MakesAFileForItsOwnerAlone) {
  const ScratchDirectory scratch;
  const mode_t old = ::umask(0);
  ASSERT_TRUE(write_secret_file(scratch.file("secret"), "text\n").ok());
  ::umask(old);

  struct stat info {};
  ASSERT_EQ(::stat(scratch.file("secret").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  const auto text = read_secret_file(scratch.file("secret"));
  ASSERT_TRUE(text.ok()) << text.error().message;
  EXPECT_EQ(text.value(), "text\n");
}

TEST(SecretFileWrite, OverwritesNothing) {
  const ScratchDirectory scratch;
  ASSERT_TRUE(write_secret_file(scratch.file("secret"), "one").ok());
  const Status again = write_secret_file(scratch.file("secret"), "two");
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(read_secret_file(scratch.file("secret")).value(), "one");
}

TEST(SecretFileRead, RefusesWhatOthersMayReadOrWrite) {
  const ScratchDirectory scratch;
  const std::string path = scratch.file("secret");
  ASSERT_TRUE(write_secret_file(path, "text").ok());
  for (const mode_t mode : {0640U, 0604U, 0620U, 0602U, 0610U, 0777U}) {
    ASSERT_EQ(::chmod(path.c_str(), mode), 0);
    const auto text = read_secret_file(path);
    ASSERT_FALSE(text.ok()) << mode;
    EXPECT_EQ(text.error().code, ErrorCode::kPermission);
    EXPECT_NE(text.error().message.find(path), std::string::npos);
    EXPECT_NE(text.error().message.find("chmod 600"), std::string::npos);
  }
  ASSERT_EQ(::chmod(path.c_str(), 0400), 0);
  EXPECT_TRUE(read_secret_file(path).ok());
}

TEST(SecretFileRead, RefusesLinksFoldersAndLongFiles) {
  const ScratchDirectory scratch;
  ASSERT_TRUE(write_secret_file(scratch.file("secret"), "text").ok());
  ASSERT_EQ(::symlink("secret", scratch.file("link").c_str()), 0);
  EXPECT_EQ(read_secret_file(scratch.file("link")).error().code, ErrorCode::kPermission);
  EXPECT_EQ(read_secret_file(scratch.path()).error().code, ErrorCode::kPermission);
  EXPECT_EQ(read_secret_file(scratch.file("nowhere")).error().code, ErrorCode::kNotFound);
  ASSERT_TRUE(write_secret_file(scratch.file("long"), std::string(4097, 'x')).ok());
  EXPECT_EQ(read_secret_file(scratch.file("long")).error().code, ErrorCode::kExhausted);
}

}  // namespace
}  // namespace lockstep
