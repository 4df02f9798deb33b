// A replica's place in the gateway: its identity towards the transport, which alone says who sent a
// message.
#pragma once

#include <cstdint>

namespace lockstep {

enum class ReplicaId : std::uint32_t {};

}  // namespace lockstep
