#include "chainbridge/ledger.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <system_error>

#include "base/file.h"
#include "chainbridge/ledger/chain_state.h"
#include "chainbridge/ledger/frame.h"
#include "chainbridge/ledger/lock.h"

namespace lockstep {
namespace {

constexpr unsigned kOwnerOnly = 0600;  // A ledger holds prompts.

// Makes the directory (its entry durable) and, where they are missing, its parents.
Status make_directory(const std::string& directory) {
  namespace fs = std::filesystem;
  std::error_code error;
  if (fs::is_directory(directory, error)) return {};
  const fs::path parent = fs::absolute(directory, error).lexically_normal().parent_path();
  fs::create_directories(directory, error);
  if (error) return system_error(error.value(), directory, "create directory");
  return sync_directory(parent.string());
}

std::uint64_t now(const Clock& clock) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(clock.unix_seconds(), 0));
}

}  // namespace

std::string ledger_file(const std::string& directory) { return directory + "/ledger.bin"; }

struct Ledger::State {
  State(std::string path, const LedgerOptions& ledger_options, const Clock& ledger_clock)
      : directory(std::move(path)), options(ledger_options), clock(ledger_clock) {}

  // Records that go to the disk together, and what the ledger is once they are there.
  struct Batch {
    ChainState chain;
    std::uint64_t sequence;  // Of the record after the batch.
    Digest head;
    Bytes bytes;
  };

  Status read_all();
  Status cut_tail(std::uint64_t file_bytes);
  Status check_writable() const;
  Batch begin() const { return {chain, sequence, head, {}}; }
  Status add(Batch& batch, const LedgerRecord& record) const;
  Status add_due_rollup(Batch& batch) const;
  Status commit(Batch batch);

  std::string directory;
  LedgerOptions options;
  const Clock& clock;
  std::optional<LedgerLock> lock;  // Empty: closed.
  File file;
  ChainState chain;
  std::uint64_t sequence = 0;  // Of the next record.
  std::uint64_t end = 0;       // Its offset.
  Digest head;                 // Hash of the last record.
  std::uint64_t torn_bytes = 0;
  bool failed = false;  // The file's bytes are not known any more.
};

Status Ledger::State::read_all() {
  LOCKSTEP_TRY_ASSIGN(const std::uint64_t file_bytes, file.size(), "ledger");
  FrameReader reader(file, file_bytes);
  while (true) {
    LOCKSTEP_TRY_ASSIGN(const std::optional<Frame> frame, reader.next(), "ledger");
    if (!frame) break;
    LOCKSTEP_TRY(chain.apply(*frame), "ledger: " + file.path());
  }
  sequence = reader.sequence();
  end = reader.offset();
  head = reader.head();
  return cut_tail(file_bytes);
}

Status Ledger::State::cut_tail(std::uint64_t file_bytes) {
  torn_bytes = file_bytes - end;
  if (torn_bytes == 0) return {};
  LOCKSTEP_TRY(file.truncate(end), "cut the torn last record");
  LOCKSTEP_TRY(file.sync(), "cut the torn last record");
  return {};
}

Status Ledger::State::check_writable() const {
  if (!lock) return Error{ErrorCode::kInvalidArgument, directory + ": the ledger is closed"};
  if (failed) {
    return Error{ErrorCode::kIo, directory + ": an earlier write failed: open the ledger anew"};
  }
  return {};
}

Status Ledger::State::add(Batch& batch, const LedgerRecord& record) const {
  LOCKSTEP_TRY_ASSIGN(std::string payload, encode_record(record), "ledger");
  const Bytes bytes = encode_frame(batch.head, batch.sequence, payload);
  const Digest hash = record_hash(batch.head, batch.sequence, payload);
  const Frame frame{.sequence = batch.sequence,
                    .offset = end + batch.bytes.size(),
                    .payload = std::move(payload),
                    .hash = hash};
  LOCKSTEP_TRY(batch.chain.apply(frame), "ledger");
  batch.bytes.insert(batch.bytes.end(), bytes.begin(), bytes.end());
  batch.head = hash;
  ++batch.sequence;
  return {};
}

Status Ledger::State::add_due_rollup(Batch& batch) const {
  if (batch.chain.pending_leaves().size() < options.rollup_size) return {};
  return add(batch, batch.chain.next_rollup());
}

Status Ledger::State::commit(Batch batch) {
  if (batch.bytes.empty()) return {};
  if (Status written = file.write_all(end, batch.bytes); !written.ok()) {
    failed = !file.truncate(end).ok();
    return std::move(written).error().with_context("ledger");
  }
  if (Status synced = file.sync(); !synced.ok()) {
    // Which of the bytes are on disk is unknown, and a second fsync would not tell: nothing more is
    // written.
    failed = true;
    (void)file.truncate(end).ok();
    return Error{ErrorCode::kIo, "ledger: " + synced.error().message};
  }
  end += batch.bytes.size();
  sequence = batch.sequence;
  head = batch.head;
  chain = std::move(batch.chain);
  return {};
}

Ledger::Ledger(std::unique_ptr<State> state) : state_(std::move(state)) {}
Ledger::Ledger(Ledger&&) noexcept = default;
Ledger& Ledger::operator=(Ledger&&) noexcept = default;
Ledger::~Ledger() = default;

Result<Ledger> Ledger::open(const std::string& directory, const LedgerOptions& options,
                            Random& random, const Clock& clock) {
  if (options.rollup_size == 0 || options.rollup_size > kMaxRollupLeaves) {
    return Error{ErrorCode::kInvalidArgument, "rollup size: expected 1 to " +
                                                  std::to_string(kMaxRollupLeaves) + ", got " +
                                                  std::to_string(options.rollup_size)};
  }
  auto state = std::make_unique<State>(directory, options, clock);
  LOCKSTEP_TRY(make_directory(directory), "ledger");
  LOCKSTEP_TRY_ASSIGN(
      state->lock, LedgerLock::take(directory + "/ledger.lock", options.lock_timeout_ms), "ledger");
  LOCKSTEP_TRY_ASSIGN(state->file, File::open_write(ledger_file(directory), kOwnerOnly), "ledger");
  LOCKSTEP_TRY(state->read_all(), "open");
  State::Batch batch = state->begin();
  if (state->sequence == 0) {
    GenesisRecord genesis;
    random.fill(genesis.nonce.bytes);
    LOCKSTEP_TRY(state->add(batch, genesis), "create");
    LOCKSTEP_TRY(sync_directory(directory), "create");
  }
  LOCKSTEP_TRY(state->add_due_rollup(batch), "open");
  LOCKSTEP_TRY(state->commit(std::move(batch)), "open");
  return Ledger(std::move(state));
}

const Digest& Ledger::ledger_id() const { return state_->chain.ledger_id(); }

std::uint64_t Ledger::torn_bytes() const { return state_->torn_bytes; }

Result<AssignedJob> Ledger::append_assignment(const Assignment& assignment) {
  LOCKSTEP_TRY(state_->check_writable(), "ledger");
  LOCKSTEP_TRY(validate_assignment(assignment), "ledger: assignment");
  AssignedJob job = identify_assignment(assignment, ledger_id(), state_->sequence);
  State::Batch batch = state_->begin();
  const AssignmentRecord record{
      .assignment = assignment, .job = job, .assigned_at = now(state_->clock)};
  LOCKSTEP_TRY(state_->add(batch, record), "append an assignment");
  LOCKSTEP_TRY(state_->commit(std::move(batch)), "append an assignment");
  return job;
}

Result<ResultHashes> Ledger::append_result(const JobResult& result) {
  LOCKSTEP_TRY(state_->check_writable(), "ledger");
  const auto found = state_->chain.unfinished().find(result.assignment);
  if (found == state_->chain.unfinished().end()) {
    return Error{ErrorCode::kInvalidArgument, "ledger: result: record " +
                                                  std::to_string(result.assignment) +
                                                  " is no assignment that waits for a result"};
  }
  const AssignedJob& job = found->second;
  LOCKSTEP_TRY(validate_result(job, result), "ledger: result");
  const ResultHashes hashes = hash_result(job, result);
  State::Batch batch = state_->begin();
  const ResultRecord record{.result = result,
                            .job_id = job.job_id,
                            .spec_hash = job.spec_hash,
                            .hashes = hashes,
                            .completed_at = now(state_->clock)};
  LOCKSTEP_TRY(state_->add(batch, record), "append a result");
  LOCKSTEP_TRY(state_->add_due_rollup(batch), "append a result");
  LOCKSTEP_TRY(state_->commit(std::move(batch)), "append a result");
  return hashes;
}

Status Ledger::close() {
  if (!state_->lock) return {};
  LOCKSTEP_TRY(state_->check_writable(), "close");
  if (!state_->chain.pending_leaves().empty()) {
    State::Batch batch = state_->begin();
    LOCKSTEP_TRY(state_->add(batch, batch.chain.next_rollup()), "close");
    LOCKSTEP_TRY(state_->commit(std::move(batch)), "close");
  }
  state_->lock.reset();
  return {};
}

}  // namespace lockstep
