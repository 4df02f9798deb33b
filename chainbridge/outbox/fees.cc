#include "chainbridge/outbox/fees.h"

#include <algorithm>

namespace lockstep {
namespace {

constexpr std::uint64_t kRaiseDivisor = 8;  // 12.5 %.

std::optional<Uint256> raised(const Uint256& fee) {
  const Quotient eighth = divide(fee, kRaiseDivisor);
  const Uint256 rounded = eighth.remainder == 0 && !eighth.value.is_zero() ? 0 : 1;
  const auto step = checked_add(eighth.value, rounded);
  return step ? checked_add(fee, *step) : std::nullopt;
}

}  // namespace

std::optional<GasFees> first_fees(const GasFees& suggested, const Uint256& base_fee,
                                  const Uint256& cap) {
  const auto needed = checked_add(base_fee, suggested.max_priority);
  if (!needed || *needed > cap) return std::nullopt;
  const Uint256 max_fee = std::min(std::max(suggested.max_fee, *needed), cap);
  return GasFees{.max_fee = max_fee, .max_priority = suggested.max_priority};
}

std::optional<GasFees> replacement_fees(const GasFees& old, const GasFees& suggested,
                                        const Uint256& cap) {
  const auto least_fee = raised(old.max_fee);
  const auto least_priority = raised(old.max_priority);
  if (!least_fee || !least_priority || *least_fee > cap) return std::nullopt;
  GasFees fees;
  fees.max_fee = std::min(std::max(*least_fee, suggested.max_fee), cap);
  fees.max_priority = std::max(*least_priority, suggested.max_priority);
  fees.max_priority = std::min(fees.max_priority, fees.max_fee);
  if (fees.max_priority < *least_priority) return std::nullopt;
  return fees;
}

std::optional<Uint256> worst_fee(std::uint64_t gas_limit, const GasFees& fees) {
  return checked_mul(Uint256(gas_limit), fees.max_fee);
}

}  // namespace lockstep
