// Where a step of Slurm may listen: ports that are its own, the address of a network.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace lockstep {

// "31000-31002,31010" as in SLURM_STEP_RESV_PORTS. kInvalidArgument for anything else.
Result<std::vector<std::uint16_t>> parse_ports(std::string_view text);

// The IPv4 address of an interface such as "ib0"; empty `name`: what this host's name stands for.
// kNotFound names the interfaces that there are.
Result<std::string> address_of(const std::string& interface);

}  // namespace lockstep
