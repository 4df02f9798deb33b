#include "scheduler/step_plan.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace lockstep {
namespace {

constexpr std::ptrdiff_t kDigestBytes = 32;

// A prefill at position 16 that takes up a third block, a decode, and a finished sequence.
StepPlan example() {
  StepPlan plan;
  plan.generation = GenerationId{0x1112131415161718};
  plan.step = StepId{0x0102030405060708};
  ScheduledSequence decode;
  decode.sequence = SequenceId{5};
  decode.first_position = 31;
  decode.tokens = {7};
  decode.known_blocks = 2;
  decode.num_logits = 1;
  plan.decodes.push_back(decode);
  ScheduledSequence prefill;
  prefill.sequence = SequenceId{9};
  prefill.first_position = 16;
  prefill.tokens = {1, 2, 3};
  prefill.known_blocks = 1;
  prefill.new_blocks = {BlockId{4}};
  plan.prefills.push_back(prefill);
  plan.finished = {SequenceId{1}};
  return plan;
}

StepPlan random_plan(std::mt19937_64& random) {
  StepPlan plan;
  plan.generation = GenerationId{random()};
  plan.step = StepId{random()};
  const auto entry = [&] {
    ScheduledSequence out;
    out.sequence = SequenceId{random()};
    out.first_position = static_cast<std::uint32_t>(random());
    for (std::uint64_t n = random() % 40; n > 0; --n) {
      out.tokens.push_back(static_cast<std::uint32_t>(random()));
    }
    out.known_blocks = static_cast<std::uint32_t>(random() % kMaxSequenceBlocks);
    for (std::uint64_t n = random() % 5; n > 0; --n) {
      out.new_blocks.push_back(BlockId{static_cast<std::int32_t>(random() % INT32_MAX)});
    }
    out.num_logits = static_cast<std::uint32_t>(random() % (out.tokens.size() + 1));
    return out;
  };
  for (std::uint64_t n = random() % 6; n > 0; --n) plan.decodes.push_back(entry());
  for (std::uint64_t n = random() % 6; n > 0; --n) plan.prefills.push_back(entry());
  for (std::uint64_t n = random() % 4; n > 0; --n) plan.finished.push_back(SequenceId{random()});
  return plan;
}

// The bytes with a digest that fits them: what a hostile leader could send.
Bytes sealed(Bytes payload) {
  const Digest digest = sha256(payload);
  payload.insert(payload.end(), digest.bytes.begin(), digest.bytes.end());
  return payload;
}

Bytes payload_of(const StepPlan& plan) {
  const Bytes bytes = encode_plan(plan);
  return {bytes.begin(), bytes.end() - kDigestBytes};
}

void put(Bytes& bytes, std::size_t offset, std::uint32_t value) {
  std::memcpy(bytes.data() + offset, &value, sizeof value);
}

std::string error_of(const Bytes& bytes) {
  const auto plan = decode_plan(bytes);
  if (plan.ok()) return "accepted";
  EXPECT_EQ(plan.error().code, ErrorCode::kCorrupt);
  return plan.error().message;
}

TEST(StepPlanNumTokens, CountsDecodesAndPrefills) {
  EXPECT_EQ(example().num_tokens(), 4);
  EXPECT_EQ(StepPlan{}.num_tokens(), 0);
}

TEST(StepPlanEmpty, LooksAtWorkAlone) {
  StepPlan plan;
  plan.finished = {SequenceId{1}};
  EXPECT_TRUE(plan.empty());
  EXPECT_FALSE(example().empty());
}

TEST(EncodePlan, GivesTheBytesOfTheTable) {
  const Bytes expected = [] {
    Bytes out = {'L', 'S', 'P', '2'};
    append_le(out, std::uint64_t{0x1112131415161718});
    append_le(out, std::uint64_t{0x0102030405060708});
    append_le(out, std::uint32_t{1});  // Decodes.
    append_le(out, std::uint64_t{5});
    for (const std::uint32_t field : {31U, 1U, 2U, 1U, 0U, 7U}) append_le(out, field);
    append_le(out, std::uint32_t{1});  // Prefills.
    append_le(out, std::uint64_t{9});
    for (const std::uint32_t field : {16U, 0U, 1U, 3U, 1U, 1U, 2U, 3U, 4U}) append_le(out, field);
    append_le(out, std::uint32_t{1});  // Finished.
    append_le(out, std::uint64_t{1});
    return sealed(out);
  }();
  EXPECT_EQ(encode_plan(example()), expected);
}

TEST(DecodePlan, GivesBackWhatWasEncoded) {
  for (const StepPlan& plan : {example(), StepPlan{}}) {
    const auto decoded = decode_plan(encode_plan(plan));
    ASSERT_TRUE(decoded.ok()) << decoded.error().message;
    EXPECT_EQ(decoded.value(), plan);
  }
  std::mt19937_64 random(1);
  for (int i = 0; i < 200; ++i) {
    const StepPlan plan = random_plan(random);
    const auto decoded = decode_plan(encode_plan(plan));
    ASSERT_TRUE(decoded.ok()) << "plan " << i << " of seed 1: " << decoded.error().message;
    EXPECT_EQ(decoded.value(), plan) << "plan " << i << " of seed 1";
  }
}

TEST(DecodePlan, RefusesEveryFlippedByte) {
  const Bytes whole = encode_plan(example());
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (const int mask : {0x01, 0x80, 0xFF}) {
      Bytes bytes = whole;
      bytes[i] = static_cast<std::uint8_t>(bytes[i] ^ mask);
      EXPECT_EQ(error_of(bytes), "plan: digest differs") << "byte " << i;
    }
  }
}

TEST(DecodePlan, RefusesEveryTruncation) {
  const Bytes whole = encode_plan(example());
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_NE(error_of(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size))),
              "accepted")
        << size;
  }
}

TEST(DecodePlan, RefusesEveryTruncationUnderAFittingDigest) {
  const Bytes payload = payload_of(example());
  std::set<std::string> messages;
  for (std::size_t size = 0; size < payload.size(); ++size) {
    const std::string message = error_of(
        sealed(Bytes(payload.begin(), payload.begin() + static_cast<std::ptrdiff_t>(size))));
    EXPECT_NE(message.find("plan ends in"), std::string::npos) << size << ": " << message;
    messages.insert(message);
  }
  EXPECT_GT(messages.size(), 10U);  // They name the field.
}

TEST(DecodePlan, RefusesBytesBehindTheEnd) {
  Bytes payload = payload_of(example());
  payload.push_back(0);
  EXPECT_EQ(error_of(sealed(payload)), "plan: bytes behind its end");
}

TEST(DecodePlan, RefusesAnotherMagic) {
  Bytes payload = payload_of(example());
  payload[3] = '1';
  EXPECT_EQ(error_of(sealed(payload)), "plan: wrong magic");
}

TEST(DecodePlan, BoundsEveryCount) {
  // Offsets of the example's first entry: magic 0, generation 4, step 12, decodes 20, sequence 24,
  // first position 32.
  struct Field {
    std::size_t offset;
    const char* name;
    std::uint32_t max;
  };
  for (const Field field :
       {Field{20, "decodes", kMaxStepSequences}, Field{36, "logits", kMaxStepTokens},
        Field{40, "known blocks", kMaxSequenceBlocks}, Field{44, "tokens", kMaxStepTokens},
        Field{48, "blocks", kMaxSequenceBlocks}}) {
    for (const std::uint32_t value : {field.max + 1, UINT32_MAX}) {
      Bytes payload = payload_of(example());
      put(payload, field.offset, value);
      const std::string wanted = std::string(field.name) + " is " + std::to_string(value) +
                                 ", at most " + std::to_string(field.max);
      const std::string message = error_of(sealed(payload));
      EXPECT_NE(message.find(wanted), std::string::npos) << message;
    }
    // The largest count that is allowed, without the bytes for it.
    Bytes payload = payload_of(example());
    put(payload, field.offset, field.max);
    EXPECT_EQ(error_of(sealed(payload)) == "accepted", field.offset == 40) << field.name;
  }
}

TEST(DecodePlan, RefusesMoreLogitsThanTokens) {
  Bytes payload = payload_of(example());
  put(payload, 36, 2);
  const std::string message = error_of(sealed(payload));
  EXPECT_NE(message.find("more logits than tokens"), std::string::npos) << message;
}

TEST(DecodePlan, RefusesANegativeBlock) {
  StepPlan plan = example();
  plan.prefills[0].new_blocks[0] = BlockId{-1};
  const std::string message = error_of(encode_plan(plan));
  EXPECT_NE(message.find("negative block"), std::string::npos) << message;
}

}  // namespace
}  // namespace lockstep
