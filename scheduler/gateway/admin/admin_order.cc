#include "scheduler/gateway/admin/admin_order.h"

#include <algorithm>

#include "base/error_codes.h"

namespace lockstep {
namespace {

constexpr std::string_view kBackup = "backup ";
constexpr std::string_view kDone = "ok";

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }

}  // namespace

Result<AdminOrder> parse_admin_order(std::string_view line) {
  const auto refuse = [](const char* why) {
    return Error{ErrorCode::kInvalidArgument, std::string("admin socket: ") + why};
  };
  if (line.size() > kMaxAdminLineBytes) return refuse("the line is too long");
  if (!line.starts_with(kBackup)) return refuse("expected \"backup /PATH\"");
  line.remove_prefix(kBackup.size());
  if (!line.starts_with('/') || std::ranges::any_of(line, is_control)) {
    return refuse("expected an absolute path without control characters");
  }
  return AdminOrder{.backup_path = std::string(line)};
}

std::string encode_admin_order(const AdminOrder& order) {
  return std::string(kBackup) + order.backup_path;
}

std::string encode_admin_answer(const Status& status) {
  if (status.ok()) return std::string(kDone);
  std::string line =
      std::string(error_code_name(status.error().code)) + ": " + status.error().message;
  std::ranges::replace_if(line, is_control, ' ');
  line.resize(std::min(line.size(), kMaxAdminLineBytes));
  return line;
}

Status parse_admin_answer(std::string_view line) {
  if (line == kDone) return {};
  const std::size_t colon = line.find(": ");
  const auto code = std::ranges::find(kErrorCodes, line.substr(0, colon), error_code_name);
  if (colon == line.npos || code == kErrorCodes.end()) {
    return Error{ErrorCode::kCorrupt, "admin socket: the answer is none"};
  }
  return Error{*code, std::string(line.substr(colon + 2))};
}

}  // namespace lockstep
