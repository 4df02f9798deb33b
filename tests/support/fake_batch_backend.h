// Files and batches in memory, for the HTTP interface: a batch stays where it was made until it is
// cancelled. Thread-safe.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "base/random.h"
#include "scheduler/gateway/batch_backend.h"

namespace lockstep {

class FakeBatchBackend final : public FileBackend, public BatchBackend {
 public:
  Result<std::unique_ptr<UploadWriter>> create(std::string tenant) override {
    return std::unique_ptr<UploadWriter>(new Writer(*this, std::move(tenant)));
  }
  void find(std::string tenant, RequestId id,
            std::function<void(Result<FileRecord>)> done) override {
    done(look_up(files_, tenant, id));
  }
  void list(ListQuery query, std::function<void(Result<Listed<FileRecord>>)> done) override {
    done(page(files_, query));
  }
  void remove(std::string tenant, RequestId id, std::function<void(Status)> done) override {
    const auto found = look_up(files_, tenant, id);
    if (!found.ok()) return done(found.error());
    const std::lock_guard lock(mutex_);
    files_.erase(id);
    done({});
  }
  void open(std::string tenant, RequestId id,
            std::function<void(Result<std::unique_ptr<FileReader>>)> done) override {
    const auto found = look_up(files_, tenant, id);
    if (!found.ok()) return done(found.error());
    const std::lock_guard lock(mutex_);
    done(std::unique_ptr<FileReader>(new Reader(contents_[id])));
  }

  void create(BatchRecord batch, std::function<void(Result<BatchRecord>)> done) override {
    const auto file = look_up(files_, batch.tenant, batch.input_file);
    if (!file.ok()) return done(file.error());
    const std::lock_guard lock(mutex_);
    batches_[batch.id] = batch;
    done(batch);
  }
  void find(std::string tenant, RequestId id,
            std::function<void(Result<BatchRecord>)> done) override {
    done(look_up(batches_, tenant, id));
  }
  void list(ListQuery query, std::function<void(Result<Listed<BatchRecord>>)> done) override {
    done(page(batches_, query));
  }
  void cancel(std::string tenant, RequestId id,
              std::function<void(Result<BatchRecord>)> done) override {
    auto found = look_up(batches_, tenant, id);
    if (!found.ok()) return done(found.error());
    BatchRecord batch = std::move(found).value();
    const Status status = cancel_batch(batch, batch.created_ms);
    if (!status.ok()) return done(status.error());
    const std::lock_guard lock(mutex_);
    batches_[id] = batch;
    done(batch);
  }

 private:
  class Writer final : public UploadWriter {
   public:
    Writer(FakeBatchBackend& owner, std::string tenant)
        : owner_(owner), tenant_(std::move(tenant)) {}
    Status write(std::string_view bytes) override {
      bytes_ += bytes;
      return {};
    }
    void finish(FileRecord meta, std::function<void(Result<FileRecord>)> done) override {
      const std::lock_guard lock(owner_.mutex_);
      meta.id = owner_.ids_.next(1'700'000'000'000);
      meta.tenant = tenant_;
      meta.bytes = bytes_.size();
      meta.created_ms = meta.id.unix_ms();
      owner_.files_[meta.id] = meta;
      owner_.contents_[meta.id] = std::move(bytes_);
      done(meta);
    }

   private:
    FakeBatchBackend& owner_;
    std::string tenant_;
    std::string bytes_;
  };

  class Reader final : public FileReader {
   public:
    explicit Reader(std::string bytes) : bytes_(std::move(bytes)) {}
    Result<std::string> read(std::size_t max_bytes) override {
      std::string piece = bytes_.substr(at_, max_bytes);
      at_ += piece.size();
      return piece;
    }

   private:
    std::string bytes_;
    std::size_t at_ = 0;
  };

  template <typename T>
  Result<T> look_up(const std::map<RequestId, T>& from, const std::string& tenant, RequestId id) {
    const std::lock_guard lock(mutex_);
    const auto found = from.find(id);
    if (found != from.end() && found->second.tenant == tenant) return found->second;
    return Error{ErrorCode::kNotFound, "there is no " + id.text()};
  }

  template <typename T>
  Listed<T> page(const std::map<RequestId, T>& from, const ListQuery& query) {
    const std::lock_guard lock(mutex_);
    Listed<T> listed;
    for (auto at = from.rbegin(); at != from.rend(); ++at) {
      if (at->second.tenant != query.tenant) continue;
      if (!query.after.is_zero() && !(at->first < query.after)) continue;
      if (listed.items.size() == query.limit) {
        listed.has_more = true;
        break;
      }
      listed.items.push_back(at->second);
    }
    return listed;
  }

  std::mutex mutex_;
  RequestIdSource ids_{system_random()};
  std::map<RequestId, FileRecord> files_;
  std::map<RequestId, std::string> contents_;
  std::map<RequestId, BatchRecord> batches_;
};

}  // namespace lockstep
