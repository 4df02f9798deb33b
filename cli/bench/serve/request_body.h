// What a request of the load says, as JSON.
#pragma once

#include <string>

#include "cli/bench/serve/dataset.h"
#include "cli/bench/serve/options.h"
#include "cli/output.h"

namespace lockstep {

class RequestBody {
 public:
  // kInvalidArgument when --extra-body is no JSON object. `model` is what requests call it.
  static Result<RequestBody> make(const ServeBenchOptions& options, const std::string& model);

  std::string text(const BenchPrompt& prompt) const;

 private:
  OrderedJson common_;  // What all requests say.
  bool chat_ = false;
};

}  // namespace lockstep
