#include "chainbridge/evm/revert.h"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

const RevertTable& table() {
  static const RevertTable table({"AlreadyRecorded(uint256)", "TooLate(bytes32,uint64)"});
  return table;
}

TEST(RevertDecode, ReadsErrorPanicAndNamedErrors) {
  const auto call = [](std::string_view signature, const std::vector<AbiValue>& arguments) {
    return table().decode(encode_abi_call(signature, arguments).value());
  };
  EXPECT_EQ(call("Error(string)", {AbiValue::of_text("no\ngood")}).text, "Error: no?good");
  EXPECT_EQ(call("Panic(uint256)", {AbiValue::of(Uint256(0x11))}).text,
            "Panic: arithmetic overflow");
  EXPECT_EQ(call("Panic(uint256)", {AbiValue::of(Uint256(0x77))}).text, "Panic: code 0x77");
  const Revert named = call("AlreadyRecorded(uint256)", {AbiValue::of(Uint256(3))});
  EXPECT_EQ(named.name, "AlreadyRecorded");
  EXPECT_EQ(named.text, "AlreadyRecorded(3)");
  EXPECT_EQ(named.arguments[0].number(), Uint256(3));
}

TEST(RevertDecode, SaysWhatItCannotDecode) {
  EXPECT_EQ(table().decode({}).text, "reverted without a reason");
  EXPECT_EQ(table().decode(Bytes{1, 2, 3}).name, "");
  Bytes torn = encode_abi_call("AlreadyRecorded(uint256)", {AbiValue::of(Uint256(3))}).value();
  torn.pop_back();
  EXPECT_EQ(table().decode(torn).name, "");
  const Bytes unknown = encode_abi_call("Unknown(uint256)", {AbiValue::of(Uint256(3))}).value();
  EXPECT_EQ(table().decode(unknown).name, "");
  EXPECT_LT(table().decode(Bytes(100'000, 1)).text.size(), 200U);
}

}  // namespace
}  // namespace lockstep
