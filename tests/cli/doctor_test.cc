#include <gtest/gtest.h>

#include "cli/doctor/check.h"

namespace lockstep {
namespace {

TEST(FieldOf, FindsTheValueBehindAName) {
  const std::string text = "MemTotal:       24684 kB\nmodel name\t: AMD EPYC\nempty:\nflags:\ta b";
  EXPECT_EQ(field_of(text, "MemTotal"), "24684 kB");
  EXPECT_EQ(field_of(text, "model name"), "AMD EPYC");
  EXPECT_EQ(field_of(text, "empty"), "");
  EXPECT_EQ(field_of(text, "flags"), "a b");
  EXPECT_EQ(field_of(text, "Mem"), std::nullopt);
  EXPECT_EQ(field_of(":\n: x\n", "x"), std::nullopt);
}

TEST(ReadSystemFile, SaysWhetherThereIsOne) {
  EXPECT_TRUE(read_system_file("/proc/self/stat").has_value());
  EXPECT_EQ(read_system_file("/proc/no/such/file"), std::nullopt);
}

TEST(FindProgram, SearchesPath) {
  EXPECT_NE(find_program("sh"), "");
  EXPECT_EQ(find_program("no-such-program-anywhere"), "");
}

TEST(Checks, GiveAFixWithEveryThingThatIsMissing) {
  for (const auto& checks : {cpu_checks, memory_checks, runtime_checks, system_checks}) {
    for (const Check& check : checks()) {
      EXPECT_NE(check.name, "");
      EXPECT_NE(check.value, "") << check.name;
      if (check.state == CheckState::kMissing) {
        EXPECT_NE(check.fix, "") << check.name;
      }
    }
  }
}

TEST(DeviceReports, SayWhyADeviceIsNotAvailable) {
  const std::vector<DeviceReport> devices = device_reports("/nowhere/lockstep-cuda.so");
  ASSERT_GE(devices.size(), 2);
  EXPECT_EQ(devices[0].name, "cuda");
  EXPECT_FALSE(devices[0].available);
  EXPECT_NE(devices[0].reason.find("/nowhere/lockstep-cuda.so"), std::string::npos);
  EXPECT_EQ(devices[1].name, "cpu:reference");
  int chosen = 0;
  for (const DeviceReport& device : devices) {
    chosen += device.reason == "chosen by `auto`" ? 1 : 0;
    if (!device.available) {
      EXPECT_NE(device.reason, "") << device.name;
    }
  }
  EXPECT_LE(chosen, 1);
}

}  // namespace
}  // namespace lockstep
