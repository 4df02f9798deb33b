#include "chainbridge/ledger_verifier.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "base/file.h"
#include "base/tagged_hash.h"
#include "chainbridge/ledger.h"
#include "chainbridge/ledger/chain_state.h"
#include "chainbridge/ledger/frame.h"

namespace lockstep {
namespace {

RecordPlace place_of(const Frame& frame) {
  return {.sequence = frame.sequence,
          .offset = frame.offset,
          .payload_bytes = static_cast<std::uint32_t>(frame.payload.size()),
          .payload_hash = keccak256(frame.payload)};
}

// Builds the report while the state checks: what the state has accepted is entered.
class Indexer {
 public:
  Indexer(LedgerReport& report, const ChainState& state) : report_(report), state_(state) {}

  void enter(const LedgerRecord& record, const Frame& frame) {
    std::visit([&](const auto& kind) { add(kind, frame); }, record);
  }

 private:
  void add(const GenesisRecord& /*record*/, const Frame& frame) { report_.ledger_id = frame.hash; }

  void add(const AssignmentRecord& record, const Frame& frame) {
    open_[frame.sequence] = report_.jobs.size();
    report_.jobs.push_back({.assigned = state_.unfinished().at(frame.sequence),
                            .place = place_of(frame),
                            .assigned_at = record.assigned_at,
                            .finished = {}});
  }

  void add(const ResultRecord& record, const Frame& frame) {
    const auto entry = open_.extract(record.result.assignment);
    report_.jobs[entry.mapped()].finished = FinishedJob{.place = place_of(frame),
                                                        .leaf = state_.pending_leaves().back(),
                                                        .hashes = record.hashes,
                                                        .rollup = {}};
    report_.pending.push_back(entry.mapped());
  }

  void add(const RollupRecord& record, const Frame& /*frame*/) {
    for (const std::uint64_t job : report_.pending) {
      report_.jobs[job].finished->rollup = report_.rollups.size();
    }
    report_.rollups.push_back({.header = record.header,
                               .header_hash = record.header_hash,
                               .jobs = std::move(report_.pending)});
    report_.pending.clear();
  }

  LedgerReport& report_;
  const ChainState& state_;
  std::map<std::uint64_t, std::uint64_t>
      open_;  // Sequence of an unfinished assignment to its index.
};

Result<LedgerRecord> read_again(const File& file, const RecordPlace& place) {
  std::string payload(place.payload_bytes, '\0');
  const std::span<std::uint8_t> bytes(reinterpret_cast<std::uint8_t*>(payload.data()),
                                      payload.size());
  LOCKSTEP_TRY(file.read_exact(place.offset + kFrameHeaderBytes, bytes), "read a job");
  if (keccak256(payload) != place.payload_hash) {
    return Error{ErrorCode::kCorrupt, file.path() + ": " +
                                          record_place(place.sequence, place.offset) +
                                          ": is not what was verified"};
  }
  return decode_record(payload);
}

// The draws of select_jobs: uniform integers from H("select", head, counter).
class HeadDraws {
 public:
  explicit HeadDraws(const Digest& head) : head_(head) {}

  // In [0, bound). Requires: bound > 0. Draws beyond the last multiple of `bound` are thrown away.
  std::uint64_t below(std::uint64_t bound) {
    const std::uint64_t rest = (UINT64_MAX % bound + 1) % bound;
    while (true) {
      const Digest hash = TaggedHash("select").add(head_).add(counter_++).digest();
      const auto draw = load_le<std::uint64_t>(hash.bytes.data());
      if (draw <= UINT64_MAX - rest) return draw % bound;
    }
  }

 private:
  Digest head_;
  std::uint64_t counter_ = 0;
};

}  // namespace

std::uint64_t LedgerReport::num_finished() const {
  std::uint64_t finished = pending.size();
  for (const LedgerRollup& rollup : rollups) finished += rollup.jobs.size();
  return finished;
}

Result<LedgerReport> verify_ledger(const std::string& directory) {
  LOCKSTEP_TRY_ASSIGN(const File file, File::open_read(ledger_file(directory)), "verify");
  LOCKSTEP_TRY_ASSIGN(const std::uint64_t file_bytes, file.size(), "verify");
  LedgerReport report;
  report.directory = directory;
  ChainState state;
  Indexer indexer(report, state);
  FrameReader reader(file, file_bytes);
  while (true) {
    LOCKSTEP_TRY_ASSIGN(const std::optional<Frame> frame, reader.next(), "verify");
    if (!frame) break;
    LOCKSTEP_TRY_ASSIGN(const LedgerRecord record, state.apply(*frame), "verify: " + file.path());
    indexer.enter(record, *frame);
  }
  if (reader.sequence() == 0) {
    return Error{ErrorCode::kCorrupt,
                 "verify: " + file.path() + ": record 0 at byte 0: holds no whole record"};
  }
  report.head = reader.head();
  report.num_records = reader.sequence();
  report.num_bytes = reader.offset();
  report.torn_bytes = file_bytes - reader.offset();
  return report;
}

Result<RecordedJob> load_job(const LedgerReport& report, const LedgerJob& job) {
  LOCKSTEP_TRY_ASSIGN(const File file, File::open_read(ledger_file(report.directory)), "load job");
  LOCKSTEP_TRY_ASSIGN(LedgerRecord assignment, read_again(file, job.place), "load job");
  RecordedJob recorded;
  recorded.assigned = job.assigned;
  recorded.assignment = std::move(std::get<AssignmentRecord>(assignment).assignment);
  if (job.finished) {
    LOCKSTEP_TRY_ASSIGN(LedgerRecord result, read_again(file, job.finished->place), "load job");
    recorded.result = std::move(std::get<ResultRecord>(result).result);
    recorded.hashes = job.finished->hashes;
  }
  return recorded;
}

Result<const LedgerJob*> find_job(const LedgerReport& report, std::string_view name) {
  const auto id = Digest::from_hex(name);
  std::uint64_t sequence = 0;
  if (!id.ok()) {
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), sequence);
    if (name.empty() || error != std::errc() || end != name.data() + name.size()) {
      return Error{ErrorCode::kInvalidArgument,
                   "job: expected a job id of 64 hexadecimal digits or the number of an "
                   "assignment's record, got \"" +
                       std::string(name) + "\""};
    }
  }
  for (const LedgerJob& job : report.jobs) {
    if (id.ok() ? job.assigned.job_id == id.value() : job.assigned.sequence == sequence) {
      return &job;
    }
  }
  return Error{ErrorCode::kNotFound,
               "job " + std::string(name) + ": is not in ledger " + report.ledger_id.hex()};
}

std::vector<std::uint64_t> select_jobs(const LedgerReport& report, std::uint64_t count) {
  std::vector<std::uint64_t> finished;
  for (std::uint64_t i = 0; i < report.jobs.size(); ++i) {
    if (report.jobs[i].finished) finished.push_back(i);
  }
  const std::uint64_t chosen = std::min<std::uint64_t>(count, finished.size());
  HeadDraws draws(report.head);
  for (std::uint64_t i = 0; i < chosen; ++i) {  // The first steps of a Fisher-Yates shuffle.
    std::swap(finished[i], finished[i + draws.below(finished.size() - i)]);
  }
  finished.resize(chosen);
  std::sort(finished.begin(), finished.end());
  return finished;
}

}  // namespace lockstep
