#include "cli/bench/machine_look.h"

#include <algorithm>
#include <cstdio>
#include <vector>

#include "base/clock.h"
#include "base/thread_pool.h"
#include "cli/doctor/check.h"
#include "cli/output.h"
#include "cli/replica_session.h"

namespace lockstep {
namespace {

// 15 to 20 ms each at 3 GHz.
constexpr std::int64_t kAdditionRounds = 12'000'000;
constexpr std::int64_t kDotRounds = 1'500'000;

// On a cache line of its own.
struct alignas(64) Speeds {
  double additions_per_s = 0;
  double multiply_adds_per_s = 0;
  std::uint64_t sink = 0;
};

template <typename Function>
double rate_of(double count, Function&& function) {
  const std::int64_t start_ns = system_clock().monotonic_ns();
  function();
  const std::int64_t ns = system_clock().monotonic_ns() - start_ns;
  return count * 1e9 / static_cast<double>(std::max<std::int64_t>(ns, 1));
}

std::vector<Speeds> look(const kernels::MachinePeak& peak) {
  const int processors = available_cores();
  std::vector<Speeds> all(static_cast<std::size_t>(processors));
  ThreadPool pool(processors, /*pin=*/true);
  pool.run([&](int member) {
    Speeds& mine = all[static_cast<std::size_t>(member)];
    const double additions = static_cast<double>(kAdditionRounds) * kernels::kAdditions;
    mine.additions_per_s =
        rate_of(additions, [&] { mine.sink += kernels::add_integers(kAdditionRounds); });
    pool.barrier();
    const double products = static_cast<double>(kDotRounds) * peak.multiply_adds;
    mine.multiply_adds_per_s = rate_of(products, [&] { mine.sink += peak.dot(kDotRounds); });
  });
  return all;
}

OrderedJson report_json(const std::vector<Speeds>& all) {
  OrderedJson json;
  json["processors"] = OrderedJson::array();
  for (const Speeds& speeds : all) {
    OrderedJson row;
    row["additions_per_s"] = speeds.additions_per_s;
    row["multiply_adds_per_s"] = speeds.multiply_adds_per_s;
    json["processors"].push_back(std::move(row));
  }
  return json;
}

std::string report_text(const std::vector<Speeds>& all) {
  std::vector<std::vector<std::string>> rows = {{"processor", "additions", "integer dot product"}};
  for (const Speeds& speeds : all) {
    char additions[64];
    char products[64];
    (void)std::snprintf(additions, sizeof additions, "%.1f G/s", speeds.additions_per_s * 1e-9);
    (void)std::snprintf(products, sizeof products, "%.1f GMAC/s",
                        speeds.multiply_adds_per_s * 1e-9);
    rows.push_back({std::to_string(rows.size() - 1), additions, products});
  }
  return format_table(rows, "");
}

}  // namespace

Result<int> run_look(const kernels::MachinePeak& peak, bool json) {
  const std::vector<Speeds> all = look(peak);
  if (json) {
    LOCKSTEP_TRY(print_json(report_json(all)), "result");
  } else {
    LOCKSTEP_TRY(print_text(report_text(all)), "result");
  }
  return 0;
}

}  // namespace lockstep
