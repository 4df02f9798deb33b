// The real model's stores, made when they are missing.
#pragma once

#include <string>

#include "sharding/store.h"

namespace lockstep {

// The store of SmolLM2-135M-Instruct with this profile, below build/models; imported once, under a
// lock that other test processes respect. Fails the test when the model was not downloaded.
Store smollm2_store(int activation_bits = 16, int kv_bits = 16);

}  // namespace lockstep
