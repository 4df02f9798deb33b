#include "scheduler/gateway/gateway_keys.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "tests/support/scratch_directory.h"

namespace lockstep {
namespace {

class GatewayKeys : public testing::Test {
 protected:
  std::string path() const { return scratch_.path() + "/gateway.key"; }
  void write(const std::string& text) const { std::ofstream(path(), std::ios::trunc) << text; }

  ScratchDirectory scratch_;
};

TEST_F(GatewayKeys, AreMadeOnceAndReadAgain) {
  const auto made = read_or_make_gateway_keys(path(), system_random());
  const auto read = read_or_make_gateway_keys(path(), system_random());
  ASSERT_TRUE(made.ok() && read.ok());
  EXPECT_EQ(made.value().secret_key.bytes, read.value().secret_key.bytes);
  EXPECT_EQ(made.value().public_key, read.value().public_key);
  struct stat status {};
  ASSERT_EQ(::stat(path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
}

TEST_F(GatewayKeys, ThatOthersMayReadAreRefused) {
  ASSERT_TRUE(read_or_make_gateway_keys(path(), system_random()).ok());
  ASSERT_EQ(::chmod(path().c_str(), 0640), 0);
  EXPECT_FALSE(read_or_make_gateway_keys(path(), system_random()).ok());
}

TEST_F(GatewayKeys, ThatAreDamagedAreRefusedWithThePath) {
  ASSERT_TRUE(read_or_make_gateway_keys(path(), system_random()).ok());
  for (const char* text : {"", "lockstep-gateway-key 1\nsecret 00\n", "lockstep-gateway-key 2\n"}) {
    write(text);
    const auto read = read_or_make_gateway_keys(path(), system_random());
    ASSERT_FALSE(read.ok()) << text;
    EXPECT_EQ(read.error().code, ErrorCode::kCorrupt);
    EXPECT_NE(read.error().message.find(path()), std::string::npos);
  }
}

TEST(EndpointFileChoose, TakesThePortThatIsAskedForOrTheLastOneOfThisHost) {
  const ScratchDirectory scratch;
  const EndpointFile file(scratch.path() + "/endpoint");
  EXPECT_EQ(file.choose("127.0.0.1", 0), "tcp://127.0.0.1:0");
  ASSERT_TRUE(file.write("tcp://127.0.0.1:4711").ok());
  EXPECT_EQ(file.choose("127.0.0.1", 0), "tcp://127.0.0.1:4711");
  EXPECT_EQ(file.choose("127.0.0.1", 80), "tcp://127.0.0.1:80");
  EXPECT_EQ(file.choose("127.0.0.2", 0), "tcp://127.0.0.2:0");
}

TEST(EndpointFileWrite, NamesTheFileThatCannotBeWritten) {
  const auto written = EndpointFile("/nonexistent/endpoint").write("x");
  ASSERT_FALSE(written.ok());
  EXPECT_NE(written.error().message.find("/nonexistent/endpoint"), std::string::npos);
}

}  // namespace
}  // namespace lockstep
