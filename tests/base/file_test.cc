#include "base/file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

namespace lockstep {
namespace {

class FileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "/file_test_XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  void write(const std::string& name, std::string_view text) const {
    const auto file = File::open_write(path(name));
    ASSERT_TRUE(file.value().write_all(0, as_bytes(text)).ok());
  }

  std::string folder_;
};

TEST_F(FileTest, WritesAtAnOffsetAndReadsBack) {
  const File file = File::open_write(path("a")).value();
  ASSERT_TRUE(file.write_all(3, as_bytes("def")).ok());
  ASSERT_TRUE(file.write_all(0, as_bytes("abc")).ok());
  ASSERT_TRUE(file.sync().ok());
  Bytes out(4);
  ASSERT_TRUE(file.read_exact(1, out).ok());
  EXPECT_EQ(as_text(out), "bcde");
  EXPECT_EQ(file.size().value(), 6U);
}

TEST_F(FileTest, OpensForWritingWithoutTruncating) {
  write("a", "abcdef");
  const File file = File::open_write(path("a")).value();
  EXPECT_EQ(file.size().value(), 6U);
  ASSERT_TRUE(file.truncate(2).ok());
  EXPECT_EQ(file.size().value(), 2U);
}

TEST_F(FileTest, CallsAnEarlyEndCorruptAndNamesThePlace) {
  write("a", "abc");
  Bytes out(3);
  const Status status = File::open_read(path("a")).value().read_exact(1, out);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(status.error().message, path("a") + ": ends at byte 3, 1 bytes too early");
}

TEST_F(FileTest, CallsAMissingFileNotFoundAndNamesIt) {
  const auto file = File::open_read(path("absent"));
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(file.error().message, path("absent") + ": open: No such file or directory");
}

TEST_F(FileTest, CallsAFullDiskExhausted) {
  const auto file = File::open_write("/dev/full");
  if (!file.ok()) GTEST_SKIP() << file.error().message;
  const Status status = file.value().write_all(0, as_bytes("x"));
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kExhausted);
}

TEST_F(FileTest, RefusesTheSizeOfWhatIsNoRegularFile) {
  EXPECT_EQ(File::open_read(folder_).value().size().error().code, ErrorCode::kInvalidArgument);
}

TEST_F(FileTest, ClosesItsDescriptorOnceAfterMoving) {
  File first = File::open_write(path("a")).value();
  const int fd = first.fd();
  {
    const File second = std::move(first);
    EXPECT_EQ(second.fd(), fd);
  }
  EXPECT_EQ(::close(fd), -1);  // Already closed.
}

TEST_F(FileTest, MapsAWholeFileAlsoAnEmptyOne) {
  write("a", "abc");
  write("empty", "");
  EXPECT_EQ(as_text(MappedFile::open(path("a")).value().bytes()), "abc");
  EXPECT_TRUE(MappedFile::open(path("empty")).value().bytes().empty());
  EXPECT_EQ(MappedFile::open(path("absent")).error().code, ErrorCode::kNotFound);
}

TEST_F(FileTest, ReadsAWholeFileUpToItsLimit) {
  write("a", "abc");
  EXPECT_EQ(read_file(path("a"), 3).value(), "abc");
  EXPECT_EQ(read_file(path("a"), 2).error().code, ErrorCode::kExhausted);
}

TEST_F(FileTest, SyncsADirectoryAndRefusesAFile) {
  write("a", "");
  EXPECT_TRUE(sync_directory(folder_).ok());
  EXPECT_FALSE(sync_directory(path("a")).ok());
}

}  // namespace
}  // namespace lockstep
