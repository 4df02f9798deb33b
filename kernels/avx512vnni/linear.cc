// GCC 12's own header says `__m512 __Y = __Y` where a value does not matter, and warns of it (GCC
// bug 105593).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include <immintrin.h>

#include <cstring>

#include "kernels/avx512vnni/avx512vnni.h"
#include "kernels/avx512vnni/linear_kernel.h"

namespace lockstep::kernels::avx512vnni {
namespace {

// The processor's vectors.
struct Zmm {
  using Int = __m512i;
  using Float = __m512;

  static Int load(const std::uint8_t* bytes) { return _mm512_loadu_si512(bytes); }
  static Int low_nibbles(Int v) { return _mm512_and_si512(v, _mm512_set1_epi8(15)); }
  static Int high_nibbles(Int v) { return low_nibbles(_mm512_srli_epi16(v, 4)); }
  static Int word(const std::int8_t* four_bytes) {
    std::int32_t word;
    std::memcpy(&word, four_bytes, sizeof word);
    return _mm512_set1_epi32(word);
  }
  static Int dot(Int sum, Int u, Int s) { return _mm512_dpbusd_epi32(sum, u, s); }
  static Int integer(std::int32_t i) { return _mm512_set1_epi32(i); }
  static Int add(Int a, Int b) { return _mm512_add_epi32(a, b); }
  static Int times_256(Int v) { return _mm512_slli_epi32(v, 8); }
  static Float to_float(Int v) { return _mm512_cvtepi32_ps(v); }
  static Float number(float f) { return _mm512_set1_ps(f); }
  static Float halves(const std::uint8_t* bytes) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes)));
  }
  static Float fma(Float a, Float b, Float c) { return _mm512_fmadd_ps(a, b, c); }
  static Float multiply(Float a, Float b) { return _mm512_mul_ps(a, b); }
  static Float plus(Float a, Float b) { return _mm512_add_ps(a, b); }
  static Float load_floats(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, Float v) { _mm512_storeu_ps(p, v); }
  // GCC 12 would otherwise put all products of a group before their sums, more than there are
  // registers for.
  static void keep_order(Int& sum) { asm("" : "+v"(sum)); }
};

}  // namespace

void linear(const LinearArgs& args) { LinearKernel<Zmm>::run(args); }

}  // namespace lockstep::kernels::avx512vnni
