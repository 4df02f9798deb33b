// When the requests of a load come: all at once, or a Poisson or gamma process of a given rate.
#pragma once

#include <cstddef>
#include <limits>
#include <random>
#include <vector>

namespace lockstep {

struct ArrivalOptions {
  double request_rate = std::numeric_limits<double>::infinity();  // Requests/s; infinite: at once.
  // Shape of the gamma distribution of the gaps: 1 is a Poisson process, below it comes in bursts,
  // above it is more even, infinite is a clock.
  double burstiness = 1;
};

// The seconds from the start until each request, rising. As in vLLM the last one comes at
// count / request_rate exactly, so that seeds do not differ in load.
// Requires: request_rate and burstiness > 0.
std::vector<double> arrival_times(std::size_t count, const ArrivalOptions& options,
                                  std::mt19937_64& random);

// A number in (0, 1), the same on every platform.
double uniform_draw(std::mt19937_64& random);

// An integer in [0, bound). Requires: bound > 0.
std::uint64_t integer_draw(std::mt19937_64& random, std::uint64_t bound);

// Gamma distributed with mean `shape`. Source: Marsaglia and Tsang 2000, "A Simple Method for
// Generating Gamma Variables", ACM TOMS 26(3). Requires: shape > 0.
double gamma_draw(std::mt19937_64& random, double shape);

}  // namespace lockstep
