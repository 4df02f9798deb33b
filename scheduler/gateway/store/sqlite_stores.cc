#include "scheduler/gateway/store/sqlite_stores.h"

#include <memory>
#include <optional>
#include <utility>
#include <variant>

namespace lockstep {
namespace {

// A task that reads. What it found is told after the transaction in which it was read.
template <typename Read, typename Done>
void submit_read(StoreThread& thread, Read read, Done done) {
  using Found = decltype(read());
  auto found = std::make_shared<std::optional<Found>>();
  thread.submit({.apply = [found, read = std::move(read)]() -> Status {
                   *found = read();
                   if ((*found)->ok()) return {};
                   return (*found)->error();
                 },
                 .done =
                     [found, done = std::move(done)](Status status) {
                       if (status.ok()) {
                         done(std::move(**found));
                       } else {
                         done(std::move(status).error());
                       }
                     }});
}

bool is_insert(const StoreWrite& write) {
  return std::holds_alternative<InsertJob>(write) || std::holds_alternative<InsertFile>(write) ||
         std::holds_alternative<InsertBatch>(write);
}

// One overload per kind of write.
struct Apply {
  StoreTables& tables;
  Status operator()(const InsertJob& write) const { return tables.jobs.insert(write.job); }
  Status operator()(const AppendTokens& write) const { return tables.jobs.append(write); }
  Status operator()(const EndChoice& write) const { return tables.jobs.end_choice(write); }
  Status operator()(const EndJob& write) const { return tables.jobs.end_job(write); }
  Status operator()(const InsertFile& write) const {
    return tables.batches.insert_file(write.file);
  }
  Status operator()(const RemoveFile& write) const { return tables.batches.remove_file(write.id); }
  Status operator()(const InsertBatch& write) const {
    return tables.batches.insert_batch(write.batch);
  }
  Status operator()(const UpdateBatch& write) const {
    return tables.batches.update_batch(write.batch);
  }
};

}  // namespace

void SqliteJobStore::commit(std::vector<StoreWrite> writes, std::function<void(Status)> done) {
  bool is_new_work = false;
  for (const StoreWrite& write : writes) is_new_work |= is_insert(write);
  const auto num_rows = static_cast<std::uint32_t>(writes.size());
  thread_.submit({.apply = [&tables = tables_, writes = std::move(writes)]() -> Status {
                    for (const StoreWrite& write : writes) {
                      Status status = std::visit(Apply{tables}, write);
                      if (!status.ok()) return status;
                    }
                    return {};
                  },
                  .done = std::move(done),
                  .num_rows = num_rows,
                  .is_new_work = is_new_work});
}

void SqliteJobStore::load(std::string tenant, RequestId id,
                          std::function<void(Result<StoredJob>)> done) {
  submit_read(
      thread_, [&t = tables_, tenant = std::move(tenant), id] { return t.jobs.load(tenant, id); },
      std::move(done));
}

void SqliteJobStore::find_key(std::string tenant, std::string route, std::string key,
                              std::function<void(Result<KeyHolder>)> done) {
  submit_read(
      thread_,
      [&t = tables_, tenant = std::move(tenant), route = std::move(route), key = std::move(key)] {
        return t.jobs.find_key(tenant, route, key);
      },
      std::move(done));
}

void SqliteJobStore::list(std::string tenant, RequestId before, std::uint32_t limit,
                          std::function<void(Result<std::vector<JobSummary>>)> done) {
  submit_read(
      thread_,
      [&t = tables_, tenant = std::move(tenant), before, limit] {
        return t.jobs.list(tenant, before, limit);
      },
      std::move(done));
}

void SqliteJobStore::load_waiting(std::function<void(Result<std::vector<WaitingJob>>)> done) {
  submit_read(
      thread_, [&t = tables_] { return t.jobs.load_waiting(); }, std::move(done));
}

void SqliteBatchStore::load_file(std::string tenant, RequestId id,
                                 std::function<void(Result<FileRecord>)> done) {
  submit_read(
      thread_,
      [&t = tables_, tenant = std::move(tenant), id] { return t.batches.load_file(tenant, id); },
      std::move(done));
}

void SqliteBatchStore::list_files(std::string tenant, std::string purpose, ListPage page,
                                  std::function<void(Result<std::vector<FileRecord>>)> done) {
  submit_read(
      thread_,
      [&t = tables_, tenant = std::move(tenant), purpose = std::move(purpose), page] {
        return t.batches.list_files(tenant, purpose, page.before, page.limit);
      },
      std::move(done));
}

void SqliteBatchStore::sum_file_bytes(std::string tenant,
                                      std::function<void(Result<std::uint64_t>)> done) {
  submit_read(
      thread_,
      [&t = tables_, tenant = std::move(tenant)] { return t.batches.sum_file_bytes(tenant); },
      std::move(done));
}

void SqliteBatchStore::load_batch(std::string tenant, RequestId id,
                                  std::function<void(Result<BatchRecord>)> done) {
  submit_read(
      thread_,
      [&t = tables_, tenant = std::move(tenant), id] { return t.batches.load_batch(tenant, id); },
      std::move(done));
}

void SqliteBatchStore::list_batches(std::string tenant, ListPage page,
                                    std::function<void(Result<std::vector<BatchRecord>>)> done) {
  submit_read(
      thread_,
      [&t = tables_, tenant = std::move(tenant), page] {
        return t.batches.list_batches(tenant, page.before, page.limit);
      },
      std::move(done));
}

void SqliteBatchStore::load_open_batches(
    std::function<void(Result<std::vector<BatchRecord>>)> done) {
  submit_read(
      thread_, [&t = tables_] { return t.batches.load_open_batches(); }, std::move(done));
}

void SqliteBatchStore::load_open_lines(std::function<void(Result<std::vector<OpenLine>>)> done) {
  submit_read(
      thread_, [&t = tables_] { return t.jobs.load_open_lines(); }, std::move(done));
}

void SqliteBatchStore::load_lines(RequestId batch, RequestId after, std::uint32_t limit,
                                  std::function<void(Result<std::vector<StoredJob>>)> done) {
  submit_read(
      thread_,
      [&t = tables_, batch, after, limit] { return t.jobs.load_lines(batch, after, limit); },
      std::move(done));
}

// A fence must be written on a full disk, too.
void SqliteReplicaStore::put(ReplicaRecord record, std::function<void(Status)> done) {
  thread_.submit(
      {.apply = [&t = tables_, record = std::move(record)] { return t.replicas.put(record); },
       .done = std::move(done),
       .num_rows = 1});
}

void SqliteReplicaStore::remove(ReplicaId replica, std::function<void(Status)> done) {
  thread_.submit({.apply = [&t = tables_, replica] { return t.replicas.remove(replica); },
                  .done = std::move(done),
                  .num_rows = 1});
}

void SqliteReplicaStore::load_all(std::function<void(Result<std::vector<ReplicaRecord>>)> done) {
  submit_read(
      thread_, [&t = tables_] { return t.replicas.load_all(); }, std::move(done));
}

}  // namespace lockstep
