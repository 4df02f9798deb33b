// Cosines and sines of RoPE by position. Numerics, "RoPE": the angle position * f_i stays binary64,
// cosine and sine are its correctly rounded binary32 values. Devices are given the table.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace lockstep {

class RopeTable {
 public:
  // `frequencies`: f_i, [rotary_dims / 2].
  explicit RopeTable(std::vector<double> frequencies);

  int half() const { return static_cast<int>(frequencies_.size()); }

  // Makes positions [0, count) available. Not thread-safe; pointers from before may move.
  void grow(std::uint32_t count);

  // [half()]. Requires: position < the count that grow() was given.
  const float* cosines(std::uint32_t position) const;
  const float* sines(std::uint32_t position) const;

 private:
  std::vector<double> frequencies_;
  std::vector<float> cosines_;  // [positions, half]
  std::vector<float> sines_;
};

}  // namespace lockstep
