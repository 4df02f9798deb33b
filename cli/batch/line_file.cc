#include "cli/batch/line_file.h"

#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "scheduler/batch_output.h"

namespace lockstep {
namespace {

constexpr std::uint64_t kPieceBytes = std::uint64_t{256} << 10;

Result<std::string> read_at(const File& file, std::uint64_t offset, std::uint64_t bytes) {
  std::string piece(bytes, '\0');
  LOCKSTEP_TRY(
      file.read_exact(offset, {reinterpret_cast<std::uint8_t*>(piece.data()), piece.size()}),
      "read");
  return piece;
}

// A line of an earlier run: adds its custom_id to `done`.
Status check_written(const std::string& text, const std::string& fingerprint,
                     std::unordered_set<std::string>& done) {
  LOCKSTEP_TRY_ASSIGN(const WrittenLine line, parse_output_line(text),
                      "give another file, or remove this one");
  std::string fault;
  if (!line.fingerprint.empty() && line.fingerprint != fingerprint) {
    fault.append("was answered by ").append(line.fingerprint).append(", this model is ");
    fault.append(fingerprint).append("; give another file");
  } else if (!done.insert(line.custom_id).second) {
    fault.append("\"").append(line.custom_id).append("\" comes twice");
  }
  if (fault.empty()) return {};
  return Error{ErrorCode::kCorrupt, std::move(fault)};
}

}  // namespace

Result<LineSource> LineSource::open(const std::string& path) {
  LineSource source;
  LOCKSTEP_TRY_ASSIGN(source.file_, File::open_read(path), "input");
  LOCKSTEP_TRY_ASSIGN(source.size_, source.file_.size(), "input");
  return source;
}

Result<std::string> LineSource::read_piece(std::uint64_t offset) const {
  return read_at(file_, offset, std::min(kPieceBytes, size_ - offset));
}

Status LineSource::visit(const std::function<bool(std::string_view)>& visitor) const {
  for (std::uint64_t offset = 0; offset < size_; offset += kPieceBytes) {
    LOCKSTEP_TRY_ASSIGN(const std::string piece, read_piece(offset), "input");
    if (!visitor(piece)) return {};
  }
  return {};
}

Status LineSource::fill() {
  const auto take = [this](const LineSplitter::Line& line) {
    ParsedBatchLine parsed = parse_batch_line(line.text, "");
    if (parsed.error.code.empty()) lines_.push_back(std::move(parsed.line));
    return true;
  };
  if (offset_ < size_) {
    LOCKSTEP_TRY_ASSIGN(const std::string piece, read_piece(offset_), "input");
    offset_ += piece.size();
    LOCKSTEP_TRY(splitter_.feed(piece, take), "input");
    return {};
  }
  is_at_end_ = true;
  LOCKSTEP_TRY(splitter_.finish(take), "input");
  return {};
}

Result<std::optional<BatchLine>> LineSource::next() {
  while (lines_.empty() && !is_at_end_) LOCKSTEP_TRY(fill(), "input");
  if (lines_.empty()) return std::optional<BatchLine>();
  std::optional<BatchLine> line = std::move(lines_.front());
  lines_.pop_front();
  return line;
}

Result<LineSink> LineSink::open(const std::string& path, const std::string& fingerprint,
                                std::unordered_set<std::string>& done) {
  LineSink sink;
  LOCKSTEP_TRY_ASSIGN(sink.file_, File::open_write(path), "output");
  if (::flock(sink.file_.fd(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return system_error(errno, path, "lock");
    return Error{ErrorCode::kUnavailable, path + ": another run writes it; wait for its end"};
  }
  LOCKSTEP_TRY(sink.take_up(fingerprint, done), path);
  return sink;
}

Status LineSink::take_up(const std::string& fingerprint, std::unordered_set<std::string>& done) {
  LOCKSTEP_TRY_ASSIGN(const std::uint64_t size, file_.size(), "size");
  std::string open;  // The line that has not ended yet.
  std::uint64_t number = 0;
  for (std::uint64_t offset = 0; offset < size; offset += kPieceBytes) {
    LOCKSTEP_TRY_ASSIGN(const std::string piece,
                        read_at(file_, offset, std::min(kPieceBytes, size - offset)), "output");
    std::string_view rest = piece;
    for (std::size_t end = rest.find('\n'); end != rest.npos; end = rest.find('\n')) {
      open += rest.substr(0, end);
      rest.remove_prefix(end + 1);
      LOCKSTEP_TRY(check_written(open, fingerprint, done), "line " + std::to_string(++number));
      bytes_ += open.size() + 1;
      open.clear();
    }
    open += rest;
  }
  return file_.truncate(bytes_);
}

Status LineSink::append(std::string_view line) {
  LOCKSTEP_TRY(file_.write_all(bytes_, as_bytes(line)), "output");
  bytes_ += line.size();
  is_dirty_ = true;
  return {};
}

Status LineSink::sync() {
  if (!std::exchange(is_dirty_, false)) return {};
  return file_.sync();
}

}  // namespace lockstep
