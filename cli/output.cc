#include "cli/output.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/file.h"

namespace lockstep {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Characters of UTF-8 text (continuation bytes are not counted).
std::size_t display_width(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

struct Column {
  std::size_t width = 0;
  bool flush_right = true;
};

std::vector<Column> measure(const std::vector<std::vector<std::string>>& rows) {
  std::vector<Column> columns;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    columns.resize(std::max(columns.size(), rows[row].size()));
    for (std::size_t i = 0; i < rows[row].size(); ++i) {
      const std::string& cell = rows[row][i];
      columns[i].width = std::max(columns[i].width, display_width(cell));
      if (row > 0 && (cell.empty() || !is_digit(cell.front()))) columns[i].flush_right = false;
    }
  }
  return columns;
}

}  // namespace

Status print_text(std::string_view text) {
  errno = 0;
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  if (written && std::fflush(stdout) == 0) return {};
  // A full disk behind stdout is no reason to try again.
  return Error{ErrorCode::kIo, system_error(errno, "stdout", "write").message};
}

Status print_json(const OrderedJson& value) {
  const int indent = isatty(STDOUT_FILENO) == 1 ? 2 : -1;
  return print_text(
      value.dump(indent, ' ', /*ensure_ascii=*/false, OrderedJson::error_handler_t::replace) +
      "\n");
}

std::string human_bytes(std::uint64_t bytes) {
  static constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
  if (bytes < 1000) return std::to_string(bytes) + " B";
  double value = static_cast<double>(bytes);
  int unit = 0;
  while (value >= 999.5) {
    value /= 1000;
    ++unit;
  }
  char buffer[32];
  const int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  (void)std::snprintf(buffer, sizeof buffer, "%.*f %s", decimals, value, kUnits[unit]);
  return buffer;
}

std::string human_seconds(double seconds) {
  const auto whole = static_cast<long>(std::lround(std::clamp(seconds, 0.0, 359'999.0)));
  char buffer[32];
  if (whole < 60) {
    (void)std::snprintf(buffer, sizeof buffer, "%lds", whole);
  } else if (whole < 3600) {
    (void)std::snprintf(buffer, sizeof buffer, "%ldm%02lds", whole / 60, whole % 60);
  } else {
    (void)std::snprintf(buffer, sizeof buffer, "%ldh%02ldm", whole / 3600, whole / 60 % 60);
  }
  return buffer;
}

std::string grouped_digits(std::uint64_t value) {
  std::string digits = std::to_string(value);
  for (std::size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, ",");
  return digits;
}

std::string format_table(const std::vector<std::vector<std::string>>& rows,
                         std::string_view indent) {
  const std::vector<Column> columns = measure(rows);
  std::string out;
  for (const std::vector<std::string>& row : rows) {
    std::string line(indent);
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string padding(columns[i].width - display_width(row[i]), ' ');
      if (i > 0) line += "  ";
      line += columns[i].flush_right ? padding + row[i] : row[i] + padding;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

}  // namespace lockstep
