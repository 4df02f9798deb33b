#include "scheduler/gateway/admin/admin_order.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lockstep {
namespace {

TEST(ParseAdminOrder, ReadsWhatWasEncoded) {
  const AdminOrder order{.backup_path = "/a folder/copy.sqlite"};
  EXPECT_EQ(encode_admin_order(order), "backup /a folder/copy.sqlite");
  EXPECT_EQ(parse_admin_order(encode_admin_order(order)).value().backup_path, order.backup_path);
}

TEST(ParseAdminOrder, RefusesEverythingElse) {
  const std::string long_line = "backup /" + std::string(kMaxAdminLineBytes, 'x');
  for (const std::string& line :
       {std::string(), std::string("backup"), std::string("backup "), std::string("backup here"),
        std::string("drop /tables"), std::string("backup /a\tb"), long_line}) {
    const auto order = parse_admin_order(line);
    ASSERT_FALSE(order.ok()) << line;
    EXPECT_EQ(order.error().code, ErrorCode::kInvalidArgument);
  }
}

TEST(AdminAnswer, SaysDoneOrTheError) {
  EXPECT_TRUE(parse_admin_answer(encode_admin_answer({})).ok());
  for (const ErrorCode code : {ErrorCode::kInvalidArgument, ErrorCode::kIo, ErrorCode::kInternal}) {
    const Status status = parse_admin_answer(encode_admin_answer(Error{code, "a: b"}));
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().code, code);
    EXPECT_EQ(status.error().message, "a: b");
  }
}

TEST(AdminAnswer, IsOneLine) {
  const std::string line = encode_admin_answer(Error{ErrorCode::kIo, "a\nb\r" + std::string(1, 0)});
  EXPECT_EQ(line.find_first_of(std::string("\n\r\0", 3)), line.npos);
}

TEST(AdminAnswer, IsRefusedWhenItIsNone) {
  for (const char* line : {"", "okay", "wrong: code", "I/O"}) {
    EXPECT_EQ(parse_admin_answer(line).error().code, ErrorCode::kCorrupt) << line;
  }
}

}  // namespace
}  // namespace lockstep
