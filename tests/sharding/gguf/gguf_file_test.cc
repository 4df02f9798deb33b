#include "sharding/gguf/gguf_file.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "sharding/gguf/gguf_value.h"
#include "tests/support/gguf_writer.h"

namespace lockstep {
namespace {

std::string parse_error(const Bytes& bytes) {
  const auto file = GgufFile::parse(bytes);
  return file.ok() ? "" : file.error().message;
}

void expect_refused(const Bytes& bytes, const std::string& reason) {
  EXPECT_NE(parse_error(bytes).find(reason), std::string::npos) << parse_error(bytes);
}

GgufWriter one_tensor() {
  GgufWriter writer;
  writer.tensor("t") = {{32, 2}, GgufTensorType::kQ8_0, Bytes(68, 1)};
  return writer;
}

TEST(GgufFileParse, FindsKeysAndTensors) {
  GgufWriter writer = one_tensor();
  writer.set_u32("b", 7).set_text("a", "x");
  const Bytes bytes = writer.bytes();
  const auto file = GgufFile::parse(bytes);
  ASSERT_TRUE(file.ok()) << file.error().message;
  ASSERT_EQ(file.value().values().size(), 2u);
  EXPECT_EQ(gguf_integer(*file.value().find_value("b")).value(), 7u);
  EXPECT_EQ(gguf_text(*file.value().find_value("a")).value(), "x");
  EXPECT_EQ(file.value().find_value("c"), nullptr);
  const GgufTensor* tensor = file.value().find_tensor("t");
  ASSERT_NE(tensor, nullptr);
  EXPECT_EQ(tensor->rows, 2);
  EXPECT_EQ(tensor->k, 32);
  EXPECT_EQ(tensor->row_bytes, 34u);
  EXPECT_EQ(Bytes(tensor->data.begin(), tensor->data.end()), Bytes(68, 1));
}

TEST(GgufFileParse, AcceptsVersionTwoAndRefusesOthersByNumber) {
  EXPECT_EQ(parse_error(one_tensor().bytes(2)), "");
  expect_refused(one_tensor().bytes(1), "version 1");
  expect_refused(one_tensor().bytes(4), "version 4");
  expect_refused(one_tensor().bytes(0x03000000), "big-endian");
}

TEST(GgufFileParse, RefusesAnotherMagic) {
  Bytes bytes = one_tensor().bytes();
  bytes[0] = 'g';
  expect_refused(bytes, "is no GGUF file");
}

TEST(GgufFileParse, RefusesEveryTruncation) {
  const Bytes whole = one_tensor().set_text("key", "value").bytes();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_NE(parse_error(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size))),
              "")
        << size;
  }
}

TEST(GgufFileParse, RefusesCountsThatTheFileCannotHold) {
  Bytes tensors = one_tensor().bytes();
  tensors[14] = 0xFF;  // Bits 48 to 55 of the tensor count.
  expect_refused(tensors, "tensor count");
  Bytes keys = one_tensor().bytes();
  keys[23] = 0x80;  // The highest bit of the key count.
  expect_refused(keys, "key count");
}

TEST(GgufFileParse, RefusesTypesByName) {
  GgufWriter writer = one_tensor();
  writer.tensor("t").type = static_cast<GgufTensorType>(14);
  expect_refused(writer.bytes(), "tensor \"t\": type Q6_K is not supported");
  writer.tensor("t").type = static_cast<GgufTensorType>(99);
  expect_refused(writer.bytes(), "number 99");
}

TEST(GgufFileParse, RefusesDimensionsThatDoNotFit) {
  const std::vector<std::vector<std::uint64_t>> wrong = {
      {},
      {1, 1, 1, 1, 1},
      {0, 2},
      {32, 0},
      {33, 2},
      {32, 3},
      {std::uint64_t{1} << 63, 2},
      {std::uint64_t{1} << 30, 1 << 20, 1 << 20}};
  for (const auto& dims : wrong) {
    GgufWriter writer = one_tensor();
    writer.tensor("t").dims = dims;
    expect_refused(writer.bytes(), "tensor");
  }
}

TEST(GgufFileParse, RefusesOverlapAndMisalignment) {
  GgufWriter writer = one_tensor();
  writer.tensor("u") = {{32, 2}, GgufTensorType::kQ8_0, Bytes(68, 2)};
  const Bytes bytes = writer.bytes();
  ASSERT_EQ(parse_error(bytes), "");
  // The offset of "u" is the last field of the table: its entry ends 8 bytes behind the offset's
  // begin.
  const std::string entry = {1, 0, 0, 0, 0, 0, 0, 0, 'u', 2, 0, 0, 0};
  const auto at = std::search(bytes.begin(), bytes.end(), entry.begin(), entry.end());
  const auto offset = static_cast<std::size_t>(at - bytes.begin()) + entry.size() + 16 + 4;
  Bytes overlap = bytes;
  ASSERT_EQ(overlap[offset], 96);
  overlap[offset] = 64;
  expect_refused(overlap, "overlaps");
  Bytes misaligned = bytes;
  misaligned[offset] = 97;
  expect_refused(misaligned, "alignment");
}

TEST(GgufFileParse, RefusesDuplicates) {
  GgufWriter writer;
  writer.set_u32("aa", 1).set_u32("ab", 2);
  Bytes bytes = writer.bytes();
  const std::string key = "ab";
  *(std::search(bytes.begin(), bytes.end(), key.begin(), key.end()) + 1) = 'a';
  expect_refused(bytes, "key \"aa\" is there twice");
}

TEST(GgufFileParse, RespectsTheAlignmentKey) {
  GgufWriter writer = one_tensor();
  for (const std::uint32_t wrong : {0U, 24U, 1U << 31}) {
    writer.set_u32("general.alignment", wrong);
    expect_refused(writer.bytes(), "general.alignment");
  }
}

TEST(GgufFileParse, BoundsNestedArrays) {
  Bytes nested;
  for (int i = 0; i < 5; ++i) {
    append_le(nested, std::uint32_t{9});
    append_le(nested, std::uint64_t{1});
  }
  GgufWriter writer;
  writer.set("deep", GgufValueType::kArray, nested);
  expect_refused(writer.bytes(), "nest");
  Bytes long_array;
  append_le(long_array, std::uint32_t{8});
  append_le(long_array, std::uint64_t{1} << 60);
  writer.set("deep", GgufValueType::kArray, long_array);
  expect_refused(writer.bytes(), "truncated");
  writer.set("deep", static_cast<GgufValueType>(13), {});
  expect_refused(writer.bytes(), "value type 13");
}

TEST(GgufValueAppendJson, WritesCanonicalText) {
  GgufWriter writer;
  writer.set_floats("floats", {1.5F, -0.0F}).set_bool("flag", true);
  writer.set_text("text", "a\"\\\n\x01\x7F/é😀");
  const Bytes bytes = writer.bytes();
  const auto file = GgufFile::parse(bytes);
  ASSERT_TRUE(file.ok());
  const auto json = [&](const char* key) {
    std::string out;
    EXPECT_TRUE(append_gguf_json(*file.value().find_value(key), 1000, out).ok());
    return out;
  };
  EXPECT_EQ(json("floats"), "[1069547520,2147483648]");
  EXPECT_EQ(json("flag"), "true");
  EXPECT_EQ(json("text"), "\"a\\\"\\\\\\n\\u0001\x7F/é😀\"");
}

TEST(GgufValueAppendJson, RefusesTextThatIsNoUtf8) {
  for (const char* wrong :
       {"\x80", "\xC3", "\xC0\xAF", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xFF"}) {
    std::string out;
    EXPECT_FALSE(append_json_string(wrong, out)) << wrong;
  }
}

}  // namespace
}  // namespace lockstep
