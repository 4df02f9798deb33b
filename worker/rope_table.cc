#include "worker/rope_table.h"

#include <cmath>

namespace lockstep {

RopeTable::RopeTable(std::vector<double> frequencies) : frequencies_(std::move(frequencies)) {}

void RopeTable::grow(std::uint32_t count) {
  const std::size_t half = frequencies_.size();
  if (half == 0) return;
  const std::size_t have = cosines_.size() / half;
  if (count <= have) return;
  cosines_.reserve(count * half);
  sines_.reserve(count * half);
  for (std::size_t position = have; position < count; ++position) {
    for (const double frequency : frequencies_) {
      const double angle = static_cast<double>(position) * frequency;
      // 64 bits of significand leave no doubt about the rounding to 24.
      cosines_.push_back(static_cast<float>(std::cos(static_cast<long double>(angle))));
      sines_.push_back(static_cast<float>(std::sin(static_cast<long double>(angle))));
    }
  }
}

const float* RopeTable::cosines(std::uint32_t position) const {
  return cosines_.data() + static_cast<std::size_t>(position) * frequencies_.size();
}

const float* RopeTable::sines(std::uint32_t position) const {
  return sines_.data() + static_cast<std::size_t>(position) * frequencies_.size();
}

}  // namespace lockstep
