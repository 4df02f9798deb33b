#include "cli/bench/serve/arrival.h"

#include <cmath>
#include <numbers>

#include "base/check.h"

namespace lockstep {
namespace {

// Box and Muller 1958.
double normal_draw(std::mt19937_64& random) {
  const double radius = std::sqrt(-2 * std::log(uniform_draw(random)));
  return radius * std::cos(2 * std::numbers::pi * uniform_draw(random));
}

}  // namespace

double uniform_draw(std::mt19937_64& random) {
  return (static_cast<double>(random() >> 11) + 0.5) * 0x1p-53;
}

std::uint64_t integer_draw(std::mt19937_64& random, std::uint64_t bound) {
  CHECK(bound > 0, "a draw from nothing");
  return random() % bound;  // Bounds are far below 2^64: the bias is nobody's concern here.
}

double gamma_draw(std::mt19937_64& random, double shape) {
  CHECK(shape > 0, "a gamma distribution needs a positive shape");
  if (shape < 1) {
    return gamma_draw(random, shape + 1) * std::pow(uniform_draw(random), 1 / shape);
  }
  const double d = shape - 1.0 / 3.0;
  const double c = 1 / std::sqrt(9 * d);
  for (;;) {  // Accepts 95 % of the draws and more.
    const double x = normal_draw(random);
    const double v = std::pow(1 + c * x, 3);
    if (v <= 0) continue;
    if (std::log(uniform_draw(random)) < 0.5 * x * x + d - d * v + d * std::log(v)) return d * v;
  }
}

std::vector<double> arrival_times(std::size_t count, const ArrivalOptions& options,
                                  std::mt19937_64& random) {
  CHECK(options.request_rate > 0 && options.burstiness > 0, "a rate and a burstiness above 0");
  std::vector<double> times(count, 0.0);
  if (std::isinf(options.request_rate)) return times;
  double now = 0;
  for (double& time : times) {
    now += std::isinf(options.burstiness) ? 1 : gamma_draw(random, options.burstiness);
    time = now;
  }
  const double scale = now > 0 ? static_cast<double>(count) / options.request_rate / now : 0;
  for (double& time : times) time *= scale;
  return times;
}

}  // namespace lockstep
