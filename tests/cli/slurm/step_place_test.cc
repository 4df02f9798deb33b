#include "cli/slurm/step_place.h"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

TEST(ParsePorts, ReadsRangesAndSinglePorts) {
  const auto ports = parse_ports("31000-31002,31010");
  ASSERT_TRUE(ports.ok());
  EXPECT_EQ(ports.value(), (std::vector<std::uint16_t>{31000, 31001, 31002, 31010}));
}

TEST(ParsePorts, RefusesWhatIsNone) {
  for (const char* text : {"", "x", "0", "1-", "-1", "70000", "1,", "1-65535"}) {
    EXPECT_FALSE(parse_ports(text).ok()) << text;
  }
}

TEST(AddressOf, KnowsTheLoopbackAndNamesTheOthers) {
  EXPECT_EQ(address_of("lo").value(), "127.0.0.1");
  const auto none = address_of("none0");
  ASSERT_FALSE(none.ok());
  EXPECT_NE(none.error().message.find("lo"), std::string::npos);
}

}  // namespace
}  // namespace lockstep
