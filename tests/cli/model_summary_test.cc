#include "cli/model_summary.h"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

// Two parts of one tensor each and a norm in /common: three leaves, the second shared by both
// parts.
Manifest small_manifest() {
  Manifest manifest;
  manifest.source_name = "small.gguf";
  manifest.source_type = "gguf";
  manifest.config.num_layers = 1;
  manifest.config.num_heads = 4;
  manifest.config.num_kv_heads = 2;
  manifest.parts = {
      Part{.heads = {0, 2}, .kv_heads = {0, 1}, .own_kv = {0, 1}, .ffn = {0, 32}, .vocab = {0, 16}},
      Part{.heads = {2, 4},
           .kv_heads = {1, 2},
           .own_kv = {1, 2},
           .ffn = {32, 96},
           .vocab = {16, 40}}};
  const auto add = [&](TensorKind kind, int part, std::uint64_t offset, std::uint64_t bytes) {
    StoredTensor tensor{.name = "", .kind = kind, .part = part, .layer = 0};
    tensor.format = part < 0 ? WeightFormat::kF32 : WeightFormat::kQ8_0;
    tensor.offset = offset;
    tensor.bytes = bytes;
    manifest.tensors.push_back(tensor);
  };
  add(TensorKind::kAttnNorm, -1, 4096, 100);
  add(TensorKind::kAttnQkv, 0, 8192, kLeafBytes);                   // Leaves 0 and 1.
  add(TensorKind::kAttnQkv, 1, kLeafBytes + 8192, kLeafBytes + 1);  // Leaves 1 and 2.
  StoredFile file;
  file.name = "model-00001.h5";
  file.bytes = 2 * kLeafBytes + 10'000;
  file.leaves.resize(3);
  manifest.files = {file};
  return manifest;
}

TEST(RankShares, GiveEveryRankItsRangesAndBytes) {
  const Manifest manifest = small_manifest();
  const auto shares = rank_shares(manifest, {{0, 1}, {1, 2}});
  ASSERT_EQ(shares.size(), 2U);
  EXPECT_EQ(shares[0].heads, (Range{0, 2}));
  EXPECT_EQ(shares[1].kv_heads, (Range{1, 2}));
  EXPECT_EQ(shares[1].ffn, (Range{32, 96}));
  EXPECT_EQ(shares[0].weight_bytes, kLeafBytes + 100);
  EXPECT_EQ(shares[0].read_bytes, 2 * kLeafBytes);
  EXPECT_EQ(shares[1].read_bytes, manifest.files[0].bytes);  // The norm is in leaf 0.
}

TEST(RankShares, CountALeafOnce) {
  const Manifest manifest = small_manifest();
  const auto shares = rank_shares(manifest, {{0, 2}});
  EXPECT_EQ(shares.front().read_bytes, manifest.files[0].bytes);
  EXPECT_EQ(shares.front().ffn, (Range{0, 96}));
}

TEST(ModelJson, HasTheKeysThatScriptsRelyOn) {
  const OrderedJson json = model_json("dir", small_manifest());
  for (const char* key :
       {"model_id", "weights_root", "config_hash", "tokenizer_hash", "template_hash",
        "manifest_hash", "architecture", "profile", "parts", "files"}) {
    EXPECT_TRUE(json.contains(key)) << key;
  }
  EXPECT_EQ(json["parts"][1]["ffn"], OrderedJson::array({32, 96}));
  EXPECT_EQ(json["parts"][1]["bytes"], kLeafBytes + 1);
  EXPECT_EQ(json["formats"]["q8_0"]["tensors"], 2);
  EXPECT_EQ(json["files"][0]["leaves"], 3);
}

TEST(RanksText, ShowsInclusiveRanges) {
  const std::string text = ranks_text(rank_shares(small_manifest(), {{0, 2}}));
  EXPECT_EQ(text,
            "Ranks\n"
            "  rank  parts  heads  kv heads  ffn columns  vocabulary  weights    reads\n"
            "     0    0-1    0-3       0-1         0-95        0-39  2.10 MB  2.11 MB\n");
}

}  // namespace
}  // namespace lockstep
