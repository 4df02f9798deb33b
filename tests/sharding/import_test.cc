#include "sharding/import.h"

#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <set>

#include "sharding/store/model_hashes.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/scratch_directory.h"

namespace lockstep {
namespace {

class ImportGguf : public testing::Test {
 protected:
  Result<Manifest> import(const GgufWriter& writer, const std::string& name,
                          const ImportOptions& options = {}) {
    return import_gguf(scratch_.write("in.gguf", writer.bytes()), scratch_.file(name), options);
  }

  Manifest must_import(const GgufWriter& writer, const std::string& name,
                       const ImportOptions& options = {}) {
    auto manifest = import(writer, name, options);
    EXPECT_TRUE(manifest.ok()) << manifest.error().message;
    return manifest.ok() ? std::move(manifest).value() : Manifest{};
  }

  void must_verify(const std::string& name) {
    const auto store = Store::open(scratch_.file(name));
    ASSERT_TRUE(store.ok()) << store.error().message;
    const Status status = store.value().verify();
    EXPECT_TRUE(status.ok()) << status.error().message;
  }

  // Everything in the scratch directory but the input.
  std::vector<std::string> left_over() const {
    std::vector<std::string> out;
    for (const auto& entry : std::filesystem::directory_iterator(scratch_.path())) {
      if (entry.path().filename() != "in.gguf") out.push_back(entry.path().filename());
    }
    return out;
  }

  ScratchDirectory scratch_;
};

TEST_F(ImportGguf, MakesAStoreThatVerifies) {
  const Manifest manifest = must_import(tiny_llama(), "store");
  EXPECT_EQ(manifest.parts.size(), 2u);
  EXPECT_EQ(manifest.source_name, "in.gguf");
  EXPECT_EQ(left_over(), std::vector<std::string>{"store"});
  must_verify("store");
}

TEST_F(ImportGguf, TakesEveryMixOfFormats) {
  using enum GgufTensorType;
  for (const auto type : {kF32, kF16, kBf16, kQ4_0, kQ4_1, kQ8_0}) {
    TinyLlama shape;
    shape.attention = type;
    shape.value = type == kQ4_0 ? kQ8_0 : kQ4_0;
    shape.gate = type;
    shape.up = kQ4_1;
    shape.embedding = type;
    shape.tied = false;
    const std::string name(gguf_tensor_type_name(type));
    must_import(tiny_llama(shape), name);
    must_verify(name);
  }
}

TEST_F(ImportGguf, PadsDimensionsThatAreNoMultiplesOf32) {
  TinyLlama shape;
  shape.dim = 40;
  shape.ffn = 75;
  shape.heads = 5;
  shape.kv_heads = 5;
  shape.head_size = 8;
  shape.vocab = 33;
  shape.attention = shape.value = shape.gate = shape.up = shape.embedding = GgufTensorType::kF32;
  const Manifest manifest = must_import(tiny_llama(shape), "store");
  EXPECT_EQ(manifest.parts.back().ffn.end, 96);
  must_verify("store");
}

TEST_F(ImportGguf, StoresASharedKeyValueHeadOnce) {
  TinyLlama shape;
  shape.heads = 2;
  shape.kv_heads = 1;
  shape.head_size = 32;
  for (const auto value : {GgufTensorType::kQ4_1, GgufTensorType::kQ4_0}) {
    shape.value = value;
    const bool fused = value == shape.attention;
    const std::string name = fused ? "fused" : "apart";
    const Manifest manifest = must_import(tiny_llama(shape), name);
    ASSERT_EQ(manifest.parts.size(), 2u);
    EXPECT_EQ(manifest.find(TensorKind::kSharedKv, 0, 1) != nullptr, fused);
    EXPECT_EQ(manifest.find(TensorKind::kSharedV, 0, 1) != nullptr, !fused);
    EXPECT_EQ(manifest.find(TensorKind::kSharedKv, 1, 1), nullptr);
    EXPECT_EQ(manifest.find(TensorKind::kAttnK, 1, 1), nullptr);
    must_verify(name);
  }
}

TEST_F(ImportGguf, GivesEqualBytesTwice) {
  must_import(tiny_llama(), "first");
  must_import(tiny_llama(), "second");
  for (const char* name : {"/manifest.json", "/model-00001.h5"}) {
    const std::string first = read_text(scratch_.file("first") + name);
    EXPECT_FALSE(first.empty());
    EXPECT_TRUE(first == read_text(scratch_.file("second") + name)) << name;
  }
}

TEST_F(ImportGguf, GivesTheSameModelForAnyFileSize) {
  const Manifest whole = must_import(tiny_llama(), "whole");
  for (const std::uint64_t bytes :
       {std::uint64_t{1}, std::uint64_t{200} << 10, std::uint64_t{3} << 20}) {
    ImportOptions options;
    options.file_bytes = bytes;
    const std::string name = "split" + std::to_string(bytes);
    const Manifest split = must_import(tiny_llama(), name, options);
    EXPECT_GT(split.files.size(), 1u);
    EXPECT_EQ(split.model_id, whole.model_id);
    EXPECT_EQ(split.weights_root, whole.weights_root);
    EXPECT_EQ(split.config_hash, whole.config_hash);
    EXPECT_NE(split.manifest_hash, whole.manifest_hash);
    must_verify(name);
    std::map<int, int> datasets;
    for (const StoredTensor& tensor : split.tensors) ++datasets[tensor.file];
    for (std::size_t i = 0; i < split.files.size(); ++i) {
      EXPECT_TRUE(split.files[i].bytes <= bytes || datasets[static_cast<int>(i)] == 1) << name << i;
    }
  }
}

TEST_F(ImportGguf, AlignsDatasetsAndParts) {
  const Manifest manifest = must_import(tiny_llama(), "store");
  int part = -1;
  for (const StoredTensor& tensor : manifest.tensors) {
    const std::uint64_t alignment = tensor.part != part ? 2 << 20 : 4096;
    EXPECT_EQ(tensor.offset % alignment, 0u) << tensor.name;
    part = tensor.part;
  }
}

TEST_F(ImportGguf, GivesEveryProfileAndPartCountItsOwnModel) {
  std::set<Digest> ids;
  for (const int parts : {1, 2}) {
    for (const int bits : {8, 16}) {
      ImportOptions options;
      options.parts = parts;
      options.activation_bits = bits;
      const std::string name = std::to_string(parts) + "-" + std::to_string(bits);
      ids.insert(must_import(tiny_llama(), name, options).model_id);
    }
  }
  EXPECT_EQ(ids.size(), 4u);
}

TEST_F(ImportGguf, RefusesOptionsThatAreNotLegal) {
  ImportOptions options;
  options.parts = 3;
  EXPECT_FALSE(import(tiny_llama(), "store", options).ok());
  options = {};
  options.kv_bits = 12;
  EXPECT_FALSE(import(tiny_llama(), "store", options).ok());
  options = {};
  options.file_bytes = 0;
  EXPECT_FALSE(import(tiny_llama(), "store", options).ok());
  EXPECT_TRUE(left_over().empty());
}

TEST_F(ImportGguf, RefusesADirectoryThatExists) {
  std::filesystem::create_directory(scratch_.file("store"));
  const auto manifest = import(tiny_llama(), "store");
  ASSERT_FALSE(manifest.ok());
  EXPECT_EQ(manifest.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(left_over(), std::vector<std::string>{"store"});
}

TEST_F(ImportGguf, NamesTensorAndRowOfAScaleThatIsNotFinite) {
  GgufWriter writer = tiny_llama();
  Bytes& data = writer.tensor("blk.1.ffn_up.weight").data;
  data[7 * 36 + 1] =
      0x7C;  // 64 columns are two blocks of 18 bytes; this is the scale of row 7's first.
  const auto manifest = import(writer, "store");
  ASSERT_FALSE(manifest.ok());
  EXPECT_NE(manifest.error().message.find("tensor blk.1.ffn_up.weight: row 7"), std::string::npos)
      << manifest.error().message;
  EXPECT_TRUE(left_over().empty());
}

TEST_F(ImportGguf, LeavesNothingWhenCancelled) {
  // At once, and when the first report is made, with files already there.
  for (const bool at_once : {true, false}) {
    std::atomic<bool> cancelled = at_once;
    ImportOptions options;
    options.cancelled = &cancelled;
    options.progress = [&](std::uint64_t, std::uint64_t) { cancelled = true; };
    options.file_bytes = 1;
    TinyLlama shape;
    shape.vocab = 65536;  // 4 MiB of embedding, so that progress is reported on the way.
    const auto manifest = import(tiny_llama(shape), "store", options);
    ASSERT_FALSE(manifest.ok());
    EXPECT_EQ(manifest.error().code, ErrorCode::kAborted);
    EXPECT_TRUE(left_over().empty());
  }
}

TEST_F(ImportGguf, LeavesNothingWhenAFileMayNotGrow) {
  struct rlimit before {};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const std::string input = scratch_.write("in.gguf", tiny_llama().bytes());
  const struct rlimit small = {1 << 20, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const auto manifest = import_gguf(input, scratch_.file("store"), {});
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  ASSERT_FALSE(manifest.ok());
  EXPECT_EQ(manifest.error().code, ErrorCode::kExhausted);
  EXPECT_TRUE(left_over().empty());
}

// A small disk that fills up while the import runs.
TEST_F(ImportGguf, LeavesNothingWhenTheDiskFillsUp) {
  const std::string disk = scratch_.file("disk");
  std::filesystem::create_directory(disk);
  if (::mount("none", disk.c_str(), "tmpfs", 0, "size=48m") != 0) {
    GTEST_SKIP() << "mounting a small tmpfs needs root";
  }
  TinyLlama shape;
  shape.vocab = 3 << 16;  // 12 MiB of embedding, in the source and in the store.
  const std::string input = scratch_.write("in.gguf", tiny_llama(shape).bytes());
  // Before it starts, so that HDF5 meets the full disk; at the first and the second report, with
  // most of the data still to be written.
  for (const int fill_at : {0, 1, 2}) {
    int reports = 0;
    const auto fill = [&] {
      if (reports++ != fill_at) return;
      std::ofstream out(disk + "/filler", std::ios::binary);
      const std::vector<char> page(4096, 'x');
      while (out.write(page.data(), 4096).flush()) {
      }
    };
    fill();
    ImportOptions options;
    options.progress = [&](std::uint64_t, std::uint64_t) { fill(); };
    const auto manifest = import_gguf(input, disk + "/store", options);
    ASSERT_FALSE(manifest.ok()) << fill_at;
    EXPECT_EQ(manifest.error().code, ErrorCode::kExhausted) << manifest.error().message;
    std::filesystem::remove(disk + "/filler");
    EXPECT_TRUE(std::filesystem::is_empty(disk)) << fill_at;
  }
  ::umount(disk.c_str());
}

TEST_F(ImportGguf, RefusesATruncatedFile) {
  const Bytes whole = tiny_llama().bytes();
  for (std::size_t size = 0; size < whole.size(); size += 1024) {
    scratch_.write("in.gguf", ByteView(whole).first(size));
    EXPECT_FALSE(import_gguf(scratch_.file("in.gguf"), scratch_.file("store"), {}).ok()) << size;
  }
  EXPECT_TRUE(left_over().empty());
}

// Mutations: an error, or a store that verifies. Half of them hit the tables in front of the data.
TEST_F(ImportGguf, SurvivesMutations) {
  const char* seed_text = std::getenv("LOCKSTEP_SEED");
  const std::uint64_t seed = seed_text == nullptr ? 1 : std::stoull(seed_text);
  const int count = std::getenv("LOCKSTEP_LONG") == nullptr ? 50 : 10000;
  TinyLlama shape;
  shape.layers = 1;
  const Bytes whole = tiny_llama(shape).bytes();
  std::size_t tables = whole.size();
  if (const auto file = GgufFile::parse(whole); file.ok()) {
    for (const GgufTensor& tensor : file.value().tensors()) {
      tables = std::min(tables, static_cast<std::size_t>(tensor.data.data() - whole.data()));
    }
  }
  std::mt19937_64 random(seed);
  int accepted = 0;
  for (int i = 0; i < count; ++i) {
    Bytes mutated = whole;
    const int changes = 1 + static_cast<int>(random() % 3);
    for (int change = 0; change < changes; ++change) {
      const std::size_t at = random() % (random() % 2 == 0 ? whole.size() : tables);
      mutated[at] = random() % 2 == 0 ? static_cast<std::uint8_t>(random())
                                      : mutated[at] ^ static_cast<std::uint8_t>(1 << random() % 8);
    }
    scratch_.write("in.gguf", mutated);
    const auto manifest = import_gguf(scratch_.file("in.gguf"), scratch_.file("store"), {});
    if (!manifest.ok()) {
      EXPECT_FALSE(manifest.error().message.empty());
      continue;
    }
    ++accepted;
    if (accepted % 8 == 1) must_verify("store");
    std::filesystem::remove_all(scratch_.file("store"));
    ASSERT_FALSE(HasFailure()) << "seed " << seed << " mutation " << i;
  }
  EXPECT_GT(accepted, 0);
  EXPECT_LT(accepted, count);
  EXPECT_TRUE(left_over().empty());
}

}  // namespace
}  // namespace lockstep
