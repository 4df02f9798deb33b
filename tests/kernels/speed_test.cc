// Every device's linear is at least five times as fast as the scalar reference on the same
// processor in the same minute. A ratio of interleaved measurements, best of many, so that other
// work on the machine does not decide.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <limits>

#include "tests/kernels/kernel_support.h"

namespace lockstep::kernels {
namespace {

constexpr double kLeastRatio = 5;

double seconds_of(const Backend& backend, const LinearArgs& args) {
  const auto start = std::chrono::steady_clock::now();
  backend.linear(args);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

class BackendSpeed : public testing::TestWithParam<std::tuple<const Backend*, WeightFormat, int>> {
};

TEST_P(BackendSpeed, IsFiveTimesTheReference) {
  const auto [backend, format, bits] = GetParam();
  if (!backend->available()) GTEST_SKIP() << backend->name << " cannot run on this processor";
  constexpr int kRows = 128;
  constexpr int kColumns = 576;
  for (const int tokens : {1, 8}) {
    SplitMix random(1);
    const StoredMatrix weight(random, format, kRows, kColumns);
    const auto x = random.values(static_cast<std::size_t>(tokens * kColumns));
    const StoredActivations input(tokens, kColumns, 32, bits);
    ASSERT_TRUE(
        reference_backend().quantize({x.data(), kColumns, kColumns, input.view(), 0, tokens}));
    std::vector<float> output(static_cast<std::size_t>(tokens * kRows));
    const LinearArgs args{weight.view(), input.view(), output.data(), kRows, 0, kRows / 16};
    double reference = std::numeric_limits<double>::infinity();
    double fast = reference;
    for (int round = 0; round < 200 && (round < 5 || reference < kLeastRatio * fast); ++round) {
      reference = std::min(reference, seconds_of(reference_backend(), args));
      for (int i = 0; i < 5; ++i) fast = std::min(fast, seconds_of(*backend, args));
    }
    std::cout << backend->name << " " << weight_format_name(format) << " " << bits << " bits, "
              << tokens << " tokens: " << reference / fast << " times the reference\n";
    EXPECT_GE(reference / fast, kLeastRatio);
  }
}

INSTANTIATE_TEST_SUITE_P(All, BackendSpeed,
                         testing::Combine(testing::ValuesIn(fast_backends()),
                                          testing::Values(WeightFormat::kQ4_0, WeightFormat::kQ4_1,
                                                          WeightFormat::kQ8_0),
                                          testing::Values(16, 8)),
                         [](const auto& param) {
                           return std::string(std::get<0>(param.param)->name.substr(4)) + "_" +
                                  std::string(weight_format_name(std::get<1>(param.param))) + "_" +
                                  std::to_string(std::get<2>(param.param));
                         });

}  // namespace
}  // namespace lockstep::kernels
