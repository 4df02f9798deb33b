// Operands of the device's kernels, made from those of kernels/ops.h, and checks that compare a
// kernel with the reference. A check returns what is wrong, or nothing: the tests want nothing, the
// tests of planted bugs want something.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/cuda/launchers.h"
#include "tests/kernels/kernel_support.h"

namespace lockstep::cuda {

// How K is cut, with the tables that the kernels read.
class StoredSegments {
 public:
  // Runs of `segment_groups` groups.
  StoredSegments(int groups, int segment_groups);
  // Segments of so many groups each.
  explicit StoredSegments(const std::vector<int>& groups);
  StoredSegments(const StoredSegments&) = delete;
  StoredSegments& operator=(const StoredSegments&) = delete;

  Segments view() const;
  int groups() const { return first_group_.back(); }

 private:
  std::vector<std::int32_t> first_group_ = {0};
  std::vector<std::int32_t> first_quad_ = {0};
};

// Weights in the order of fragments.h, permuted by the device.
class DeviceWeights {
 public:
  // One p16 matrix per call of append, each with the next `num_segments` segments.
  DeviceWeights(WeightFormat format, int rows, const Segments& segments);
  std::string append(const kernels::MatrixView& matrix, int num_segments);
  const WeightTiles& view() const { return view_; }

 private:
  kernels::AlignedBytes bytes_;
  WeightTiles view_;
  int segments_done_ = 0;
};

// Memory for codes, filled with rubbish.
class DeviceActivations {
 public:
  DeviceActivations(int num_tokens, int bits, const Segments& segments);
  const ActivationTiles& view() const { return view_; }

 private:
  kernels::AlignedBytes codes_;
  std::vector<std::int32_t> sums_;
  std::vector<float> scales_;
  ActivationTiles view_;
};

// What a launch died of; empty when it went well.
std::string failure_of(Error error);

struct LinearShape {
  WeightFormat format;
  int bits;
  int rows;
  int k;
  int tokens;
  int segment_groups;

  std::string text() const;
};

using LinearFunction = Error (*)(const LinearArgs&, Stream);
std::string check_linear(LinearFunction function, const LinearShape& shape, LinearResult result,
                         std::uint64_t seed);
// A matrix whose K lies in several stored parts, each a segment of its own.
std::string check_ragged_linear(LinearFunction function, const LinearShape& shape,
                                std::uint64_t seed);
std::string check_quantize(int tokens, int k, int segment_groups, int bits, bool norm,
                           std::uint64_t seed);
std::string check_rms_norm(int tokens, int dim, std::uint64_t seed);
std::string check_embed(WeightFormat format, int rows, int k, std::uint64_t seed);
std::string check_swiglu(int tokens, int width, bool alternating, std::uint64_t seed);
std::string check_fold(int segments, int tokens, int dim, bool residual, std::uint64_t seed);
std::string check_argmax(int rows, int vocab_size, std::uint64_t seed);

struct AttentionCase {
  int kv_bits = 16;
  int head_size = 64;
  int num_heads = 3;
  int query_group = 3;
  int first_group_left = 3;
  bool split = false;
  // Of each sequence: tokens in the cache before the step, and in the step.
  std::vector<std::pair<int, int>> sequences;

  std::string text() const;
};
std::string check_attention(const AttentionCase& c, std::uint64_t seed);

}  // namespace lockstep::cuda
