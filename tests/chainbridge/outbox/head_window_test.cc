#include "chainbridge/outbox/head_window.h"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

BlockId block(std::uint64_t number, const std::string& branch = "a") {
  return {number, keccak256(branch + std::to_string(number))};
}

BlockHeader header(std::uint64_t number) {
  return {.id = block(number), .parent = block(number - 1).hash, .timestamp = 0, .base_fee = 0};
}

HeadWindow window_to(std::uint64_t head) {
  HeadWindow window(block(10));
  for (std::uint64_t number = 11; number <= head; ++number) {
    EXPECT_EQ(window.push(header(number)), HeadWindow::Push::kExtended);
  }
  return window;
}

TEST(HeadWindow, TakesBlocksThatLink) {
  HeadWindow window = window_to(12);
  EXPECT_EQ(window.head(), block(12));
  BlockHeader other = header(13);
  other.parent = block(12, "b").hash;
  EXPECT_EQ(window.push(other), HeadWindow::Push::kDoesNotLink);
  EXPECT_EQ(window.head(), block(12));
}

TEST(HeadWindow, WalksBackToTheFinalBlockAndNoFurther) {
  HeadWindow window = window_to(12);
  EXPECT_TRUE(window.pop());
  EXPECT_TRUE(window.pop());
  EXPECT_EQ(window.head(), block(10));
  EXPECT_FALSE(window.pop()) << "a final block must not vanish";
  EXPECT_EQ(window.final(), block(10));
}

TEST(HeadWindow, MovesTheFinalBlockOn) {
  HeadWindow window = window_to(20);
  EXPECT_TRUE(window.advance_final(block(15)));
  EXPECT_EQ(window.final(), block(15));
  EXPECT_EQ(window.head(), block(20));
  EXPECT_TRUE(window.advance_final(block(12))) << "a node that lags";
  EXPECT_EQ(window.final(), block(15));
  EXPECT_FALSE(window.advance_final(block(17, "b"))) << "another block than was seen";
  EXPECT_EQ(window.final(), block(15));
}

TEST(HeadWindow, StartsAnewBeyondItsEnd) {
  HeadWindow window = window_to(12);
  EXPECT_TRUE(window.advance_final(block(500)));
  EXPECT_EQ(window.blocks(), std::vector{block(500)});
}

TEST(HeadWindow, IsBounded) {
  HeadWindow window = window_to(10 + kMaxHeadWindow);
  EXPECT_EQ(window.push(header(11 + kMaxHeadWindow)), HeadWindow::Push::kFull);
}

}  // namespace
}  // namespace lockstep
