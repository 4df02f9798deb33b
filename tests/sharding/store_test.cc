#include "sharding/store.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "base/huge_arena.h"
#include "sharding/import.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/scratch_directory.h"

namespace lockstep {
namespace {

// One store for all tests of this file; a test that damages it copies it first.
class StoreTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    scratch_ = new ScratchDirectory;
    TinyLlama shape;
    shape.heads = 2;
    shape.kv_heads = 1;
    shape.head_size = 32;
    ImportOptions options;
    options.file_bytes = 3 << 20;
    const auto manifest = import_gguf(scratch_->write("in.gguf", tiny_llama(shape).bytes()),
                                      scratch_->file("store"), options);
    ASSERT_TRUE(manifest.ok()) << manifest.error().message;
  }
  static void TearDownTestSuite() {
    delete scratch_;
    scratch_ = nullptr;
  }

  static Store open(const std::string& name = "store") {
    auto store = Store::open(scratch_->file(name));
    CHECK(store.ok(), "the store opens");
    return std::move(store).value();
  }

  // A copy of the store with one byte of a file flipped.
  static std::string damaged(const std::string& file, std::uint64_t at) {
    const std::string copy = scratch_->file("damaged");
    std::filesystem::remove_all(copy);
    std::filesystem::copy(scratch_->file("store"), copy);
    flip(copy, file, at);
    return copy;
  }

  static void flip(const std::string& copy, const std::string& file, std::uint64_t at) {
    std::fstream stream(copy + "/" + file, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekg(static_cast<std::streamoff>(at));
    const char byte = static_cast<char>(stream.get() ^ 1);
    stream.seekp(static_cast<std::streamoff>(at));
    stream.put(byte);
  }

  static Bytes stored_bytes(const Store& store, const StoredTensor& tensor) {
    const std::string text =
        read_text(store.directory() + "/" +
                  store.manifest().files[static_cast<std::size_t>(tensor.file)].name);
    const auto begin = text.begin() + static_cast<std::ptrdiff_t>(tensor.offset);
    return Bytes(begin, begin + static_cast<std::ptrdiff_t>(tensor.bytes));
  }

  static ScratchDirectory* scratch_;
};

ScratchDirectory* StoreTest::scratch_ = nullptr;

TEST_F(StoreTest, LoadGivesTheBytesOfTheFiles) {
  const Store store = open();
  const auto wanted = tensors_of(store.manifest(), {0, 2});
  const auto loaded = store.load(wanted);
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  std::uint64_t bytes = 0;
  for (const StoredTensor* tensor : wanted) {
    const std::uint8_t* data = loaded.value().data(*tensor);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(data) % 64, 0u);
    EXPECT_EQ(Bytes(data, data + tensor->bytes), stored_bytes(store, *tensor)) << tensor->name;
    bytes += tensor->bytes;
  }
  EXPECT_EQ(loaded.value().weight_bytes(), bytes);
}

TEST_F(StoreTest, LoadReadsOnlyTheLeavesThatItNeeds) {
  const Store store = open();
  const auto wanted = tensors_of(store.manifest(), {1, 2});
  std::set<std::pair<int, std::uint64_t>> leaves;
  for (const StoredTensor* tensor : wanted) {
    for (std::uint64_t at = tensor->offset; at < tensor->offset + tensor->bytes; ++at) {
      leaves.insert({tensor->file, at / kLeafBytes});
    }
  }
  std::uint64_t bytes = 0;
  for (const auto& [file, leaf] : leaves) {
    const StoredFile& entry = store.manifest().files[static_cast<std::size_t>(file)];
    bytes += std::min(kLeafBytes, entry.bytes - leaf * kLeafBytes);
  }
  const auto loaded = store.load(wanted);
  ASSERT_TRUE(loaded.ok());
  EXPECT_EQ(loaded.value().bytes_read(), bytes);
}

TEST_F(StoreTest, LoadOfNothingReadsNothing) {
  const auto loaded = open().load({});
  ASSERT_TRUE(loaded.ok());
  EXPECT_EQ(loaded.value().bytes_read(), 0u);
}

TEST_F(StoreTest, TensorsOfAddsTheSharedHeadsOfOtherParts) {
  const Store store = open();
  std::set<std::string> names;
  for (const StoredTensor* tensor : tensors_of(store.manifest(), {1, 2}))
    names.insert(tensor->name);
  EXPECT_TRUE(names.contains("/part_00/shared_kv/layer_01/attn_kv"));
  EXPECT_TRUE(names.contains("/part_01/layer_01/attn_qkv"));
  EXPECT_TRUE(names.contains("/common/layer_01/attn_norm"));
  EXPECT_FALSE(names.contains("/part_00/layer_01/attn_qkv"));
  EXPECT_FALSE(names.contains("/common/tokenizer"));
}

TEST_F(StoreTest, ReadBlobGivesTokenizerAndTemplate) {
  const Store store = open();
  EXPECT_EQ(store.read_blob(TensorKind::kChatTemplate).value(), "{{ messages }}");
  EXPECT_NE(store.read_blob(TensorKind::kTokenizer).value().find("tokenizer.ggml.tokens"),
            std::string::npos);
}

TEST_F(StoreTest, VerifyAcceptsWhatWasImported) { EXPECT_TRUE(open().verify().ok()); }

TEST_F(StoreTest, VerifyNamesFileAndLeafOfAFlippedByte) {
  const Store store = open();
  ASSERT_GT(store.manifest().files.size(), 1u);
  for (const StoredFile& file : store.manifest().files) {
    for (std::uint64_t leaf = 0; leaf < file.leaves.size(); ++leaf) {
      const std::uint64_t at = std::min(leaf * kLeafBytes + 12345, file.bytes - 1);
      damaged(file.name, at);
      const Status status = open("damaged").verify();
      ASSERT_FALSE(status.ok());
      EXPECT_EQ(status.error().code, ErrorCode::kCorrupt);
      EXPECT_NE(status.error().message.find(file.name + ": leaf " + std::to_string(leaf) + ":"),
                std::string::npos)
          << status.error().message;
    }
  }
}

TEST_F(StoreTest, LoadRefusesADamagedLeafOnlyWhereItIsRead) {
  const Store store = open();
  const StoredTensor* tensor = store.manifest().find(TensorKind::kFfnDown, 1, 1);
  ASSERT_NE(tensor, nullptr);
  const std::string file = store.manifest().files[static_cast<std::size_t>(tensor->file)].name;
  damaged(file, tensor->offset + 5);
  const Store bad = open("damaged");
  EXPECT_TRUE(bad.load(tensors_of(bad.manifest(), {0, 1})).ok());
  const auto loaded = bad.load(tensors_of(bad.manifest(), {1, 2}));
  ASSERT_FALSE(loaded.ok());
  EXPECT_EQ(loaded.error().code, ErrorCode::kCorrupt);
  EXPECT_NE(loaded.error().message.find(file + ": leaf " +
                                        std::to_string(tensor->offset / kLeafBytes) + ":"),
            std::string::npos)
      << loaded.error().message;
}

TEST_F(StoreTest, LoadGivesTheSameForAnyNumberOfThreads) {
  const Store store = open();
  const auto wanted = tensors_of(store.manifest(), {0, 2});
  for (const int threads : {1, 2, 3, 16}) {
    const auto loaded = store.load(wanted, threads);
    ASSERT_TRUE(loaded.ok()) << loaded.error().message;
    EXPECT_EQ(loaded.value().bytes_read(), store.load(wanted).value().bytes_read());
    for (const StoredTensor* tensor : wanted) {
      const std::uint8_t* data = loaded.value().data(*tensor);
      EXPECT_EQ(Bytes(data, data + tensor->bytes), stored_bytes(store, *tensor)) << tensor->name;
    }
  }
}

TEST_F(StoreTest, LoadBeginsAtAHugePage) {
  const Store store = open();
  const auto loaded = store.load(tensors_of(store.manifest(), {0, 2}));
  ASSERT_TRUE(loaded.ok());
  const StoredTensor& first = *store.manifest().find(TensorKind::kAttnNorm, -1, 0);
  ASSERT_EQ(first.file, 0);
  const std::uint8_t* begin = loaded.value().data(first) - first.offset % kLeafBytes;
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(begin) % kHugePageBytes, 0u);
}

TEST_F(StoreTest, StopLoadingEndsLoadsOfAllCopies) {
  const Store store = open();
  const Store copy = store;
  const auto wanted = tensors_of(store.manifest(), {0, 2});
  store.stop_loading();
  const auto loaded = copy.load(wanted);
  ASSERT_FALSE(loaded.ok());
  EXPECT_EQ(loaded.error().code, ErrorCode::kAborted);
  EXPECT_TRUE(open().load(wanted).ok());
}

TEST_F(StoreTest, LoadNamesTheFirstBadLeafWhateverTheThreads) {
  const Store store = open();
  const auto wanted = tensors_of(store.manifest(), {0, 2});
  // Every tensor's first byte is wrong from the `good`-th tensor on.
  for (std::size_t good = 0; good < wanted.size(); ++good) {
    const std::string first_file =
        store.manifest().files[static_cast<std::size_t>(wanted[good]->file)].name;
    damaged(first_file, wanted[good]->offset);
    for (std::size_t i = good + 1; i < wanted.size(); ++i) {
      flip(scratch_->file("damaged"),
           store.manifest().files[static_cast<std::size_t>(wanted[i]->file)].name,
           wanted[i]->offset);
    }
    for (const int threads : {1, 2, 5}) {
      const auto loaded = open("damaged").load(wanted, threads);
      ASSERT_FALSE(loaded.ok());
      EXPECT_EQ(loaded.error().message, "load: " + scratch_->file("damaged") + "/" + first_file +
                                            ": leaf " +
                                            std::to_string(wanted[good]->offset / kLeafBytes) +
                                            ": hash differs from the manifest");
    }
  }
}

TEST_F(StoreTest, OpenRefusesAnyFlippedByteOfTheManifest) {
  const std::uint64_t size = std::filesystem::file_size(scratch_->file("store") + "/manifest.json");
  for (std::uint64_t at = 0; at < size; at += 499) {
    damaged("manifest.json", at);
    EXPECT_FALSE(Store::open(scratch_->file("damaged")).ok()) << at;
  }
}

TEST_F(StoreTest, OpenRefusesFilesThatAreMissingOrOfAnotherSize) {
  const std::string copy = damaged("manifest.json", 0);
  std::filesystem::copy_file(scratch_->file("store") + "/manifest.json", copy + "/manifest.json",
                             std::filesystem::copy_options::overwrite_existing);
  ASSERT_TRUE(Store::open(copy).ok());
  const std::string file = copy + "/model-00001.h5";
  std::filesystem::resize_file(file, std::filesystem::file_size(file) - 1);
  const auto truncated = Store::open(copy);
  ASSERT_FALSE(truncated.ok());
  EXPECT_NE(truncated.error().message.find("model-00001.h5"), std::string::npos);
  std::filesystem::remove(file);
  const auto missing = Store::open(copy);
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace lockstep
