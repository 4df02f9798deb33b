// One table of functions per device; forgetting an entry is a build error. The only place that
// knows devices by name.
#pragma once

#include <span>
#include <string_view>

#include "base/result.h"
#include "kernels/ops.h"

namespace lockstep::kernels {

struct Backend {
  std::string_view name;  // "cpu:reference", "cpu:avx2", "cpu:avx512vnni"
  bool (*available)();    // Whether this machine can run it.

  void (*embed)(const EmbedArgs&);
  void (*rms_norm)(const RmsNormArgs&);
  bool (*quantize)(const QuantizeArgs&);
  void (*linear)(const LinearArgs&);
  void (*rope)(const RopeArgs&);
  bool (*append_kv)(const AppendKvArgs&);
  bool (*attention)(const AttentionArgs&);
  bool (*attention_part)(const AttentionPartArgs&);
  void (*attention_fold)(const AttentionFoldArgs&);
  void (*swiglu)(const SwigluArgs&);
  void (*add)(const AddArgs&);
};

// All devices of this build, whether or not the machine can run them.
std::span<const Backend* const> all_backends();

// "auto" and "cpu": the fastest that this machine can run. kInvalidArgument names the choices when
// there is no such name; kUnavailable says what the machine lacks.
Result<const Backend*> find_backend(std::string_view name);

}  // namespace lockstep::kernels
