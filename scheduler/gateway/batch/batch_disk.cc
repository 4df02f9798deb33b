#include "scheduler/gateway/batch/batch_disk.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "base/crash_point.h"
#include "scheduler/gateway/batch/blocking_call.h"

namespace lockstep {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{256} << 10;
constexpr std::size_t kMaxReadBytes = std::size_t{8} << 20;  // Of bodies that are fed at once.
constexpr std::uint32_t kLinesAtOnce = 8;                    // With all their tokens.

Error stopped() { return {ErrorCode::kAborted, "the gateway stops"}; }

}  // namespace

// A file that has its name once it is whole.
class BatchDisk::OutputFile {
 public:
  static Result<OutputFile> create(const std::string& path) {
    OutputFile out;
    out.path_ = path;
    LOCKSTEP_TRY_ASSIGN(out.file_, File::open_write(path + ".partial", 0600), "output");
    LOCKSTEP_TRY(out.file_.truncate(0), "output");
    return out;
  }

  Status append(const std::string& line) {
    open_ += line;
    return open_.size() < kPieceBytes ? Status() : flush();
  }

  // Empty ones go.
  Status settle() {
    LOCKSTEP_TRY(flush(), "output");
    const std::string partial = path_ + ".partial";
    if (bytes_ == 0) {
      ::unlink(partial.c_str());
      return {};
    }
    LOCKSTEP_TRY(file_.sync(), "output");
    if (::rename(partial.c_str(), path_.c_str()) != 0) return system_error(errno, path_, "rename");
    return {};
  }

  std::uint64_t bytes() const { return bytes_; }

 private:
  Status flush() {
    LOCKSTEP_TRY(file_.write_all(bytes_, as_bytes(open_)), "output");
    bytes_ += open_.size();
    open_.clear();
    return {};
  }

  std::string path_;
  File file_;
  std::string open_;
  std::uint64_t bytes_ = 0;
};

// The bytes of the input behind `offset`, until the visitor says false.
Result<bool> BatchDisk::visit_pieces(
    const BatchRecord& batch, std::uint64_t offset,
    const std::function<Result<bool>(std::string_view)>& visit) const {
  LOCKSTEP_TRY_ASSIGN(const File file,
                      File::open_read(parts_.directory->file_path(batch.input_file)), "input file");
  LOCKSTEP_TRY_ASSIGN(const std::uint64_t size, file.size(), "input file");
  std::string piece;
  while (offset < size) {
    if (is_stopping_) return stopped();
    piece.resize(std::min<std::uint64_t>(kPieceBytes, size - offset));
    LOCKSTEP_TRY(
        file.read_exact(offset, {reinterpret_cast<std::uint8_t*>(piece.data()), piece.size()}),
        "input file");
    offset += piece.size();
    LOCKSTEP_TRY_ASSIGN(const bool more, visit(piece), "input file");
    if (!more) return false;
  }
  return true;
}

Result<BatchValidator::Verdict> BatchDisk::validate(const BatchRecord& batch) const {
  BatchValidator validator(batch.endpoint,
                           [this](const BatchLine& line) { return parts_.lines->check(line); });
  LOCKSTEP_TRY(
      visit_pieces(batch, 0,
                   [&](std::string_view piece) -> Result<bool> { return validator.feed(piece); }),
      "batch");
  return validator.finish();
}

Status BatchDisk::visit_unfed(const BatchRecord& batch,
                              const std::function<bool(const LineSplitter::Line&)>& visit) const {
  LineSplitter splitter(batch.fed_lines, batch.fed_bytes);
  LOCKSTEP_TRY_ASSIGN(
      const bool at_end,
      visit_pieces(batch, batch.fed_bytes,
                   [&](std::string_view piece) { return splitter.feed(piece, visit); }),
      "lines");
  if (at_end) LOCKSTEP_TRY(splitter.finish(visit), "lines");
  return {};
}

Result<LinesRead> BatchDisk::read_lines(const BatchRecord& batch, std::uint32_t max_lines) const {
  LinesRead out;
  std::size_t bytes = 0;
  const std::string salt = batch_id_text(batch.id);
  const auto visit = [&](const LineSplitter::Line& line) {
    const ParsedBatchLine parsed = parse_batch_line(line.text, batch.endpoint);
    out.lines.push_back(parts_.lines->make_job(parsed.line, salt, parts_.clock->unix_ms()));
    out.end_bytes = line.end_offset;
    bytes += line.text.size();
    return out.lines.size() < max_lines && bytes < kMaxReadBytes;
  };
  LOCKSTEP_TRY(visit_unfed(batch, visit), "batch");
  return out;
}

Status BatchDisk::write_ended(const BatchRecord& batch, OutputFile& output,
                              OutputFile& errors) const {
  std::uint32_t num_lines = 0;
  for (RequestId after;;) {
    if (is_stopping_) return stopped();
    auto page = await_call<Result<std::vector<StoredJob>>>([&](auto done) {
      parts_.store->load_lines(batch.id, after, kLinesAtOnce, std::move(done));
    });
    LOCKSTEP_TRY_ASSIGN(const std::vector<StoredJob> lines, std::move(page), "lines");
    if (lines.empty()) break;
    for (const StoredJob& line : lines) {
      const BatchLineResult result = parts_.lines->result_of(line, batch);
      LOCKSTEP_TRY((is_output(result) ? output : errors).append(batch_output_line(result)),
                   "lines");
    }
    num_lines += static_cast<std::uint32_t>(lines.size());
    after = lines.back().record.id;
  }
  if (num_lines == batch.fed_lines) return {};
  return Error{ErrorCode::kCorrupt, std::to_string(batch.fed_lines) + " lines were fed, " +
                                        std::to_string(num_lines) + " have ended"};
}

// So that every line of the input stands in one of the files.
Status BatchDisk::write_unfed(const BatchRecord& batch, OutputFile& errors) {
  if (batch.fed_lines >= batch.counts.total) return {};
  Status status;
  const auto visit = [&](const LineSplitter::Line& line) {
    ParsedBatchLine parsed = parse_batch_line(line.text, batch.endpoint);
    status = errors.append(batch_output_line(
        unfed_result(ids_.next(parts_.clock->unix_ms()), std::move(parsed.line.custom_id), batch)));
    return status.ok();
  };
  LOCKSTEP_TRY(visit_unfed(batch, visit), "batch");
  return status;
}

Result<WrittenFiles> BatchDisk::write_output(const BatchRecord& batch) {
  const StateDirectory& folder = *parts_.directory;
  LOCKSTEP_TRY_ASSIGN(OutputFile output, OutputFile::create(folder.file_path(batch.output_file)),
                      "output file");
  LOCKSTEP_TRY_ASSIGN(OutputFile errors, OutputFile::create(folder.file_path(batch.error_file)),
                      "error file");
  LOCKSTEP_TRY(write_ended(batch, output, errors), "output");
  LOCKSTEP_TRY(write_unfed(batch, errors), "output");
  CRASH_POINT("batch.output");
  LOCKSTEP_TRY(output.settle(), "output file");
  CRASH_POINT("batch.output_named");
  LOCKSTEP_TRY(errors.settle(), "error file");
  LOCKSTEP_TRY(sync_directory(folder.path() + "/files"), "output");
  CRASH_POINT("batch.written");
  return WrittenFiles{output.bytes(), errors.bytes()};
}

}  // namespace lockstep
