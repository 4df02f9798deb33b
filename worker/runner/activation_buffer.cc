#include "worker/runner/activation_buffer.h"

#include <algorithm>

#include "base/checked.h"

namespace lockstep {
namespace {

std::size_t scales_per_token(const kernels::Activations& view) {
  return static_cast<std::size_t>(view.bits == 16 ? view.num_segments() : view.groups());
}

}  // namespace

void ActivationBuffer::reshape(int num_tokens, int k, int segment_groups, int bits) {
  view_.num_tokens = num_tokens;
  view_.k_padded = round_up(k, kGroupSize);
  view_.segment_groups = segment_groups;
  view_.bits = bits;
  const auto tokens = static_cast<std::size_t>(num_tokens);
  const std::size_t plane = tokens * static_cast<std::size_t>(view_.k_padded);
  constexpr std::size_t kAlignment = 64;
  codes_.resize(2 * plane + 2 * kAlignment);
  scales_.resize(tokens * scales_per_token(view_));
  sums_.resize(tokens * static_cast<std::size_t>(view_.groups()));
  const auto aligned = [](std::int8_t* p) {
    const auto address = reinterpret_cast<std::uintptr_t>(p);
    return p + (kAlignment - address % kAlignment) % kAlignment;
  };
  view_.lo = aligned(codes_.data());
  view_.hi = bits == 16 ? aligned(view_.lo + plane) : nullptr;
  view_.scales = scales_.data();
  view_.sums = sums_.data();
}

kernels::Activations ActivationBuffer::view(int begin, int end) const {
  kernels::Activations part = view_;
  const std::ptrdiff_t t = begin;
  if (part.hi != nullptr) part.hi += t * part.k_padded;
  part.lo += t * part.k_padded;
  part.scales += t * static_cast<std::ptrdiff_t>(scales_per_token(view_));
  part.sums += t * part.groups();
  part.num_tokens = end - begin;
  return part;
}

void ActivationBuffer::clear_token(int token) {
  const auto t = static_cast<std::size_t>(token);
  const auto k = static_cast<std::size_t>(view_.k_padded);
  const auto groups = static_cast<std::size_t>(view_.groups());
  std::fill_n(view_.lo + t * k, k, std::int8_t{0});
  if (view_.hi != nullptr) std::fill_n(view_.hi + t * k, k, std::int8_t{0});
  std::fill_n(view_.scales + t * scales_per_token(view_), scales_per_token(view_), 0.0F);
  std::fill_n(view_.sums + t * groups, groups, 0);
}

}  // namespace lockstep
