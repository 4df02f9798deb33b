// simulation_tool FIRST LAST [--hashes] [--trace] [--drop N] [--bug NAME]: runs these seeds,
// without the N-th delivered message or with a planted bug if one is named. Prints what is wrong,
// on request each seed's hash or what happens in it; totals go to stderr. Ends with 1 when
// something is wrong.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "tests/simulation/planted_bugs.h"
#include "tests/simulation/world.h"

using lockstep::simulation::Report;

namespace {

bool choose_bug(std::string_view name) {
  const auto& names = lockstep::simulation::planted_bugs();
  const auto found = std::find(names.begin(), names.end(), name);
  lockstep::simulation::planted_bug = static_cast<int>(found - names.begin()) + 1;
  return found != names.end();
}

struct Options {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  bool hashes = false;
  lockstep::simulation::RunOptions run;
};

bool parse(int argc, char** argv, Options& options) {
  if (argc < 3) return false;
  options.first = std::strtoull(argv[1], nullptr, 10);
  options.last = std::strtoull(argv[2], nullptr, 10);
  for (int i = 3; i < argc; ++i) {
    const std::string_view option = argv[i];
    const bool has_value = i + 1 < argc;
    if (option == "--hashes") {
      options.hashes = true;
    } else if (option == "--trace") {
      options.run.print_to = stdout;
    } else if (option == "--drop" && has_value) {
      options.run.drop_delivery = std::strtoull(argv[++i], nullptr, 10);
    } else if (option != "--bug" || !has_value || !choose_bug(argv[++i])) {
      return false;
    }
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!parse(argc, argv, options)) {
    std::fprintf(
        stderr, "usage: simulation_tool FIRST LAST [--hashes] [--trace] [--drop N] [--bug NAME]\n");
    return 64;
  }
  Report sum;
  bool ok = true;
  for (std::uint64_t seed = options.first; seed <= options.last; ++seed) {
    const Report report = lockstep::simulation::run_world(seed, options.run);
    ok = ok && report.wrong.empty();
    std::fputs(report.text().c_str(), stdout);
    sum.add(report);
    if (!options.hashes) continue;
    std::printf("%llu %016llx\n", static_cast<unsigned long long>(seed),
                static_cast<unsigned long long>(report.trace_hash));
  }
  std::fprintf(stderr, "%s\n", sum.totals().c_str());
  return ok ? 0 : 1;
}
