// What the owner of a state directory asks the gateway that runs on it, and what it answers: one
// line each way. Pure.
//
//   backup /PATH             copy the database to a new file
//   ok | CODE: MESSAGE       it is done, or why not; CODE is one of error_code_name()
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace lockstep {

inline constexpr std::size_t kMaxAdminLineBytes = 8192;

struct AdminOrder {
  std::string backup_path;  // Absolute.
};

// Lines are without their line feed. kInvalidArgument says what was expected.
Result<AdminOrder> parse_admin_order(std::string_view line);
std::string encode_admin_order(const AdminOrder& order);

std::string encode_admin_answer(const Status& status);
// What the gateway answered; kCorrupt when it is no answer.
Status parse_admin_answer(std::string_view line);

}  // namespace lockstep
