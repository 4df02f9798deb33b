#include "sharding/store/weights_root.h"

#include <gtest/gtest.h>

#include "base/tagged_hash.h"

namespace lockstep {
namespace {

Bytes row_bytes(std::size_t tensor, std::int64_t row) {
  Bytes bytes;
  append_le(bytes, static_cast<std::uint64_t>(tensor));
  append_le(bytes, row);
  return bytes;
}

// As chain design's "Identifiers" reads, all leaves at once.
Digest slow_root(const std::vector<SourceTensor>& tensors) {
  std::vector<Digest> leaves;
  for (std::size_t t = 0; t < tensors.size(); ++t) {
    for (std::uint64_t row = 0; row < static_cast<std::uint64_t>(tensors[t].rows); ++row) {
      leaves.push_back(TaggedHash("row")
                           .add(keccak256(tensors[t].name))
                           .add(row)
                           .add(keccak256(row_bytes(t, static_cast<std::int64_t>(row))))
                           .digest());
    }
  }
  return ordered_tree_root(leaves);
}

Result<ByteView> read(std::size_t tensor, std::int64_t row, Bytes& scratch) {
  scratch = row_bytes(tensor, row);
  return ByteView(scratch);
}

TEST(WeightsRoot, EqualsTheOrderedTreeOverAllRows) {
  for (const int rows : {1, 2, 3, 5, 4095, 4096, 4097, 9000, 12289}) {
    const std::vector<SourceTensor> tensors = {{"a", WeightFormat::kF32, 1, 2},
                                               {"b", WeightFormat::kQ8_0, rows, 2}};
    const auto root = weights_root(tensors, read, 2);
    ASSERT_TRUE(root.ok());
    EXPECT_EQ(root.value(), slow_root(tensors)) << rows;
  }
}

TEST(WeightsRoot, ReturnsTheReadersError) {
  const std::vector<SourceTensor> tensors = {{"a", WeightFormat::kF32, 9000, 2}};
  const auto root = weights_root(
      tensors,
      [](std::size_t tensor, std::int64_t row, Bytes& scratch) -> Result<ByteView> {
        if (row == 5000) return Error{ErrorCode::kCorrupt, "row 5000"};
        return read(tensor, row, scratch);
      },
      2);
  ASSERT_FALSE(root.ok());
  EXPECT_NE(root.error().message.find("row 5000"), std::string::npos);
}

}  // namespace
}  // namespace lockstep
