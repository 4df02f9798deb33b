#include "base/sha256_stream.h"

#include <gtest/gtest.h>

#include <random>

namespace lockstep {
namespace {

Bytes random_bytes(std::size_t count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  Bytes bytes(count);
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random());
  return bytes;
}

TEST(Sha256Stream, EqualsOpenSslForEveryLengthAroundABlock) {
  RecordProperty("has_sha_instructions", has_sha_instructions());
  for (std::size_t size = 0; size <= 300; ++size) {
    const Bytes bytes = random_bytes(size, size);
    Sha256Stream stream;
    stream.update(bytes);
    EXPECT_EQ(stream.finish(), sha256(bytes)) << size;
  }
}

TEST(Sha256Stream, DoesNotDependOnHowTheBytesAreCut) {
  const Bytes bytes = random_bytes(5000, 1);
  std::mt19937_64 random(2);
  Sha256Stream stream;
  for (int round = 0; round < 50; ++round) {
    for (std::size_t done = 0; done < bytes.size();) {
      const std::size_t count = std::min<std::size_t>(random() % 200, bytes.size() - done);
      stream.update(ByteView(bytes).subspan(done, count));
      done += count;
    }
    EXPECT_EQ(stream.finish(), sha256(bytes));
  }
}

TEST(Sha256StreamUpdateTwo, EqualsTwoStreams) {
  std::mt19937_64 random(3);
  for (int round = 0; round < 200; ++round) {
    const Bytes first = random_bytes(random() % 1000, random());
    const Bytes second = random_bytes(random() % 1000, random());
    Sha256Stream one;
    Sha256Stream two;
    const std::size_t cut = std::min<std::size_t>(random() % 3 * 32, first.size());
    one.update(ByteView(first).first(cut));
    Sha256Stream::update_two(one, ByteView(first).subspan(cut), two, second);
    EXPECT_EQ(one.finish(), sha256(first));
    EXPECT_EQ(two.finish(), sha256(second));
  }
}

TEST(Sha256Two, GivesTheDigestsInOrder) {
  const Bytes first = random_bytes(1 << 20, 4);
  const Bytes second = random_bytes((1 << 20) - 77, 5);
  const auto digests = sha256_two(first, second);
  EXPECT_EQ(digests[0], sha256(first));
  EXPECT_EQ(digests[1], sha256(second));
}

}  // namespace
}  // namespace lockstep
