#include "worker/runner/activation_buffer.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace lockstep {
namespace {

std::uintptr_t address(const void* p) { return reinterpret_cast<std::uintptr_t>(p); }

// Writes everything that the view says there is, so that a sanitizer sees what is too short.
void fill(const kernels::Activations& view, std::int8_t value) {
  const auto tokens = static_cast<std::size_t>(view.num_tokens);
  const std::size_t codes = tokens * static_cast<std::size_t>(view.k_padded);
  const int scales = view.bits == 16 ? view.num_segments() : view.groups();
  std::fill_n(view.lo, codes, value);
  if (view.hi != nullptr) std::fill_n(view.hi, codes, value);
  std::fill_n(view.scales, tokens * static_cast<std::size_t>(scales), 1.0F);
  std::fill_n(view.sums, tokens * static_cast<std::size_t>(view.groups()), 1);
}

TEST(ActivationBufferReshape, PadsToWholeGroups) {
  ActivationBuffer buffer;
  buffer.reshape(3, 33, 32, 16);
  EXPECT_EQ(buffer.view().num_tokens, 3);
  EXPECT_EQ(buffer.view().k_padded, 64);
  EXPECT_EQ(buffer.view().groups(), 2);
  EXPECT_EQ(buffer.view().num_segments(), 1);
  fill(buffer.view(), 1);
}

TEST(ActivationBufferReshape, AlignsBothPlanesAndKeepsThemApart) {
  ActivationBuffer buffer;
  for (const int tokens : {1, 3, 7}) {
    buffer.reshape(tokens, 96, 32, 16);
    const kernels::Activations& view = buffer.view();
    EXPECT_EQ(address(view.lo) % 64, 0U);
    EXPECT_EQ(address(view.hi) % 64, 0U);
    EXPECT_GE(view.hi - view.lo, tokens * 96);
    fill(view, 1);
  }
}

TEST(ActivationBufferReshape, HasNoHighPlaneWith8Bits) {
  ActivationBuffer buffer;
  buffer.reshape(2, 64, 32, 16);
  buffer.reshape(2, 64, 32, 8);
  EXPECT_EQ(buffer.view().hi, nullptr);
  fill(buffer.view(), 1);
}

TEST(ActivationBufferClearToken, ClearsOneTokenAlone) {
  for (const int bits : {16, 8}) {
    ActivationBuffer buffer;
    buffer.reshape(3, 96, 2, bits);
    const kernels::Activations& view = buffer.view();
    fill(view, 5);
    buffer.clear_token(1);
    const int scales = bits == 16 ? 2 : 3;
    for (int token = 0; token < 3; ++token) {
      const bool cleared = token == 1;
      for (int i = 0; i < 96; ++i) {
        ASSERT_EQ(view.lo[token * 96 + i], cleared ? 0 : 5);
        ASSERT_EQ(bits == 16 ? view.hi[token * 96 + i] : view.lo[token * 96 + i], cleared ? 0 : 5);
      }
      for (int i = 0; i < scales; ++i) {
        ASSERT_EQ(view.scales[token * scales + i], cleared ? 0.0F : 1.0F);
      }
      for (int i = 0; i < 3; ++i) ASSERT_EQ(view.sums[token * 3 + i], cleared ? 0 : 1);
    }
  }
}

}  // namespace
}  // namespace lockstep
