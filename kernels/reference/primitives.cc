#include "kernels/reference/primitives.h"

#include <bit>
#include <cstddef>

#include "kernels/kv_layout.h"

namespace lockstep::kernels::reference {
namespace {

constexpr int kLanes = 64;

float tree_sum(float* lanes) {
  for (int stride = kLanes / 2; stride > 0; stride /= 2) {
    for (int j = 0; j < stride; ++j) lanes[j] = lanes[j] + lanes[j + stride];
  }
  return lanes[0];
}

std::uint16_t read_half(const std::uint8_t* bytes) {
  return static_cast<std::uint16_t>(bytes[0] | (bytes[1] << 8));
}

}  // namespace

float half_value(std::uint16_t bits) {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000) << 16;
  const std::uint32_t exponent = (bits >> 10) & 31;
  const std::uint32_t fraction = bits & 1023;
  if (exponent == 0) {
    const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(magnitude) | sign);
  }
  const std::uint32_t wide_exponent = exponent == 31 ? 255 : exponent + (127 - 15);
  return std::bit_cast<float>(sign | (wide_exponent << 23) | (fraction << 13));
}

float lane_sum(const float* v, int n) {
  float lanes[kLanes] = {};
  for (int i = 0; i < n; ++i) lanes[i % kLanes] = lanes[i % kLanes] + v[i];
  return tree_sum(lanes);
}

float lane_sum_of_squares(const float* v, int n) {
  float lanes[kLanes] = {};
  for (int i = 0; i < n; ++i) lanes[i % kLanes] = __builtin_fmaf(v[i], v[i], lanes[i % kLanes]);
  return tree_sum(lanes);
}

Scaling scaling_of(const float* v, int n, int limit) {
  // Magnitudes order like their bits, and the bits of infinity and NaN are the largest.
  std::uint32_t largest = 0;
  for (int i = 0; i < n; ++i) {
    const std::uint32_t magnitude = std::bit_cast<std::uint32_t>(v[i]) & 0x7fffffffu;
    largest = magnitude > largest ? magnitude : largest;
  }
  if (largest >= 0x7f800000u) return {0, 0, limit, false};
  const float a = std::bit_cast<float>(largest);
  if (a < 0x1p-100f) return {0, 0, limit, true};
  return {a / static_cast<float>(limit), static_cast<float>(limit) / a, limit, true};
}

std::int32_t code_of(float value, const Scaling& scaling) {
  const float limit = static_cast<float>(scaling.limit);
  float code = __builtin_rintf(value * scaling.inverse);
  code = code > limit ? limit : code;
  code = code < -limit ? -limit : code;
  return static_cast<std::int32_t>(code);
}

int rotation_block(int n) { return n & -n; }

void rotate(float* v, int n) {
  const int block = rotation_block(n);
  for (int stride = 1; stride < block; stride *= 2) {
    for (int start = 0; start < n; start += 2 * stride) {
      for (int i = start; i < start + stride; ++i) {
        const float a = v[i];
        const float b = v[i + stride];
        v[i] = a + b;
        v[i + stride] = a - b;
      }
    }
  }
}

std::int32_t load_kv_code(const void* codes, int kv_bits, int index) {
  if (kv_bits == 8) return static_cast<const std::int8_t*>(codes)[index];
  const auto* words =
      static_cast<const std::int16_t*>(codes) + index / kPackedCodes * kPackedWords + index % 16;
  const int vector = index % kPackedCodes / 16;
  if (vector < 3) return words[16 * vector] >> 4;
  const int upper = words[32] & 15;
  return (words[0] & 15) | (words[16] & 15) << 4 | (upper < 8 ? upper : upper - 16) * 256;
}

void store_kv_code(void* codes, int kv_bits, int index, std::int32_t code) {
  if (kv_bits == 8) {
    static_cast<std::int8_t*>(codes)[index] = static_cast<std::int8_t>(code);
    return;
  }
  auto* words =
      static_cast<std::int16_t*>(codes) + index / kPackedCodes * kPackedWords + index % 16;
  const int vector = index % kPackedCodes / 16;
  if (vector < 3) {
    words[16 * vector] = static_cast<std::int16_t>(code * 16 | (words[16 * vector] & 15));
    return;
  }
  for (int j = 0; j < 3; ++j) {
    words[16 * j] = static_cast<std::int16_t>((words[16 * j] & ~15) | (code >> 4 * j & 15));
  }
}

void decode_group(WeightFormat format, const std::uint8_t* bytes, PanelGroup* group) {
  for (int row = 0; row < kPanelRows; ++row) {
    group->d[row] = half_value(read_half(bytes + 2 * row));
    group->m[row] = format == WeightFormat::kQ4_1
                        ? half_value(read_half(bytes + 2 * kPanelRows + 2 * row))
                        : 0.0f;
  }
  const std::uint8_t* codes = bytes + p16_codes_offset(format);
  if (format == WeightFormat::kQ8_0) {  // The sign bit is flipped: 0x80 is zero.
    for (int j = 0; j < 8; ++j) {
      for (int i = 0; i < kCodeBlockBytes; ++i) {
        group->codes[j][i] = static_cast<std::int16_t>(codes[kCodeBlockBytes * j + i] - 128);
      }
    }
    return;
  }
  const int offset = format == WeightFormat::kQ4_0 ? 8 : 0;
  for (int j = 0; j < 4; ++j) {
    for (int i = 0; i < kCodeBlockBytes; ++i) {
      const int byte = codes[kCodeBlockBytes * j + i];
      group->codes[j][i] = static_cast<std::int16_t>((byte & 15) - offset);
      group->codes[j + 4][i] = static_cast<std::int16_t>((byte >> 4) - offset);
    }
  }
}

}  // namespace lockstep::kernels::reference
