#include "scheduler/gateway/api/latency_histogram.h"

#include <cstdio>

namespace lockstep {
namespace {

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.9g", value);
  return text;
}

}  // namespace

void LatencyHistogram::add(std::int64_t duration_ns) {
  const double seconds = static_cast<double>(duration_ns) * 1e-9;
  std::size_t bucket = 0;
  while (bucket < kBounds.size() && seconds > kBounds[bucket]) ++bucket;
  counts_[bucket].fetch_add(1, std::memory_order_relaxed);
  sum_ns_.fetch_add(duration_ns, std::memory_order_relaxed);
}

std::uint64_t LatencyHistogram::count() const {
  std::uint64_t sum = 0;
  for (const auto& count : counts_) sum += count.load(std::memory_order_relaxed);
  return sum;
}

double LatencyHistogram::quantile(double q) const {
  const std::uint64_t all = count();
  if (all == 0) return 0;
  std::uint64_t below = 0;
  for (std::size_t i = 0; i < kBounds.size(); ++i) {
    below += counts_[i].load(std::memory_order_relaxed);
    if (static_cast<double>(below) >= q * static_cast<double>(all)) return kBounds[i];
  }
  return kBounds.back();
}

void LatencyHistogram::append_samples(std::string_view name, std::string_view labels,
                                      std::string& out) const {
  const std::string head(name);
  const std::string inside(labels);
  std::uint64_t below = 0;
  for (std::size_t i = 0; i <= kBounds.size(); ++i) {
    below += counts_[i].load(std::memory_order_relaxed);
    const std::string bound = i < kBounds.size() ? number(kBounds[i]) : "+Inf";
    out.append(head).append("_bucket{").append(labels).append(",le=\"").append(bound);
    out.append("\"} ").append(std::to_string(below)).append("\n");
  }
  out += head + "_count{" + inside + "} " + std::to_string(below) + "\n";
  const auto sum = static_cast<double>(sum_ns_.load(std::memory_order_relaxed)) * 1e-9;
  out += head + "_sum{" + inside + "} " + number(sum) + "\n";
}

}  // namespace lockstep
