#include "kernels/backend.h"

#include <cpuid.h>

#include <array>
#include <string>

#include "kernels/avx2/avx2.h"
#include "kernels/avx512vnni/avx512vnni.h"
#include "kernels/reference/reference.h"

namespace lockstep::kernels {
namespace {

// Clang 16 has no name for this one in __builtin_cpu_supports.
bool f16c_available() {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}

// libgcc's processor features are set only where the operating system saves the registers too.
bool reference_available() {
  return __builtin_cpu_supports("fma") && f16c_available() && __builtin_cpu_supports("sse4.1");
}

bool avx2_available() { return __builtin_cpu_supports("avx2") && reference_available(); }

bool avx512vnni_available() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vnni") && avx2_available();
}

constexpr Backend kReference = {
    .name = "cpu:reference",
    .available = reference_available,
    .embed = reference::embed,
    .rms_norm = reference::rms_norm,
    .quantize = reference::quantize,
    .linear = reference::linear,
    .rope = reference::rope,
    .append_kv = reference::append_kv,
    .attention = reference::attention,
    .attention_part = reference::attention_part,
    .attention_fold = reference::attention_fold,
    .swiglu = reference::swiglu,
    .add = reference::add,
};

constexpr Backend kAvx2 = {
    .name = "cpu:avx2",
    .available = avx2_available,
    .embed = reference::embed,
    .rms_norm = avx2::rms_norm,
    .quantize = avx2::quantize,
    .linear = avx2::linear,
    .rope = avx2::rope,
    .append_kv = avx2::append_kv,
    .attention = avx2::attention,
    .attention_part = avx2::attention_part,
    .attention_fold = avx2::attention_fold,
    .swiglu = avx2::swiglu,
    .add = reference::add,
};

constexpr Backend kAvx512vnni = {
    .name = "cpu:avx512vnni",
    .available = avx512vnni_available,
    .embed = reference::embed,
    .rms_norm = avx2::rms_norm,
    .quantize = avx2::quantize,
    .linear = avx512vnni::linear,
    .rope = avx2::rope,
    .append_kv = avx2::append_kv,
    .attention = avx2::attention,
    .attention_part = avx2::attention_part,
    .attention_fold = avx2::attention_fold,
    .swiglu = avx2::swiglu,
    .add = reference::add,
};

struct Entry {
  const Backend* backend;
  std::string_view needs;  // In words, for who asks for it where it cannot run.
};

// Slowest first.
constexpr std::array kEntries = {
    Entry{&kReference, "FMA, SSE4.1 and F16C"},
    Entry{&kAvx2, "AVX2, FMA and F16C"},
    Entry{&kAvx512vnni, "AVX-512 F, BW, VL, DQ and VNNI"},
};

constexpr auto kBackends = [] {
  std::array<const Backend*, kEntries.size()> backends{};
  for (std::size_t i = 0; i < kEntries.size(); ++i) backends[i] = kEntries[i].backend;
  return backends;
}();

}  // namespace

std::span<const Backend* const> all_backends() { return kBackends; }

Result<const Backend*> find_backend(std::string_view name) {
  const bool any = name == "auto" || name == "cpu";
  std::string choices = "auto, cuda, cpu";
  for (auto entry = kEntries.rbegin(); entry != kEntries.rend(); ++entry) {
    const Backend& backend = *entry->backend;
    choices.append(", ").append(backend.name);
    if (!any && name != backend.name) continue;
    if (backend.available()) return &backend;
    if (!any) {
      return Error{ErrorCode::kUnavailable,
                   "device " + std::string(name) + ": this processor lacks " +
                       std::string(entry->needs) + "; \"auto\" takes the fastest that it can run"};
    }
  }
  if (any) {
    return Error{ErrorCode::kUnavailable,
                 "device " + std::string(name) + ": this processor lacks FMA, SSE4.1 or F16C"};
  }
  return Error{ErrorCode::kInvalidArgument,
               "no device is called \"" + std::string(name) + "\"; choose one of: " + choices};
}

}  // namespace lockstep::kernels
