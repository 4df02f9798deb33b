#include "cli/batch/merge.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/canonical_json.h"
#include "base/file.h"
#include "cli/batch/line_file.h"
#include "scheduler/batch_input.h"
#include "scheduler/batch_output.h"

namespace lockstep {
namespace {

constexpr std::size_t kPieceBytes = 1 << 20;

// Where the first result of a line lies.
struct Place {
  std::uint32_t file = 0;
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;  // Without the line feed.
};

struct Source {
  std::string path;
  File file;
};

Result<std::string> read_at(const File& file, std::uint64_t offset, std::uint64_t bytes) {
  std::string text(bytes, '\0');
  LOCKSTEP_TRY(file.read_exact(offset, {reinterpret_cast<std::uint8_t*>(text.data()), bytes}),
               file.path());
  return text;
}

Result<std::vector<Source>> open_sources(const std::string& folder) {
  std::vector<std::string> paths;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("out-") && name.ends_with(".jsonl")) paths.push_back(entry.path());
  }
  if (error || paths.empty()) {
    return Error{ErrorCode::kNotFound, folder + ": no out-*.jsonl there"};
  }
  std::ranges::sort(paths);
  std::vector<Source> sources;
  for (const std::string& path : paths) {
    LOCKSTEP_TRY_ASSIGN(File file, File::open_read(path), "results");
    sources.push_back({path, std::move(file)});
  }
  return sources;
}

// What of a result must not depend on who gave it: ids and times do.
Result<Json> essence(const std::string& line) {
  LOCKSTEP_TRY_ASSIGN(const Json json, parse_json(line), "result");
  Json out = {{"error", json.value("error", Json())}};
  const Json response = json.value("response", Json());
  if (!response.is_object()) return out;
  out["status"] = response.value("status_code", Json());
  const Json body = response.value("body", Json());
  if (!body.is_object()) return out;
  for (const char* key : {"choices", "usage", "system_fingerprint"}) {
    out[key] = body.value(key, Json());
  }
  // How much came from a cache is of the run, not of the answer.
  if (out["usage"].is_object()) out["usage"].erase("prompt_tokens_details");
  return out;
}

class Merge {
 public:
  explicit Merge(std::vector<Source> sources) : sources_(std::move(sources)) {}

  Status index(MergeFigures& figures) {
    for (std::uint32_t i = 0; i < sources_.size(); ++i) {
      LOCKSTEP_TRY(index_file(i, figures), sources_[i].path);
    }
    figures.files = static_cast<std::uint32_t>(sources_.size());
    return {};
  }

  Status write(const std::string& input, File& out, MergeFigures& figures) {
    LOCKSTEP_TRY_ASSIGN(LineSource lines, LineSource::open(input), "IN");
    std::uint64_t offset = 0;
    std::size_t num_used = 0;
    for (;;) {
      LOCKSTEP_TRY_ASSIGN(const std::optional<BatchLine> line, lines.next(), "IN");
      if (!line) break;
      const auto found = places_.find(line->custom_id);
      if (found == places_.end()) {
        ++figures.missing;
        continue;
      }
      LOCKSTEP_TRY_ASSIGN(std::string text, text_at(found->second), "results");
      text += '\n';
      LOCKSTEP_TRY(out.write_all(offset, as_bytes(text)), "--out");
      offset += text.size();
      ++figures.lines;
      ++num_used;
    }
    if (num_used == places_.size()) return {};
    return Error{ErrorCode::kCorrupt, std::to_string(places_.size() - num_used) +
                                          " results are of lines that " + input + " has not"};
  }

 private:
  Result<std::string> text_at(const Place& place) const {
    return read_at(sources_[place.file].file, place.offset, place.bytes);
  }

  // A last line without its end was being written when its run was killed: it does not count.
  Status index_file(std::uint32_t file, MergeFigures& figures) {
    const File& source = sources_[file].file;
    LOCKSTEP_TRY_ASSIGN(const std::uint64_t size, source.size(), "size");
    std::string open;
    std::uint64_t begin = 0;
    for (std::uint64_t offset = 0; offset < size; offset += kPieceBytes) {
      LOCKSTEP_TRY_ASSIGN(
          const std::string piece,
          read_at(source, offset, std::min<std::uint64_t>(kPieceBytes, size - offset)), "read");
      std::string_view rest = piece;
      for (std::size_t end = rest.find('\n'); end != rest.npos; end = rest.find('\n')) {
        open += rest.substr(0, end);
        rest.remove_prefix(end + 1);
        const Place place{file, begin, open.size()};
        LOCKSTEP_TRY(add(open, place, figures), "byte " + std::to_string(begin));
        begin += open.size() + 1;
        open.clear();
      }
      open += rest;
    }
    return {};
  }

  Status add(const std::string& text, const Place& place, MergeFigures& figures) {
    LOCKSTEP_TRY_ASSIGN(const WrittenLine line, parse_output_line(text), "result");
    const auto [at, is_new] = places_.try_emplace(line.custom_id, place);
    if (is_new) return {};
    ++figures.repeated;
    LOCKSTEP_TRY_ASSIGN(const std::string before, text_at(at->second), "results");
    LOCKSTEP_TRY_ASSIGN(const Json first, essence(before), "result");
    LOCKSTEP_TRY_ASSIGN(const Json second, essence(text), "result");
    if (first == second) return {};
    return Error{ErrorCode::kCorrupt, "custom_id \"" + line.custom_id + "\": another answer than " +
                                          "in " + sources_[at->second.file].path};
  }

  std::vector<Source> sources_;
  std::unordered_map<std::string, Place> places_;  // By custom_id.
};

}  // namespace

Result<MergeFigures> merge_results(const std::string& input, const std::string& folder,
                                   const std::string& out) {
  MergeFigures figures;
  LOCKSTEP_TRY_ASSIGN(std::vector<Source> sources, open_sources(folder), "--from");
  Merge merge(std::move(sources));
  LOCKSTEP_TRY(merge.index(figures), "results");
  const std::string written = out + ".new";
  LOCKSTEP_TRY_ASSIGN(File file, File::open_write(written), "--out");
  LOCKSTEP_TRY(file.truncate(0), "--out");
  LOCKSTEP_TRY(merge.write(input, file, figures), "merge");
  LOCKSTEP_TRY(file.sync(), "--out");
  if (std::rename(written.c_str(), out.c_str()) != 0) return system_error(errno, out, "rename");
  return figures;
}

}  // namespace lockstep
