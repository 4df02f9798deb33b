// Reading files and batches of the gateway's durable truth; they are written by JobStore::commit.
// Calls come from any thread; callbacks run on the store's thread and must not block. A tenant
// finds what is its own alone; an empty tenant is any.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "scheduler/batch.h"
#include "scheduler/job.h"

namespace lockstep {

// A page of a list, latest first: what came before the row `before` (zero: all).
struct ListPage {
  RequestId before;
  std::uint32_t limit = 20;
};

// A line that was fed and has not ended.
struct OpenLine {
  RequestId line;
  RequestId batch;
};

class BatchStore {
 public:
  virtual ~BatchStore() = default;

  virtual void load_file(std::string tenant, RequestId id,
                         std::function<void(Result<FileRecord>)> done) = 0;
  // An empty purpose is any.
  virtual void list_files(std::string tenant, std::string purpose, ListPage page,
                          std::function<void(Result<std::vector<FileRecord>>)> done) = 0;
  // Of all files of a tenant.
  virtual void sum_file_bytes(std::string tenant,
                              std::function<void(Result<std::uint64_t>)> done) = 0;

  virtual void load_batch(std::string tenant, RequestId id,
                          std::function<void(Result<BatchRecord>)> done) = 0;
  virtual void list_batches(std::string tenant, ListPage page,
                            std::function<void(Result<std::vector<BatchRecord>>)> done) = 0;
  // What a restarted gateway goes on with.
  virtual void load_open_batches(std::function<void(Result<std::vector<BatchRecord>>)> done) = 0;
  virtual void load_open_lines(std::function<void(Result<std::vector<OpenLine>>)> done) = 0;
  // At most `limit` ended lines behind `after` (zero: from the start), in the order of their ids.
  virtual void load_lines(RequestId batch, RequestId after, std::uint32_t limit,
                          std::function<void(Result<std::vector<StoredJob>>)> done) = 0;
};

}  // namespace lockstep
