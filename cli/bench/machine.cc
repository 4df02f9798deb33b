#include "cli/bench/machine.h"

#include "cli/bench/machine_look.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <set>

#include "base/clock.h"
#include "base/thread_pool.h"
#include "cli/bench/model_figures.h"
#include "cli/doctor/check.h"
#include "cli/output.h"
#include "cli/replica_session.h"
#include "kernels/machine_peak.h"

namespace lockstep {
namespace {

constexpr std::uint64_t kHugePage = std::uint64_t{2} << 20;

// Anonymous memory in huge pages where the system gives them, as the weights lie.
class Buffer {
 public:
  explicit Buffer(std::uint64_t bytes) : bytes_((bytes + kHugePage - 1) / kHugePage * kHugePage) {
    const std::uint64_t mapped = bytes_ + kHugePage;
    void* const base =
        ::mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) return;
    base_ = base;
    void* aligned = base;
    std::size_t space = mapped;
    data_ = static_cast<std::uint8_t*>(std::align(kHugePage, bytes_, aligned, space));
    (void)::madvise(data_, bytes_, MADV_HUGEPAGE);
  }
  ~Buffer() {
    if (base_ != nullptr) (void)::munmap(base_, bytes_ + kHugePage);
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  std::uint8_t* data() const { return data_; }
  std::uint64_t size() const { return bytes_; }

 private:
  void* base_ = nullptr;
  std::uint8_t* data_ = nullptr;
  std::uint64_t bytes_;
};

struct Peaks {
  int threads = 1;
  std::vector<double> read_bytes_per_s;
  std::vector<double> multiply_adds_per_s;
};

// One sum a member, on cache lines of their own.
struct alignas(64) Sink {
  std::uint64_t value = 0;
};

template <typename Function>
double seconds_of(Function&& function) {
  const std::int64_t start_ns = system_clock().monotonic_ns();
  function();
  return static_cast<double>(std::max<std::int64_t>(system_clock().monotonic_ns() - start_ns, 1)) *
         1e-9;
}

Peaks measure(const kernels::MachinePeak& peak, const Buffer& buffer, int threads, int passes) {
  constexpr std::int64_t kRounds = 200'000;
  ThreadPool pool(threads, /*pin=*/true);
  std::vector<Sink> sinks(static_cast<std::size_t>(threads));
  const auto blocks = static_cast<std::int64_t>(buffer.size() / kernels::kReadBlockBytes);
  const auto read_share = [&](int member) {
    const auto begin = static_cast<std::uint64_t>(blocks * member / threads);
    const auto end = static_cast<std::uint64_t>(blocks * (member + 1) / threads);
    sinks[static_cast<std::size_t>(member)].value ^= peak.read(
        buffer.data() + begin * kernels::kReadBlockBytes, (end - begin) * kernels::kReadBlockBytes);
  };
  const auto multiply = [&](int member) {
    sinks[static_cast<std::size_t>(member)].value ^= peak.dot(kRounds);
  };
  Peaks peaks;
  peaks.threads = threads;
  const double products = static_cast<double>(kRounds) * peak.multiply_adds * threads;
  for (int pass = 0; pass < passes; ++pass) {
    const double read_s = seconds_of([&] { pool.run(read_share); });
    const double dot_s = seconds_of([&] { pool.run(multiply); });
    peaks.read_bytes_per_s.push_back(static_cast<double>(buffer.size()) / read_s);
    peaks.multiply_adds_per_s.push_back(products / dot_s);
  }
  return peaks;
}

OrderedJson report_json(const kernels::MachinePeak& peak, const Buffer& buffer,
                        const std::vector<Peaks>& all) {
  OrderedJson json;
  json["cpu_info"] = cpu_name();
  json["instruction_sets"] = OrderedJson::array();
  for (const CpuFeature& feature : cpu_features()) {
    if (feature.present) json["instruction_sets"].push_back(feature.name);
  }
  json["vectors"] = peak.name;
  json["dot_product"] = peak.instructions;
  json["bytes"] = buffer.size();
  json["results"] = OrderedJson::array();
  for (const Peaks& peaks : all) {
    OrderedJson row;
    row["threads"] = peaks.threads;
    row["read_bytes_per_s"] = std::ranges::max(peaks.read_bytes_per_s);
    row["multiply_adds_per_s"] = std::ranges::max(peaks.multiply_adds_per_s);
    row["samples_read"] = peaks.read_bytes_per_s;
    row["samples_dot"] = peaks.multiply_adds_per_s;
    json["results"].push_back(std::move(row));
  }
  return json;
}

std::string giga(double value, const char* unit) {
  char text[64];
  (void)std::snprintf(text, sizeof text, "%.1f %s", value * 1e-9, unit);
  return text;
}

std::string report_text(const kernels::MachinePeak& peak, const Buffer& buffer,
                        const std::vector<Peaks>& all) {
  std::vector<std::vector<std::string>> rows = {{"threads", "read", "integer dot product"}};
  for (const Peaks& peaks : all) {
    rows.push_back({std::to_string(peaks.threads),
                    giga(std::ranges::max(peaks.read_bytes_per_s), "GB/s"),
                    giga(std::ranges::max(peaks.multiply_adds_per_s), "GMAC/s")});
  }
  return cpu_name() + "\n" + std::string(peak.name) + ", " + std::string(peak.instructions) +
         "; best of " + std::to_string(all.front().read_bytes_per_s.size()) + " over " +
         human_bytes(buffer.size()) + "\n" + format_table(rows, "");
}

Result<std::uint64_t> buffer_bytes(const MachineOptions& options) {
  if (options.bytes != 0) return options.bytes;
  if (options.model.empty()) return std::uint64_t{256} << 20;
  LOCKSTEP_TRY_ASSIGN(const Store store, Store::open(options.model), "--model");
  return figures_of(store.manifest()).step_bytes;
}

}  // namespace

Result<int> run_machine(const MachineOptions& options, bool json) {
  const kernels::MachinePeak* peak = kernels::machine_peak();
  if (peak == nullptr) {
    return Error{ErrorCode::kUnavailable, "bench machine: this processor lacks AVX2"};
  }
  if (options.look) return run_look(*peak, json);
  LOCKSTEP_TRY_ASSIGN(const std::uint64_t bytes, buffer_bytes(options), "bench machine");
  const Buffer buffer(bytes);
  if (buffer.data() == nullptr) {
    return Error{ErrorCode::kExhausted, "--bytes: there is no memory for " + human_bytes(bytes)};
  }
  const std::set<int> defaults = {1, available_cores()};
  std::vector<int> threads = options.threads;
  if (threads.empty()) threads.assign(defaults.begin(), defaults.end());
  // First touched by as many threads as will read it.
  ThreadPool(std::ranges::max(threads), /*pin=*/true)
      .split(static_cast<std::int64_t>(buffer.size()), [&](std::int64_t begin, std::int64_t end) {
        std::fill(buffer.data() + begin, buffer.data() + end, std::uint8_t{1});
      });
  std::vector<Peaks> all;
  for (const int count : threads) all.push_back(measure(*peak, buffer, count, options.passes));
  if (json) {
    LOCKSTEP_TRY(print_json(report_json(*peak, buffer, all)), "result");
  } else {
    LOCKSTEP_TRY(print_text(report_text(*peak, buffer, all)), "result");
  }
  return 0;
}

}  // namespace lockstep
