// What the HTTP interface asks for files and batches. Calls come from any I/O thread and do not
// block longer than a read or write of the file system's cache; callbacks come once, on any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/request_id.h"
#include "base/result.h"
#include "scheduler/batch.h"

namespace lockstep {

// A file that is being uploaded. Let go of unfinished, it leaves nothing behind.
class UploadWriter {
 public:
  virtual ~UploadWriter() = default;
  // kInvalidArgument: the tenant's quota; kExhausted: the disk.
  virtual Status write(std::string_view bytes) = 0;
  // Purpose, name and expiry of `meta` count; the callback comes when file and row are on disk.
  virtual void finish(FileRecord meta, std::function<void(Result<FileRecord>)> done) = 0;
};

class FileReader {
 public:
  virtual ~FileReader() = default;
  // The next bytes, at most `max_bytes`; empty at the end.
  virtual Result<std::string> read(std::size_t max_bytes) = 0;
};

// A page of a list, newest first.
struct ListQuery {
  std::string tenant;
  RequestId after;         // Zero: from the newest.
  std::size_t limit = 20;  // 1 to 10,000.
  std::string purpose;     // Of files; empty: any.
};
template <typename T>
struct Listed {
  std::vector<T> items;
  bool has_more = false;
};
// Of one more than `limit`, if there are so many.
template <typename T>
Listed<T> listed_page(std::vector<T> items, std::size_t limit) {
  const bool has_more = items.size() > limit;
  if (has_more) items.resize(limit);
  return {std::move(items), has_more};
}

class FileBackend {
 public:
  virtual ~FileBackend() = default;
  virtual Result<std::unique_ptr<UploadWriter>> create(std::string tenant) = 0;
  // kNotFound (another's, too).
  virtual void find(std::string tenant, RequestId id,
                    std::function<void(Result<FileRecord>)> done) = 0;
  virtual void list(ListQuery query, std::function<void(Result<Listed<FileRecord>>)> done) = 0;
  // kInvalidArgument while a batch reads it.
  virtual void remove(std::string tenant, RequestId id, std::function<void(Status)> done) = 0;
  virtual void open(std::string tenant, RequestId id,
                    std::function<void(Result<std::unique_ptr<FileReader>>)> done) = 0;
};

class BatchBackend {
 public:
  virtual ~BatchBackend() = default;
  // `batch` has tenant, endpoint, input file, window and metadata. kNotFound: the file.
  virtual void create(BatchRecord batch, std::function<void(Result<BatchRecord>)> done) = 0;
  virtual void find(std::string tenant, RequestId id,
                    std::function<void(Result<BatchRecord>)> done) = 0;
  virtual void list(ListQuery query, std::function<void(Result<Listed<BatchRecord>>)> done) = 0;
  // kInvalidArgument: it has ended.
  virtual void cancel(std::string tenant, RequestId id,
                      std::function<void(Result<BatchRecord>)> done) = 0;
};

}  // namespace lockstep
