#include "scheduler/gateway/batch/batch_disk.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/scheduler/gateway/store/store_support.h"

namespace lockstep {
namespace {

constexpr std::string_view kLine = R"("method":"POST","url":"/v1/completions","body":{}})";

// Of lines that were never fed: those need no model.
class BatchDiskTest : public StateStoreTest {
 protected:
  void SetUp() override {
    open();
    disk_ = std::make_unique<BatchDisk>(BatchDisk::Parts{.directory = &store_->directory(),
                                                         .store = &store_->batches(),
                                                         .lines = nullptr,
                                                         .clock = &clock_,
                                                         .random = &system_random()});
    batch_.id = test_id(1);
    batch_.tenant = "alice";
    batch_.endpoint = "/v1/completions";
    batch_.input_file = test_id(2);
    batch_.output_file = test_id(3);
    batch_.error_file = test_id(4);
    batch_.is_cancelled = true;
  }

  std::string path(RequestId id) const { return store_->directory().file_path(id); }
  void write_input(int num_lines) {
    std::ofstream out(path(batch_.input_file));
    for (int i = 0; i < num_lines; ++i) {
      out << R"({"custom_id":"line )" << i << "\"," << kLine << "\n";
    }
    batch_.counts.total = static_cast<std::uint32_t>(num_lines);
  }
  static std::vector<std::string> lines_of(const std::string& path) {
    std::ifstream in(path);
    std::vector<std::string> lines;
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
  }

  std::unique_ptr<BatchDisk> disk_;
  BatchRecord batch_;
};

TEST_F(BatchDiskTest, TellsEveryLineThatWasNotFed) {
  write_input(3);
  const auto written = disk_->write_output(batch_);
  ASSERT_TRUE(written.ok()) << written.error().message;
  EXPECT_EQ(written.value().output_bytes, 0U);
  EXPECT_EQ(written.value().error_bytes, std::filesystem::file_size(path(batch_.error_file)));
  EXPECT_FALSE(std::filesystem::exists(path(batch_.output_file)));
  EXPECT_FALSE(std::filesystem::exists(path(batch_.output_file) + ".partial"));
  const auto lines = lines_of(path(batch_.error_file));
  ASSERT_EQ(lines.size(), 3U);
  for (int i = 0; i < 3; ++i) {
    const auto read = parse_output_line(lines[static_cast<std::size_t>(i)]);
    ASSERT_TRUE(read.ok()) << read.error().message;
    EXPECT_EQ(read.value().custom_id, "line " + std::to_string(i));
  }
}

TEST_F(BatchDiskTest, WritesAnewWhatAKilledGatewayLeft) {
  write_input(2);
  std::ofstream(path(batch_.error_file) + ".partial") << std::string(10'000, 'x');
  ASSERT_TRUE(disk_->write_output(batch_).ok());
  ASSERT_TRUE(disk_->write_output(batch_).ok());  // Nor is it written behind the first.
  EXPECT_EQ(lines_of(path(batch_.error_file)).size(), 2U);
}

TEST_F(BatchDiskTest, RefusesToEndWithoutALineThatWasFed) {
  write_input(2);
  batch_.fed_lines = 1;
  const auto written = disk_->write_output(batch_);
  ASSERT_FALSE(written.ok());
  EXPECT_EQ(written.error().code, ErrorCode::kCorrupt);
  EXPECT_FALSE(std::filesystem::exists(path(batch_.error_file)));
}

TEST_F(BatchDiskTest, NamesAnInputFileThatIsGone) {
  const auto verdict = disk_->validate(batch_);
  ASSERT_FALSE(verdict.ok());
  EXPECT_NE(verdict.error().message.find(batch_.input_file.text()), std::string::npos);
}

TEST_F(BatchDiskTest, StopsSoon) {
  write_input(3);
  disk_->stop();
  EXPECT_EQ(disk_->write_output(batch_).error().code, ErrorCode::kAborted);
  EXPECT_EQ(disk_->validate(batch_).error().code, ErrorCode::kAborted);
}

}  // namespace
}  // namespace lockstep
