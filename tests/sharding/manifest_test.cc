#include <gtest/gtest.h>

#include <functional>

#include "base/canonical_json.h"
#include "sharding/import.h"
#include "sharding/store.h"
#include "sharding/store/cid.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/scratch_directory.h"

namespace lockstep {
namespace {

// The manifest of a small store; the files are gone by the time the tests run.
const std::string& small_manifest() {
  static const std::string kText = [] {
    const ScratchDirectory scratch;
    const auto manifest =
        import_gguf(scratch.write("in.gguf", tiny_llama().bytes()), scratch.file("store"), {});
    CHECK(manifest.ok(), "a small model can be imported");
    return read_text(scratch.file("store") + "/manifest.json");
  }();
  return kText;
}

// Changes the manifest and gives it a hash that fits again, as a forger would.
std::string forged(const std::function<void(Json&)>& change) {
  Json root = Json::parse(small_manifest());
  root.erase("manifest_hash");
  change(root);
  root["manifest_hash"] = sha256(as_bytes(root.dump())).hex();
  return root.dump();
}

void expect_refused(const std::function<void(Json&)>& change, const std::string& reason) {
  const auto manifest = manifest_from_json(forged(change));
  ASSERT_FALSE(manifest.ok()) << reason;
  EXPECT_NE(manifest.error().message.find(reason), std::string::npos) << manifest.error().message;
}

TEST(ManifestFromJson, RoundTrips) {
  const auto manifest = manifest_from_json(small_manifest());
  ASSERT_TRUE(manifest.ok()) << manifest.error().message;
  EXPECT_EQ(manifest_to_json(manifest.value()).value(), small_manifest());
  EXPECT_EQ(forged([](Json&) {}), small_manifest());
}

TEST(ManifestFromJson, RefusesRangesOutsideTheirFile) {
  expect_refused([](Json& root) { root["tensors"].back()["offset"] = 1 << 30; }, "ends behind");
  expect_refused([](Json& root) { root["tensors"][1]["offset"] = 0; }, "overlaps");
  expect_refused([](Json& root) { root["tensors"][1]["offset"] = 64; }, "no multiple of 4096");
  expect_refused([](Json& root) { root["tensors"][1]["file"] = 1; }, "\"file\"");
  expect_refused([](Json& root) { root["tensors"][1]["offset"] = -4096; }, "\"offset\"");
}

TEST(ManifestFromJson, RefusesTensorsThatTheArchitectureHasNot) {
  expect_refused([](Json& root) { root["tensors"].erase(3); }, "tensors: there are");
  expect_refused([](Json& root) { root["tensors"][3]["rows"] = 65; }, "entry 3");
  expect_refused([](Json& root) { root["tensors"][3]["bytes"] = 1; }, "entry 3");
  expect_refused([](Json& root) { root["tensors"][3]["format"] = "q9_9"; }, "entry 3");
  expect_refused([](Json& root) { root["tensors"][3]["layout"] = "p17"; }, "entry 3");
  expect_refused([](Json& root) { root["tensors"][3]["name"] = "/../x"; }, "entry 3");
}

TEST(ManifestFromJson, RefusesPartsThatBreakTheRule) {
  expect_refused([](Json& root) { root["parts"][0]["heads"] = {0, 1}; }, "part 0");
  expect_refused([](Json& root) { root["parts"].push_back(root["parts"][0]); }, "parts");
  expect_refused([](Json& root) { root["parts"] = Json::array(); }, "parts");
}

TEST(ManifestFromJson, RefusesAConfigThatDoesNotFit) {
  expect_refused([](Json& root) { root["config"]["num_kv_heads"] = 3; }, "config");
  expect_refused([](Json& root) { root["config"]["head_size"] = 513; }, "head_size");
  expect_refused([](Json& root) { root["config"]["num_layers"] = 1000; }, "blk.2.attn_q.weight");
  expect_refused([](Json& root) { root["config"]["rms_epsilon_bits"] = 0x7FC00000; }, "rms");
  expect_refused([](Json& root) { root["config"]["rope_frequency_bits"].erase(0); }, "RoPE");
  expect_refused([](Json& root) { root["config"]["rope_frequency_bits"][0] = UINT64_MAX; }, "bits");
  expect_refused([](Json& root) { root["profile"]["kv_bits"] = 12; }, "profile");
}

TEST(ManifestFromJson, RefusesHashesThatDoNotFit) {
  const std::string other(64, '1');
  expect_refused([&](Json& root) { root["hashes"]["config_hash"] = other; }, "config_hash");
  expect_refused([&](Json& root) { root["hashes"]["model_id"] = other; }, "model_id");
  expect_refused([&](Json& root) { root["hashes"]["weights_root"] = other; }, "model_id");
  expect_refused([&](Json& root) { root["hashes"]["weights_root"] = "x"; }, "weights_root");
  expect_refused([](Json& root) { root["profile"]["kv_bits"] = 8; }, "config_hash");
}

TEST(ManifestFromJson, RefusesFilesThatDoNotFit) {
  expect_refused([](Json& root) { root["files"][0]["name"] = "../model-00001.h5"; },
                 "is not called");
  expect_refused([](Json& root) { root["files"][0]["leaves"].erase(0); }, "leaf hashes");
  expect_refused([](Json& root) { root["files"][0]["leaves"][0] = std::string(64, '0'); }, "CID");
  expect_refused([](Json& root) { root["files"][0]["cid"] = "bafk"; }, "CID");
  expect_refused([](Json& root) { root["files"] = Json::array(); }, "\"file\"");
}

TEST(ManifestFromJson, RefusesWhatItDoesNotKnow) {
  expect_refused([](Json& root) { root["more"] = 1; }, "canonical");
  expect_refused([](Json& root) { root["config"]["more"] = 1; }, "canonical");
  expect_refused([](Json& root) { root["schema"] = "other"; }, "schema");
  expect_refused([](Json& root) { root["schema_version"] = 2; }, "import the model again");
  expect_refused([](Json& root) { root["numerics"] = 2; }, "import the model again");
}

TEST(ManifestFromJson, RefusesEveryMissingKey) {
  const Json root = Json::parse(small_manifest());
  for (const auto& [key, value] : root.items()) {
    if (key == "manifest_hash") continue;
    EXPECT_FALSE(manifest_from_json(forged([&](Json& r) { r.erase(key); })).ok()) << key;
    if (!value.is_object()) continue;
    for (const auto& [inner, ignored] : value.items()) {
      EXPECT_FALSE(manifest_from_json(forged([&](Json& r) { r[key].erase(inner); })).ok()) << inner;
    }
  }
}

TEST(ManifestFromJson, RefusesOtherSpellingsOfTheSameValue) {
  std::string spaced = small_manifest();
  spaced.insert(1, " ");
  EXPECT_FALSE(manifest_from_json(spaced).ok());
  EXPECT_FALSE(manifest_from_json(small_manifest() + "\n").ok());
}

TEST(ManifestFromJson, RefusesEveryTruncation) {
  const std::string& text = small_manifest();
  for (std::size_t size = 0; size < text.size(); size += 1024) {
    EXPECT_FALSE(manifest_from_json(std::string_view(text).substr(0, size)).ok()) << size;
  }
}

// A forger's mutations: the hash is made to fit, so that the checks behind it are reached.
TEST(ManifestFromJson, SurvivesMutations) {
  const char* seed_text = std::getenv("LOCKSTEP_SEED");
  const std::uint64_t seed = seed_text == nullptr ? 1 : std::stoull(seed_text);
  const int count = std::getenv("LOCKSTEP_LONG") == nullptr ? 200 : 10000;
  std::mt19937_64 random(seed);
  for (int i = 0; i < count; ++i) {
    std::string text = small_manifest();
    for (std::uint64_t change = 0; change < 1 + random() % 3; ++change) {
      const std::size_t at = random() % text.size();
      text[at] =
          random() % 2 == 0 ? static_cast<char>('0' + random() % 10) : static_cast<char>(random());
    }
    if (Json root = Json::parse(text, nullptr, false); root.is_object() && i % 4 != 0) {
      root.erase("manifest_hash");
      try {
        root["manifest_hash"] = sha256(as_bytes(root.dump())).hex();
        text = root.dump();
      } catch (const Json::exception&) {  // Text that is no UTF-8.
      }
    }
    const auto manifest = manifest_from_json(text);
    if (manifest.ok()) {
      EXPECT_EQ(manifest_to_json(manifest.value()).value(), text) << "seed " << seed << " " << i;
    } else {
      EXPECT_FALSE(manifest.error().message.empty());
    }
  }
}

}  // namespace
}  // namespace lockstep
