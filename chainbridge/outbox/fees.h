// What the outbox may offer for gas. Pure.
#pragma once

#include <optional>

#include "chainbridge/evm/transaction.h"

namespace lockstep {

// The first offer: what is suggested, at most `cap` a gas. Nothing when even the base fee of now
// and the tip are above it.
std::optional<GasFees> first_fees(const GasFees& suggested, const Uint256& base_fee,
                                  const Uint256& cap);

// An offer that every node takes in the place of `old`: both fees at least an eighth higher (geth
// asks for a tenth). Nothing when that is above `cap`.
std::optional<GasFees> replacement_fees(const GasFees& old, const GasFees& suggested,
                                        const Uint256& cap);

// Gas times fee; nothing when it does not fit.
std::optional<Uint256> worst_fee(std::uint64_t gas_limit, const GasFees& fees);

}  // namespace lockstep
