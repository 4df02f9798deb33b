// The input file of a batch, JSON Lines as OpenAI's Batch API has them. Pure: bytes come in pieces
// of any size, so a file is never in memory as a whole.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/bytes.h"
#include "base/digest.h"
#include "base/result.h"
#include "scheduler/batch.h"

namespace lockstep {

inline constexpr std::size_t kMaxBatchLineBytes = std::size_t{8} << 20;
inline constexpr std::size_t kMaxCustomIdBytes = 512;

struct BatchLine {
  std::string custom_id;
  std::string url;   // Its endpoint.
  std::string body;  // The JSON text as it stands in the line.
};

// One line, {"custom_id", "method": "POST", "url": `endpoint`, "body": {...}}, or what is wrong
// with it (without its number). An empty `endpoint` is any.
struct ParsedBatchLine {
  BatchLine line;
  BatchError error;  // Its code is empty when the line is good.
};
ParsedBatchLine parse_batch_line(std::string_view text, std::string_view endpoint);

// Cuts bytes into lines. A last line need not end; empty ones are skipped; "\r\n" ends one, too.
class LineSplitter {
 public:
  struct Line {
    std::string_view text;
    std::uint32_t number = 0;      // From 1 on; empty ones count.
    std::uint64_t end_offset = 0;  // Of the byte behind it and its end.
  };
  // Gets each line; false stops.
  using Visitor = std::function<bool(const Line&)>;

  // Goes on behind so many lines and bytes of the file.
  explicit LineSplitter(std::uint32_t lines = 0, std::uint64_t bytes = 0)
      : number_(lines), offset_(bytes) {}

  // kExhausted when a line is longer than kMaxBatchLineBytes. Returns false when the visitor
  // stopped; then the splitter is done.
  Result<bool> feed(std::string_view bytes, const Visitor& visit);
  // At the end of the file.
  Result<bool> finish(const Visitor& visit);

 private:
  bool visit_line(std::string_view text, std::size_t end_bytes, const Visitor& visit);

  std::string open_;  // The line that has not ended yet.
  std::uint32_t number_ = 0;
  std::uint64_t offset_ = 0;
};

// What is wrong with the body of a line, for one who knows requests; an empty code: nothing.
using BodyCheck = std::function<BatchError(const BatchLine&)>;

// Checks a whole file, line by line: form, bounds, body, and that no custom_id comes twice.
class BatchValidator {
 public:
  explicit BatchValidator(std::string endpoint, BodyCheck check_body = nullptr)
      : endpoint_(std::move(endpoint)), check_body_(std::move(check_body)) {}

  // False when more need not be read: there are enough errors.
  bool feed(std::string_view bytes);
  // The number of lines, or at least one error.
  struct Verdict {
    std::uint32_t num_lines = 0;
    std::vector<BatchError> errors;
  };
  Verdict finish();

 private:
  bool check(const LineSplitter::Line& line);
  bool keep(BatchError error, std::uint32_t line);
  bool keep_long_line(const Error& error);

  std::string endpoint_;
  BodyCheck check_body_;
  LineSplitter splitter_;
  std::uint32_t num_lines_ = 0;
  std::uint64_t num_bytes_ = 0;
  // By SHA-256, whose first bytes are hash enough: the number of the line that has it.
  struct FirstBytes {
    std::size_t operator()(const Digest& digest) const;
  };
  std::unordered_map<Digest, std::uint32_t, FirstBytes> custom_ids_;
  std::vector<BatchError> errors_;
  bool is_over_ = false;
};

}  // namespace lockstep
