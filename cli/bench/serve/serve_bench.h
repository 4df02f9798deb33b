// Measures an OpenAI-compatible server under load, as `vllm bench serve` does.
#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "cli/bench/serve/options.h"

namespace lockstep {

// Measures, prints (with `json` one object in place of the table), saves; gives the exit status: 69
// when no request was answered. kInvalidArgument for flags that do not go together.
Result<int> run_serve_bench(const ServeBenchOptions& options, bool json, const Clock& clock);

}  // namespace lockstep
