#include "cli/bench/load.h"

#include <algorithm>
#include <atomic>
#include <cstdio>

#include "base/clock.h"
#include "base/file.h"
#include "base/thread_pool.h"
#include "cli/output.h"

namespace lockstep {
namespace {

struct LoadTimes {
  std::uint64_t bytes = 0;
  int threads = 1;
  std::vector<double> load_s;    // A whole replica: weights, caches, threads.
  std::vector<double> read_s;    // The same files, plainly, by all threads.
  std::vector<double> sha256_s;  // As many bytes in cached pieces of a leaf, by all threads.
};

double seconds_since(std::int64_t start_ns) {
  return static_cast<double>(std::max<std::int64_t>(system_clock().monotonic_ns() - start_ns, 1)) *
         1e-9;
}

struct Leaf {
  const File* file;
  std::uint64_t offset;
  std::size_t bytes;
};

std::vector<Leaf> leaves_of(const Manifest& manifest, const std::vector<File>& files) {
  std::vector<Leaf> leaves;
  for (std::size_t i = 0; i < files.size(); ++i) {
    const std::uint64_t size = manifest.files[i].bytes;
    for (std::uint64_t at = 0; at < size; at += kLeafBytes) {
      leaves.push_back({&files[i], at, static_cast<std::size_t>(std::min(kLeafBytes, size - at))});
    }
  }
  return leaves;
}

Result<std::vector<File>> open_files(const Store& store) {
  std::vector<File> files;
  for (const StoredFile& stored : store.manifest().files) {
    LOCKSTEP_TRY_ASSIGN(File file, File::open_read(store.directory() + "/" + stored.name), "store");
    files.push_back(std::move(file));
  }
  return files;
}

// Calls function(leaf, buffer) for every leaf, each thread with a buffer of its own.
template <typename Function>
double time_leaves(ThreadPool& pool, const std::vector<Leaf>& leaves, Function&& function) {
  std::vector<Bytes> buffers(static_cast<std::size_t>(pool.num_threads()),
                             Bytes(kLeafBytes, std::uint8_t{1}));
  std::atomic<std::size_t> next = 0;
  const std::int64_t start_ns = system_clock().monotonic_ns();
  pool.run([&](int member) {
    for (std::size_t i = next++; i < leaves.size(); i = next++) {
      function(leaves[i], std::span(buffers[static_cast<std::size_t>(member)]));
    }
  });
  return seconds_since(start_ns);
}

Status time_parts(const Store& store, LoadTimes& times) {
  LOCKSTEP_TRY_ASSIGN(const std::vector<File> files, open_files(store), "bench load");
  const std::vector<Leaf> leaves = leaves_of(store.manifest(), files);
  times.bytes = 0;
  for (const Leaf& leaf : leaves) times.bytes += leaf.bytes;
  ThreadPool pool(times.threads, /*pin=*/true);
  std::atomic<bool> failed = false;
  times.read_s.push_back(time_leaves(pool, leaves, [&](const Leaf& leaf, auto buffer) {
    if (!leaf.file->read_exact(leaf.offset, buffer.first(leaf.bytes)).ok()) failed = true;
  }));
  if (failed) return Error{ErrorCode::kIo, store.directory() + ": the files cannot be read"};
  std::atomic<std::uint8_t> digests = 0;
  times.sha256_s.push_back(time_leaves(pool, leaves, [&](const Leaf& leaf, auto buffer) {
    digests ^= sha256(ByteView(buffer.first(leaf.bytes))).bytes[0];
  }));
  return {};
}

Status print_times(const LoadTimes& times, const std::string& model, bool json) {
  if (json) {
    OrderedJson result;
    result["model_filename"] = model;
    result["bytes"] = times.bytes;
    result["n_threads"] = times.threads;
    result["load_s"] = times.load_s;
    result["read_s"] = times.read_s;
    result["sha256_s"] = times.sha256_s;
    return print_json(result);
  }
  std::vector<std::vector<std::string>> rows = {{"", "best", "speed"}};
  const auto add = [&](const char* name, const std::vector<double>& samples) {
    const double best = std::ranges::min(samples);
    char seconds[32];
    char speed[32];
    (void)std::snprintf(seconds, sizeof seconds, "%.4f s", best);
    (void)std::snprintf(speed, sizeof speed, "%.0f MB/s",
                        static_cast<double>(times.bytes) * 1e-6 / best);
    rows.push_back({name, seconds, speed});
  };
  add("load", times.load_s);
  add("read", times.read_s);
  add("sha256", times.sha256_s);
  return print_text(human_bytes(times.bytes) + ", " + std::to_string(times.threads) + " threads\n" +
                    format_table(rows, ""));
}

}  // namespace

Result<int> run_load(const LoadOptions& options, bool json) {
  ReplicaOptions replica = options.replica;
  // The cache of a long context would cost more than the weights of a small model.
  if (replica.context_tokens == 0) replica.context_tokens = 64;
  LOCKSTEP_TRY_ASSIGN(const auto session, ReplicaSession::open(replica), "bench load");
  LoadTimes times;
  times.threads =
      replica.threads.value_or(available_cores()) * (replica.threads ? session->world_size() : 1);
  for (int i = 0; i < options.repetitions; ++i) {
    if (session->leads()) LOCKSTEP_TRY(time_parts(session->store(), times), "bench load");
    const std::int64_t start_ns = system_clock().monotonic_ns();
    LOCKSTEP_TRY(session->load(Status()), "bench load");
    if (session->leads()) {
      times.load_s.push_back(seconds_since(start_ns));
      session->unload();
    } else {
      LOCKSTEP_TRY(session->follow(), "rank");
    }
  }
  if (session->leads()) LOCKSTEP_TRY(print_times(times, replica.model, json), "result");
  return 0;
}

}  // namespace lockstep
