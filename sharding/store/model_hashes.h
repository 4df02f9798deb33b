// The hashes that identify a model. Source: chain design, "Identifiers".
#pragma once

#include <string>

#include "sharding/store.h"

namespace lockstep {

// The canonical JSON under `config_hash`: architecture, profile, part boundaries, RoPE hash,
// context, source tensors.
std::string config_json(const Manifest& manifest);

// Sets config_hash and model_id from the rest.
void set_model_hashes(Manifest& manifest);

}  // namespace lockstep
