// The stores' interfaces over the tables: every call becomes a task of the store's thread.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "scheduler/batch_store.h"
#include "scheduler/gateway/store/batch_tables.h"
#include "scheduler/gateway/store/job_tables.h"
#include "scheduler/gateway/store/replica_table.h"
#include "scheduler/gateway/store/store_thread.h"
#include "scheduler/job_store.h"
#include "scheduler/replica_store.h"

namespace lockstep {

// Belong to the store's thread once it runs.
struct StoreTables {
  JobTables jobs;
  BatchTables batches;
  ReplicaTable replicas;
};

class SqliteJobStore final : public JobStore {
 public:
  SqliteJobStore(StoreThread& thread, StoreTables& tables) : thread_(thread), tables_(tables) {}

  void commit(std::vector<StoreWrite> writes, std::function<void(Status)> done) override;
  void load(std::string tenant, RequestId id, std::function<void(Result<StoredJob>)> done) override;
  void find_key(std::string tenant, std::string route, std::string key,
                std::function<void(Result<KeyHolder>)> done) override;
  void list(std::string tenant, RequestId before, std::uint32_t limit,
            std::function<void(Result<std::vector<JobSummary>>)> done) override;
  void load_waiting(std::function<void(Result<std::vector<WaitingJob>>)> done) override;

 private:
  StoreThread& thread_;
  StoreTables& tables_;
};

class SqliteBatchStore final : public BatchStore {
 public:
  SqliteBatchStore(StoreThread& thread, StoreTables& tables) : thread_(thread), tables_(tables) {}

  void load_file(std::string tenant, RequestId id,
                 std::function<void(Result<FileRecord>)> done) override;
  void list_files(std::string tenant, std::string purpose, ListPage page,
                  std::function<void(Result<std::vector<FileRecord>>)> done) override;
  void sum_file_bytes(std::string tenant, std::function<void(Result<std::uint64_t>)> done) override;
  void load_batch(std::string tenant, RequestId id,
                  std::function<void(Result<BatchRecord>)> done) override;
  void list_batches(std::string tenant, ListPage page,
                    std::function<void(Result<std::vector<BatchRecord>>)> done) override;
  void load_open_batches(std::function<void(Result<std::vector<BatchRecord>>)> done) override;
  void load_open_lines(std::function<void(Result<std::vector<OpenLine>>)> done) override;
  void load_lines(RequestId batch, RequestId after, std::uint32_t limit,
                  std::function<void(Result<std::vector<StoredJob>>)> done) override;

 private:
  StoreThread& thread_;
  StoreTables& tables_;
};

class SqliteReplicaStore final : public ReplicaStore {
 public:
  SqliteReplicaStore(StoreThread& thread, StoreTables& tables) : thread_(thread), tables_(tables) {}

  void put(ReplicaRecord record, std::function<void(Status)> done) override;
  void remove(ReplicaId replica, std::function<void(Status)> done) override;
  void load_all(std::function<void(Result<std::vector<ReplicaRecord>>)> done) override;

 private:
  StoreThread& thread_;
  StoreTables& tables_;
};

}  // namespace lockstep
