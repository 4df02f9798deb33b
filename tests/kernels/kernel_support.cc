#include "tests/kernels/kernel_support.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <iomanip>
#include <limits>
#include <numeric>
#include <sstream>

#include "base/check.h"
#include "kernels/kv_layout.h"
#include "kernels/reference/primitives.h"

namespace lockstep::kernels {
namespace {

constexpr float kRubbish = -1.5e30f;

template <typename T>
void append_bytes(const T* values, std::size_t count, std::vector<std::uint8_t>* bytes) {
  if (count == 0) return;
  const std::size_t before = bytes->size();
  bytes->resize(before + count * sizeof(T));
  std::memcpy(bytes->data() + before, values, count * sizeof(T));
}

}  // namespace

std::uint64_t SplitMix::next() {
  state_ += 0x9E3779B97F4A7C15u;
  std::uint64_t z = state_;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

float SplitMix::value() {
  const std::uint64_t u = next();
  const float fraction = static_cast<float>(static_cast<std::int32_t>(u >> 40) - (1 << 23));
  return std::ldexp(fraction, static_cast<int>(u & 7) - 25);
}

std::vector<float> SplitMix::values(std::size_t count) {
  std::vector<float> values(count);
  for (float& v : values) v = value();
  return values;
}

std::uint16_t SplitMix::half_bits() {
  const std::uint64_t u = next();
  const std::uint64_t magnitude = u % 16 == 0 ? u & 0x3FF : 0x0800 + (u >> 8) % 0x1800;
  return static_cast<std::uint16_t>(((u >> 63) << 15) | magnitude);
}

AlignedBytes aligned_bytes(std::size_t count) {
  return AlignedBytes(static_cast<std::uint8_t*>(std::aligned_alloc(64, (count + 63) / 64 * 64)));
}

StoredMatrix::StoredMatrix(SplitMix& random, WeightFormat format, int rows, int k) {
  const std::size_t size = p16_bytes(format, rows, k);
  bytes_ = aligned_bytes(size);
  view_ = {bytes_.get(), format, rows, k};
  std::memset(bytes_.get(), 0, size);
  const std::uint8_t zero = format == WeightFormat::kQ4_0 ? 8 : 0;
  for (int row = 0; row < view_.panels() * kPanelRows; ++row) {
    for (int i = 0; i < view_.groups() * kGroupSize; ++i) put_code(row, i, zero);
  }
  for (int row = 0; row < rows; ++row) {
    for (int group = 0; group < view_.groups(); ++group) {
      put_half(row, group, false, random.half_bits());
      if (format == WeightFormat::kQ4_1) put_half(row, group, true, random.half_bits());
      for (int i = group * kGroupSize; i < (group + 1) * kGroupSize; ++i) {
        const auto code = static_cast<std::uint8_t>(random.next() >> 56);
        put_code(row, i, i < k ? code : zero);
      }
    }
  }
}

void StoredMatrix::put_half(int row, int group, bool minimum, std::uint16_t bits) {
  const std::size_t offset =
      static_cast<std::size_t>(view_.panel(row / kPanelRows) - view_.data) +
      static_cast<std::size_t>(group) * p16_group_bytes(view_.format) +
      static_cast<std::size_t>((minimum ? 2 * kPanelRows : 0) + 2 * (row % kPanelRows));
  std::memcpy(bytes_.get() + offset, &bits, sizeof bits);
}

// `code`: the low four bits as they are stored, or an int8.
void StoredMatrix::put_code(int row, int k, std::uint8_t code) {
  std::uint8_t* group = bytes_.get() + (view_.panel(row / kPanelRows) - view_.data) +
                        static_cast<std::size_t>(k / kGroupSize) * p16_group_bytes(view_.format) +
                        p16_codes_offset(view_.format);
  const int i = k % kGroupSize;
  const int place = 4 * (row % kPanelRows) + i % 4;
  if (view_.format == WeightFormat::kQ8_0) {
    group[64 * (i / 4) + place] = static_cast<std::uint8_t>(code ^ 0x80);
    return;
  }
  std::uint8_t& byte = group[64 * (i % 16 / 4) + place];
  const int low = i < 16 ? code & 15 : byte & 15;
  const int high = i < 16 ? byte >> 4 : code & 15;
  byte = static_cast<std::uint8_t>(low | (high << 4));
}

StoredActivations::StoredActivations(int num_tokens, int k, int segment_groups, int bits) {
  view_.num_tokens = num_tokens;
  view_.k_padded = (k + kGroupSize - 1) / kGroupSize * kGroupSize;
  view_.segment_groups = segment_groups;
  view_.bits = bits;
  const auto tokens = static_cast<std::size_t>(num_tokens);
  const std::size_t codes = tokens * static_cast<std::size_t>(view_.k_padded);
  const int runs = bits == 16 ? view_.num_segments() : view_.groups();
  lo_.assign(codes, 77);
  if (bits == 16) hi_.assign(codes, 77);
  scales_.assign(tokens * static_cast<std::size_t>(runs), kRubbish);
  sums_.assign(tokens * static_cast<std::size_t>(view_.groups()), 12345);
  view_.hi = bits == 16 ? hi_.data() : nullptr;
  view_.lo = lo_.data();
  view_.scales = scales_.data();
  view_.sums = sums_.data();
}

std::vector<std::uint8_t> StoredActivations::bytes() const {
  std::vector<std::uint8_t> bytes;
  append_bytes(hi_.data(), hi_.size(), &bytes);
  append_bytes(lo_.data(), lo_.size(), &bytes);
  append_bytes(scales_.data(), scales_.size(), &bytes);
  append_bytes(sums_.data(), sums_.size(), &bytes);
  return bytes;
}

StoredCache::StoredCache(SplitMix& random, int num_tokens, int num_kv_heads, int head_size,
                         int kv_bits) {
  const int used = (num_tokens + kKvBlockTokens - 1) / kKvBlockTokens;
  const int blocks = used + 3;  // Some belong to no one.
  block_table_.resize(static_cast<std::size_t>(blocks));
  std::iota(block_table_.begin(), block_table_.end(), 0);
  for (int i = blocks - 1; i > 0; --i) {
    std::swap(block_table_[static_cast<std::size_t>(i)],
              block_table_[static_cast<std::size_t>(random.below(i + 1))]);
  }
  block_table_.resize(static_cast<std::size_t>(used));
  const auto rows = static_cast<std::size_t>(blocks) * static_cast<std::size_t>(num_kv_heads) *
                    static_cast<std::size_t>(kKvBlockTokens);
  const std::size_t code_bytes = rows / kKvBlockTokens * kv_block_bytes(head_size, kv_bits);
  keys_.assign(code_bytes, 0x7f);
  values_.assign(code_bytes, 0x7f);
  key_scales_.assign(rows, std::numeric_limits<float>::quiet_NaN());
  value_scales_.assign(rows, std::numeric_limits<float>::quiet_NaN());
  view_ = {keys_.data(), values_.data(), key_scales_.data(), value_scales_.data(), num_kv_heads,
           head_size,    kv_bits};
}

bool StoredCache::append(const Backend& backend, std::span<const float> keys,
                         std::span<const float> values) {
  const auto width = static_cast<std::size_t>(view_.num_kv_heads * view_.head_size);
  for (std::size_t t = 0; t < keys.size() / width; ++t) {
    const AppendKvArgs args{keys.data() + t * width, values.data() + t * width, view_,
                            block_table_[t / kKvBlockTokens], static_cast<int>(t % kKvBlockTokens)};
    if (!backend.append_kv(args)) return false;
  }
  return true;
}

std::size_t StoredCache::row(int token, int head) const {
  const int block = block_table_[static_cast<std::size_t>(token / kKvBlockTokens)];
  return static_cast<std::size_t>((block * view_.num_kv_heads + head) * kKvBlockTokens +
                                  token % kKvBlockTokens);
}

void StoredCache::append_codes(bool keys, int token, int head,
                               std::vector<std::uint8_t>* bytes) const {
  const std::size_t block = row(token, head) / kKvBlockTokens;
  const std::uint8_t* codes =
      (keys ? keys_ : values_).data() + block * kv_block_bytes(view_.head_size, view_.kv_bits);
  const int slot = token % kKvBlockTokens;
  for (int d = 0; d < view_.head_size; ++d) {
    const int index = keys ? key_code_index(slot, d) : value_code_index(slot, d, view_.head_size);
    const auto code =
        static_cast<std::int16_t>(reference::load_kv_code(codes, view_.kv_bits, index));
    append_bytes(&code, 1, bytes);
    if (view_.kv_bits == 8) bytes->pop_back();
  }
}

std::vector<std::uint8_t> StoredCache::bytes(int num_tokens) const {
  std::vector<std::uint8_t> bytes;
  for (const bool keys : {true, false}) {
    for (int t = 0; t < num_tokens; ++t) {
      for (int h = 0; h < view_.num_kv_heads; ++h) append_codes(keys, t, h, &bytes);
    }
  }
  for (const std::vector<float>* scales : {&key_scales_, &value_scales_}) {
    for (int t = 0; t < num_tokens; ++t) {
      for (int h = 0; h < view_.num_kv_heads; ++h) {
        append_bytes(scales->data() + row(t, h), 1, &bytes);
      }
    }
  }
  return bytes;
}

std::vector<std::uint8_t> bytes_of(std::span<const float> values) {
  std::vector<std::uint8_t> bytes;
  append_bytes(values.data(), values.size(), &bytes);
  return bytes;
}

std::uint64_t fnv1a(std::span<const std::uint8_t> bytes) {
  std::uint64_t digest = 0xCBF29CE484222325u;
  for (const std::uint8_t byte : bytes) digest = (digest ^ byte) * 0x100000001B3u;
  return digest;
}

std::string first_difference(std::span<const float> expected, std::span<const float> actual) {
  CHECK(expected.size() == actual.size(), "results of different sizes");
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (std::bit_cast<std::uint32_t>(expected[i]) == std::bit_cast<std::uint32_t>(actual[i])) {
      continue;
    }
    std::ostringstream text;
    text << "element " << i << ": expected " << std::hexfloat << expected[i] << ", got "
         << actual[i];
    return text.str();
  }
  return {};
}

int num_cases(int unit) {
  const char* scale = std::getenv("LOCKSTEP_TEST_SCALE");
  return unit * (scale == nullptr ? 1 : std::max(1, std::atoi(scale)));
}

std::vector<const Backend*> fast_backends() {
  std::vector<const Backend*> backends;
  for (const Backend* backend : all_backends()) {
    if (backend != &reference_backend()) backends.push_back(backend);
  }
  return backends;
}

const Backend& reference_backend() {
  const auto found = find_backend("cpu:reference");
  CHECK(found.ok(), "this processor lacks what the reference needs");
  return *found.value();
}

}  // namespace lockstep::kernels
