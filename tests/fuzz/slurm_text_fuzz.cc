// What Slurm's programs print and its environment says, and what ranks tell each other before a
// start.
#include <cstdlib>

#include "cli/doctor/slurm_checks.h"
#include "cli/slurm/step_place.h"
#include "scheduler/gateway/launcher/slurm_steps.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lockstep;
  const std::string text(reinterpret_cast<const char*>(data), size);
  if (seconds_left(text) < -1) std::abort();
  (void)parse_ports(text);
  // A replica says its step itself: no byte of it may reach another job's.
  if (is_step_of(text, "7") && !text.starts_with("7.")) std::abort();
  const auto found = parse_finding(text);
  if (!found.ok()) return 0;
  (void)judge({found.value(), found.value()}, 2);
  const auto again = parse_finding(encode_finding(found.value()));
  if (!again.ok() || encode_finding(again.value()) != encode_finding(found.value())) std::abort();
  return 0;
}
