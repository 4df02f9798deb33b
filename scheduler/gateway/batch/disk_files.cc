#include "scheduler/gateway/batch/disk_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "base/crash_point.h"
#include "base/file.h"

namespace lockstep {

// What is known of a tenant's bytes without asking the store.
struct DiskFiles::Usage {
  std::atomic<std::uint64_t> stored = 0;     // Of rows, as of the last upload that began.
  std::atomic<std::uint64_t> uploading = 0;  // Written, without a row yet.
};

struct DiskFiles::Shared {
  DiskFilesConfig config;
  Parts parts;
  std::mutex mutex;  // Of what follows.
  RequestIdSource ids;
  std::map<std::string, std::weak_ptr<Usage>> usages;

  Shared(const DiskFilesConfig& the_config, const Parts& the_parts)
      : config(the_config), parts(the_parts), ids(*the_parts.random) {}

  std::string path_of(RequestId id) const { return parts.directory->file_path(id); }
  std::string partial_path_of(RequestId id) const { return path_of(id) + ".partial"; }

  std::shared_ptr<Usage> usage_of(const std::string& tenant) {
    const std::lock_guard lock(mutex);
    std::erase_if(usages, [](const auto& entry) { return entry.second.expired(); });
    std::weak_ptr<Usage>& known = usages[tenant];
    std::shared_ptr<Usage> usage = known.lock();
    if (!usage) known = usage = std::make_shared<Usage>();
    return usage;
  }

  Status check_quota(std::uint64_t bytes) const {
    if (bytes <= config.tenant_bytes) return {};
    return Error{ErrorCode::kInvalidArgument,
                 "file: with it the files of this tenant would have more than " +
                     std::to_string(config.tenant_bytes) +
                     " bytes; remove some, or ask for a greater --file-quota"};
  }
};

// The bytes of an upload; what is not kept goes.
struct DiskFiles::Pending {
  std::shared_ptr<Shared> shared;
  std::shared_ptr<Usage> usage;
  RequestId id;
  std::string tenant;
  File file;
  std::uint64_t bytes = 0;
  bool is_named = false;
  bool is_kept = false;
  bool is_over = false;

  ~Pending() { end(); }

  // Before anybody is told: who is refused may try again at once, and finds the room free.
  void end() {
    if (std::exchange(is_over, true)) return;
    usage->uploading -= bytes;
    if (is_kept) return;
    ::unlink((is_named ? shared->path_of(id) : shared->partial_path_of(id)).c_str());
  }

  Status write(std::string_view piece) {
    bytes += piece.size();
    usage->uploading += piece.size();
    const Status fits = shared->check_quota(usage->stored + usage->uploading);
    if (!fits.ok()) return fits;
    return file.write_all(bytes - piece.size(), as_bytes(piece));
  }

  // Durable, under its name.
  Status settle() {
    CRASH_POINT("file.received");
    LOCKSTEP_TRY(file.sync(), "file");
    const std::string path = shared->path_of(id);
    if (::rename(shared->partial_path_of(id).c_str(), path.c_str()) != 0) {
      return system_error(errno, path, "rename");
    }
    is_named = true;
    LOCKSTEP_TRY(sync_directory(shared->parts.directory->path() + "/files"), "file");
    CRASH_POINT("file.named");
    return {};
  }
};

namespace {

class Reader final : public FileReader {
 public:
  Reader(File file, std::uint64_t bytes) : file_(std::move(file)), bytes_(bytes) {}
  Result<std::string> read(std::size_t max_bytes) override {
    std::string piece(std::min<std::uint64_t>(max_bytes, bytes_ - at_), '\0');
    LOCKSTEP_TRY(
        file_.read_exact(at_, {reinterpret_cast<std::uint8_t*>(piece.data()), piece.size()}),
        "file");
    at_ += piece.size();
    return piece;
  }

 private:
  File file_;
  std::uint64_t bytes_;
  std::uint64_t at_ = 0;
};

}  // namespace

class DiskFiles::Upload final : public UploadWriter {
 public:
  explicit Upload(std::shared_ptr<Pending> pending) : pending_(std::move(pending)) {}

  Status write(std::string_view bytes) override { return pending_->write(bytes); }

  void finish(FileRecord meta, std::function<void(Result<FileRecord>)> done) override {
    TaskThread& disk = *pending_->shared->parts.disk;
    meta.id = pending_->id;
    meta.tenant = pending_->tenant;
    meta.bytes = pending_->bytes;
    meta.created_ms = meta.id.unix_ms();
    if (meta.expires_ms == 0) {
      meta.expires_ms = meta.created_ms + pending_->shared->config.lifetime_ms;
    }
    disk.post([pending = std::move(pending_), meta = std::move(meta), done = std::move(done)] {
      const Status settled = pending->settle();
      if (!settled.ok()) return refuse(*pending, settled, done);
      insert(pending, meta, done);
    });
  }

 private:
  static void refuse(Pending& pending, const Status& why,
                     const std::function<void(Result<FileRecord>)>& done) {
    pending.end();
    done(why.error());
  }

  // The row, if the tenant still has room. Other uploads that have not ended count with what they
  // have.
  static void insert(const std::shared_ptr<Pending>& pending, const FileRecord& meta,
                     const std::function<void(Result<FileRecord>)>& done) {
    const Parts& parts = pending->shared->parts;
    parts.batches->sum_file_bytes(
        meta.tenant, [pending, meta, done](const Result<std::uint64_t>& sum) {
          if (!sum.ok()) return refuse(*pending, sum.error(), done);
          const Status fits = pending->shared->check_quota(sum.value() + pending->usage->uploading);
          if (!fits.ok()) return refuse(*pending, fits, done);
          pending->shared->parts.jobs->commit({InsertFile{meta}},
                                              [pending, meta, done](const Status& status) {
                                                pending->is_kept = status.ok();
                                                if (!status.ok()) {
                                                  return refuse(*pending, status, done);
                                                }
                                                pending->end();
                                                CRASH_POINT("file.inserted");
                                                done(meta);
                                              });
        });
  }

  std::shared_ptr<Pending> pending_;
};

DiskFiles::DiskFiles(const DiskFilesConfig& config, const Parts& parts)
    : shared_(std::make_shared<Shared>(config, parts)) {}

DiskFiles::~DiskFiles() = default;

Result<std::unique_ptr<UploadWriter>> DiskFiles::create(std::string tenant) {
  auto pending = std::make_shared<Pending>();
  pending->shared = shared_;
  pending->usage = shared_->usage_of(tenant);
  {
    const std::lock_guard lock(shared_->mutex);
    pending->id = shared_->ids.next(shared_->parts.clock->unix_ms());
  }
  pending->tenant = tenant;
  LOCKSTEP_TRY_ASSIGN(pending->file, File::open_write(shared_->partial_path_of(pending->id), 0600),
                      "upload");
  shared_->parts.batches->sum_file_bytes(
      std::move(tenant), [usage = pending->usage](const Result<std::uint64_t>& sum) {
        if (sum.ok()) usage->stored = sum.value();
      });
  return std::unique_ptr<UploadWriter>(new Upload(std::move(pending)));
}

void DiskFiles::find(std::string tenant, RequestId id,
                     std::function<void(Result<FileRecord>)> done) {
  shared_->parts.batches->load_file(std::move(tenant), id, std::move(done));
}

void DiskFiles::list(ListQuery query, std::function<void(Result<Listed<FileRecord>>)> done) {
  const std::size_t limit = query.limit;
  const ListPage page{query.after, static_cast<std::uint32_t>(limit + 1)};
  shared_->parts.batches->list_files(
      std::move(query.tenant), std::move(query.purpose), page,
      [limit, done = std::move(done)](Result<std::vector<FileRecord>> files) {
        if (!files.ok()) return done(std::move(files).error());
        done(listed_page(std::move(files).value(), limit));
      });
}

void DiskFiles::remove(std::string tenant, RequestId id, std::function<void(Status)> done) {
  shared_->parts.batches->load_file(
      std::move(tenant), id,
      [shared = shared_, id, done = std::move(done)](const Result<FileRecord>& file) {
        if (!file.ok()) return done(file.error());
        shared->parts.jobs->commit({RemoveFile{id}}, [shared, id, done](const Status& status) {
          if (!status.ok()) return done(status);
          shared->parts.disk->post([shared, id, done] {
            CRASH_POINT("file.removed");
            ::unlink(shared->path_of(id).c_str());
            done({});
          });
        });
      });
}

void DiskFiles::open(std::string tenant, RequestId id,
                     std::function<void(Result<std::unique_ptr<FileReader>>)> done) {
  shared_->parts.batches->load_file(
      std::move(tenant), id,
      [shared = shared_, done = std::move(done)](const Result<FileRecord>& record) {
        if (!record.ok()) return done(record.error());
        shared->parts.disk->post([shared, file = record.value(), done] {
          Result<File> opened = File::open_read(shared->path_of(file.id));
          if (!opened.ok()) return done(std::move(opened).error());
          done(std::unique_ptr<FileReader>(new Reader(std::move(opened).value(), file.bytes)));
        });
      });
}

}  // namespace lockstep
