// Seeded inputs for the operations and comparison of results bit by bit.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/backend.h"

namespace lockstep::kernels {

// The generator of every random input. make_goldens.py has the same.
class SplitMix {
 public:
  explicit SplitMix(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next();
  int below(int limit) { return static_cast<int>(next() % static_cast<std::uint64_t>(limit)); }
  int between(int low, int high) { return low + below(high - low + 1); }
  // In [-32, 32), of several magnitudes.
  float value();
  std::vector<float> values(std::size_t count);
  // A finite binary16: of either sign, sometimes subnormal.
  std::uint16_t half_bits();

 private:
  std::uint64_t state_;
};

// Uninitialized memory on a cache line, freed with its owner.
struct FreeDeleter {
  void operator()(void* memory) const { std::free(memory); }
};
using AlignedBytes = std::unique_ptr<std::uint8_t, FreeDeleter>;
AlignedBytes aligned_bytes(std::size_t count);

// A random matrix in layout p16.
class StoredMatrix {
 public:
  StoredMatrix(SplitMix& random, WeightFormat format, int rows, int k);
  const MatrixView& view() const { return view_; }

 private:
  void put_half(int row, int group, bool minimum, std::uint16_t bits);
  void put_code(int row, int k, std::uint8_t code);

  AlignedBytes bytes_;
  MatrixView view_;
};

// Memory for the codes of some tokens, filled with rubbish before it is used.
class StoredActivations {
 public:
  StoredActivations(int num_tokens, int k, int segment_groups, int bits);
  StoredActivations(const StoredActivations&) = delete;
  StoredActivations& operator=(const StoredActivations&) = delete;
  const Activations& view() const { return view_; }
  // Every code, scale and sum.
  std::vector<std::uint8_t> bytes() const;

 private:
  std::vector<std::int8_t> hi_, lo_;
  std::vector<float> scales_;
  std::vector<std::int32_t> sums_;
  Activations view_;
};

// Keys and values of one layer, for at least `num_tokens` tokens in blocks that lie in no order.
class StoredCache {
 public:
  StoredCache(SplitMix& random, int num_tokens, int num_kv_heads, int head_size, int kv_bits);
  const KvCacheView& view() const { return view_; }
  const std::vector<std::int32_t>& block_table() const { return block_table_; }
  // Appends the keys and values of tokens 0, 1, ... of [num_tokens, num_kv_heads, head_size] with
  // `backend`.
  bool append(const Backend& backend, std::span<const float> keys, std::span<const float> values);
  // Codes (as int16 or int8, by channel) and scales of the first `num_tokens` tokens: keys, values,
  // key scales, value scales.
  std::vector<std::uint8_t> bytes(int num_tokens) const;

 private:
  std::size_t row(int token, int head) const;
  void append_codes(bool keys, int token, int head, std::vector<std::uint8_t>* bytes) const;

  std::vector<std::uint8_t> keys_, values_;
  std::vector<float> key_scales_, value_scales_;
  std::vector<std::int32_t> block_table_;
  KvCacheView view_;
};

// The bytes of some numbers, for comparison: -0 differs from 0, and a NaN equals itself.
std::vector<std::uint8_t> bytes_of(std::span<const float> values);
std::uint64_t fnv1a(std::span<const std::uint8_t> bytes);

// Where two results first differ, in words; empty when they do not.
std::string first_difference(std::span<const float> expected, std::span<const float> actual);

// How many random cases a test tries: `unit`, times the environment's LOCKSTEP_TEST_SCALE in a long
// run.
int num_cases(int unit);

// All devices but the reference.
std::vector<const Backend*> fast_backends();
const Backend& reference_backend();

}  // namespace lockstep::kernels
