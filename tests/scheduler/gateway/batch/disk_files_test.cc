#include "scheduler/gateway/batch/disk_files.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "tests/scheduler/gateway/store/store_support.h"

namespace lockstep {
namespace {

class DiskFilesTest : public StateStoreTest {
 protected:
  void SetUp() override {
    open();
    disk_.start();
    restart({.tenant_bytes = 100, .lifetime_ms = 5'000});
  }

  void restart(const DiskFilesConfig& config) {
    files_ = std::make_unique<DiskFiles>(config, DiskFiles::Parts{.directory = &store_->directory(),
                                                                  .jobs = &store_->jobs(),
                                                                  .batches = &store_->batches(),
                                                                  .clock = &clock_,
                                                                  .random = &system_random(),
                                                                  .disk = &disk_});
  }

  std::unique_ptr<UploadWriter> create(const std::string& tenant) {
    auto writer = files_->create(tenant);
    EXPECT_TRUE(writer.ok());
    return std::move(writer).value();
  }
  static Result<FileRecord> finish(UploadWriter& writer) {
    return wait_for<Result<FileRecord>>([&](auto done) {
      FileRecord meta;
      meta.purpose = "batch";
      meta.filename = "in.jsonl";
      writer.finish(meta, std::move(done));
    });
  }
  Result<FileRecord> upload(const std::string& tenant, const std::string& text) {
    const auto writer = create(tenant);
    const Status written = writer->write(text);
    return written.ok() ? finish(*writer) : written.error();
  }
  Status remove(const std::string& tenant, RequestId id) {
    return wait_for<Status>([&](auto done) { files_->remove(tenant, id, std::move(done)); });
  }
  Result<std::string> text_of(const std::string& tenant, RequestId id) {
    auto reader = wait_for<Result<std::unique_ptr<FileReader>>>(
        [&](auto done) { files_->open(tenant, id, std::move(done)); });
    if (!reader.ok()) return reader.error();
    std::string text;
    for (;;) {
      const auto piece = reader.value()->read(7);
      if (!piece.ok() || piece.value().empty()) return text;
      text += piece.value();
    }
  }
  std::set<std::string> names_on_disk() const {
    std::set<std::string> names;
    for (const auto& entry :
         std::filesystem::directory_iterator(store_->directory().path() + "/files")) {
      names.insert(entry.path().filename());
    }
    return names;
  }

  TaskThread disk_{1'000, [] {}};
  std::unique_ptr<DiskFiles> files_;
};

TEST_F(DiskFilesTest, KeepsAFileWithItsRow) {
  const auto file = upload("alice", "one line\nanother\n");
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file.value().bytes, 17U);
  EXPECT_EQ(file.value().expires_ms, file.value().created_ms + 5'000);
  EXPECT_EQ(names_on_disk(), std::set<std::string>{file.value().id.text()});
  EXPECT_EQ(text_of("alice", file.value().id).value(), "one line\nanother\n");
  const auto found = wait_for<Result<FileRecord>>(
      [&](auto done) { files_->find("alice", file.value().id, std::move(done)); });
  EXPECT_EQ(found.value(), file.value());
}

TEST_F(DiskFilesTest, IsOfItsTenantAlone) {
  const RequestId id = upload("alice", "text").value().id;
  EXPECT_EQ(text_of("bob", id).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(remove("bob", id).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(text_of("alice", id).value(), "text");
}

TEST_F(DiskFilesTest, LeavesNothingOfAnUploadThatIsLetGo) {
  {
    const auto writer = create("alice");
    ASSERT_TRUE(writer->write("half of a").ok());
    EXPECT_EQ(names_on_disk().size(), 1U);
  }
  EXPECT_TRUE(names_on_disk().empty());
  // Nor does it count.
  EXPECT_TRUE(upload("alice", std::string(100, 'x')).ok());
}

TEST_F(DiskFilesTest, RefusesWhatATenantHasNoRoomFor) {
  ASSERT_TRUE(upload("alice", std::string(60, 'x')).ok());
  const auto refused = upload("alice", std::string(41, 'y'));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(refused.error().message.find("100 bytes"), std::string::npos);
  EXPECT_EQ(names_on_disk().size(), 1U);
  EXPECT_TRUE(upload("alice", std::string(40, 'z')).ok());
  EXPECT_TRUE(upload("bob", std::string(100, 'x')).ok());
}

TEST_F(DiskFilesTest, CountsUploadsThatHaveNotEnded) {
  const auto first = create("alice");
  auto second = create("alice");
  ASSERT_TRUE(first->write(std::string(60, 'x')).ok());
  EXPECT_FALSE(second->write(std::string(60, 'x')).ok());
  second.reset();
  EXPECT_TRUE(finish(*first).ok());
}

TEST_F(DiskFilesTest, RemovesTheBytesWithTheRow) {
  const RequestId id = upload("alice", std::string(100, 'x')).value().id;
  ASSERT_TRUE(remove("alice", id).ok());
  EXPECT_TRUE(names_on_disk().empty());
  EXPECT_EQ(remove("alice", id).error().code, ErrorCode::kNotFound);
  EXPECT_TRUE(upload("alice", std::string(100, 'x')).ok());
}

TEST_F(DiskFilesTest, ListsTheNewestFirst) {
  const RequestId first = upload("alice", "1").value().id;
  const RequestId second = upload("alice", "2").value().id;
  const auto page = [&](RequestId after) {
    return wait_for<Result<Listed<FileRecord>>>([&](auto done) {
      files_->list({.tenant = "alice", .after = after, .limit = 1, .purpose = "batch"},
                   std::move(done));
    });
  };
  const auto newest = page({});
  ASSERT_TRUE(newest.ok()) << newest.error().message;
  ASSERT_EQ(newest.value().items.size(), 1U);
  EXPECT_EQ(newest.value().items[0].id, second);
  EXPECT_TRUE(newest.value().has_more);
  const auto older = page(second);
  ASSERT_EQ(older.value().items.size(), 1U);
  EXPECT_EQ(older.value().items[0].id, first);
  EXPECT_FALSE(older.value().has_more);
}

}  // namespace
}  // namespace lockstep
