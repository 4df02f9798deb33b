// The vectors of kernels/avx512vnni in plain C++, one lane after the other.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace lockstep::kernels {

struct EmulatedVector {
  struct Int {
    std::array<std::uint8_t, 64> bytes;

    std::int32_t lane(int i) const {
      std::int32_t value;
      std::memcpy(&value, bytes.data() + 4 * i, sizeof value);
      return value;
    }
    void set_lane(int i, std::int64_t value) {
      const auto wrapped = static_cast<std::int32_t>(value);
      std::memcpy(bytes.data() + 4 * i, &wrapped, sizeof wrapped);
    }
  };
  using Float = std::array<float, 16>;

  static Int load(const std::uint8_t* p) {
    Int v;
    std::memcpy(v.bytes.data(), p, v.bytes.size());
    return v;
  }
  static Int low_nibbles(Int v) {
    for (std::uint8_t& byte : v.bytes) byte &= 15;
    return v;
  }
  static Int high_nibbles(Int v) {
    for (std::uint8_t& byte : v.bytes) byte = static_cast<std::uint8_t>(byte >> 4);
    return v;
  }
  static Int word(const std::int8_t* p) {
    std::int32_t word;
    std::memcpy(&word, p, sizeof word);
    return integer(word);
  }
  static Int integer(std::int32_t value) {
    Int v;
    for (int i = 0; i < 16; ++i) v.set_lane(i, value);
    return v;
  }
  static Int dot(Int sum, const Int& u, const Int& s) {
    for (int i = 0; i < 16; ++i) {
      std::int64_t lane = sum.lane(i);
      for (std::size_t b = 0; b < 4; ++b) {
        const std::size_t place = 4 * static_cast<std::size_t>(i) + b;
        lane += u.bytes[place] * static_cast<std::int8_t>(s.bytes[place]);
      }
      sum.set_lane(i, lane);
    }
    return sum;
  }
  static Int add(Int a, const Int& b) {
    for (int i = 0; i < 16; ++i) a.set_lane(i, std::int64_t{a.lane(i)} + b.lane(i));
    return a;
  }
  static Int times_256(Int v) {
    for (int i = 0; i < 16; ++i) v.set_lane(i, std::int64_t{v.lane(i)} * 256);
    return v;
  }
  static Float to_float(const Int& v) {
    Float f;
    for (int i = 0; i < 16; ++i) f[static_cast<std::size_t>(i)] = static_cast<float>(v.lane(i));
    return f;
  }
  static Float number(float value) {
    Float f;
    f.fill(value);
    return f;
  }
  static Float halves(const std::uint8_t* p) {
    Float f;
    for (std::size_t i = 0; i < 16; ++i) {
      const int bits = p[2 * i] | (p[2 * i + 1] << 8);
      const int exponent = (bits >> 10) & 31;
      const int fraction = exponent == 0 ? bits & 1023 : (bits & 1023) + 1024;
      const float magnitude =
          std::ldexp(static_cast<float>(fraction), (exponent == 0 ? 1 : exponent) - 25);
      f[i] = (bits & 0x8000) != 0 ? -magnitude : magnitude;
    }
    return f;
  }
  static Float fma(const Float& a, const Float& b, const Float& c) {
    Float f;
    for (std::size_t i = 0; i < 16; ++i) f[i] = std::fma(a[i], b[i], c[i]);
    return f;
  }
  static Float multiply(const Float& a, const Float& b) {
    Float f;
    for (std::size_t i = 0; i < 16; ++i) f[i] = a[i] * b[i];
    return f;
  }
  static Float plus(const Float& a, const Float& b) {
    Float f;
    for (std::size_t i = 0; i < 16; ++i) f[i] = a[i] + b[i];
    return f;
  }
  static Float load_floats(const float* p) {
    Float f;
    std::memcpy(f.data(), p, sizeof f);
    return f;
  }
  static void store(float* p, const Float& v) { std::memcpy(p, v.data(), sizeof v); }
  static void keep_order(Int&) {}
};

}  // namespace lockstep::kernels
