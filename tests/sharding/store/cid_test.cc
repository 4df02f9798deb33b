#include "sharding/store/cid.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <fstream>

#include "base/checked.h"
#include "sharding/store/file_hasher.h"

namespace lockstep {
namespace {

struct Golden {
  std::uint64_t bytes;
  const char* cid;
};

// By npm ipfs-unixfs-importer 17.1.1 (cid_reference.mjs).
constexpr Golden kGoldens[] = {
    {0, "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"},
    {1, "bafkreidogqfzz75tpkmjzjke425xqcrmpcib2p5tg44hnbirumdbpl5adu"},
    {1048575, "bafkreier2yx5dueo7mav2tptofagkmdc5pfv55jeeer76ne36uhaxstila"},
    {1048576, "bafkreigkmbztslxhdw6ruljvnq6kuiz7r6bivyl7r6f2qvyo4nerxyjivm"},
    {1048577, "bafybeigvjgzlefhkwpp6cj34conybqsilg5mhr4imqyte5iommdukd726e"},
    {5000000, "bafybeialua5vbanyfss3yr5uli3hptxxcw5x4mvfo5f7rg4ri5l3k6viwi"},
    {1073741824, "bafybeigv4tq35ov3whgjqqr3pk7muwuzdsrepjrpsxtctt7qfdcbe7t6mq"},
    {1074790400, "bafybeig4yjpfzcvgjok3bn5uxh4zsftrugpidwoty62g6rrbb2oi7c5kyq"},
};

// Leaf `index` of the files that cid_reference.mjs describes.
Bytes leaf_content(std::uint64_t index, std::uint64_t bytes) {
  Bytes out(bytes);
  for (std::uint32_t i = 0; i < bytes; ++i) {
    out[i] = static_cast<std::uint8_t>((i * 2654435761U >> 24) ^ (index & 3));
  }
  return out;
}

std::string cid_of_size(std::uint64_t bytes) {
  std::array<Digest, 4> full;
  for (std::uint64_t i = 0; i < 4; ++i) full[i] = sha256(leaf_content(i, kLeafBytes));
  std::vector<Digest> leaves;
  for (std::uint64_t i = 0; i < std::max<std::uint64_t>(1, ceil_div(bytes, kLeafBytes)); ++i) {
    const std::uint64_t size = std::min(kLeafBytes, bytes - i * kLeafBytes);
    leaves.push_back(size == kLeafBytes ? full[i % 4] : sha256(leaf_content(i, size)));
  }
  return file_cid(bytes, leaves);
}

TEST(FileCid, EqualsTheGoldens) {
  for (const Golden& golden : kGoldens)
    EXPECT_EQ(cid_of_size(golden.bytes), golden.cid) << golden.bytes;
}

TEST(FileCid, EqualsTheVectorsOfThePackage) {
  const char* path = std::getenv("LOCKSTEP_CID_VECTORS");
  if (path == nullptr) GTEST_SKIP() << "run by cid_test.py, which makes the vectors";
  std::ifstream in(path);
  std::uint64_t bytes = 0;
  std::string cid;
  int count = 0;
  for (; in >> bytes >> cid; ++count) EXPECT_EQ(cid_of_size(bytes), cid) << bytes;
  EXPECT_GT(count, 0);
}

TEST(FileHasherFinish, HashesTheWholeAndEveryLeaf) {
  const Bytes first = leaf_content(0, kLeafBytes);
  const Bytes second = leaf_content(1, 5);
  Bytes whole = first;
  whole.insert(whole.end(), second.begin(), second.end());
  FileHasher hasher;
  hasher.update(ByteView(whole).first(1000));
  hasher.update(ByteView(whole).subspan(1000));
  StoredFile file;
  hasher.finish(file);
  EXPECT_EQ(file.bytes, whole.size());
  EXPECT_EQ(file.sha256, sha256(whole));
  EXPECT_EQ(file.leaves, (std::vector<Digest>{sha256(first), sha256(second)}));
  EXPECT_EQ(file.cid, file_cid(whole.size(), file.leaves));
}

}  // namespace
}  // namespace lockstep
