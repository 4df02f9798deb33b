// Registry files, and the URLs and ports in them: what is accepted is written again as it was read.
#include <cstdlib>

#include "cli/slurm/registry.h"
#include "cli/slurm/relay.h"
#include "cli/slurm/step_place.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  (void)lockstep::parse_ports(text);
  (void)lockstep::parse_target(text, "");
  const auto read = lockstep::parse_registration(text);
  if (!read.ok()) return 0;
  (void)lockstep::parse_target(read.value().url, read.value().certificate);
  const std::string written = lockstep::encode_registration(read.value());
  const auto again = lockstep::parse_registration(written);
  if (!again.ok() || lockstep::encode_registration(again.value()) != written) std::abort();
  return 0;
}
