#include "sharding/store/cid.h"

#include <algorithm>
#include <array>
#include <vector>

#include "base/check.h"
#include "base/checked.h"
#include "sharding/store.h"

namespace lockstep {
namespace {

constexpr std::size_t kWidth = 1024;
constexpr std::uint8_t kRawCodec = 0x55;
constexpr std::uint8_t kDagPbCodec = 0x70;

// Protobuf wire types with field numbers (dag-pb and UnixFS schemas).
constexpr std::uint8_t kNodeData = 0x0A;      // PBNode.Data, field 1, bytes.
constexpr std::uint8_t kNodeLinks = 0x12;     // PBNode.Links, field 2, message.
constexpr std::uint8_t kLinkHash = 0x0A;      // PBLink.Hash, field 1, bytes.
constexpr std::uint8_t kLinkName = 0x12;      // PBLink.Name, field 2, text.
constexpr std::uint8_t kLinkSize = 0x18;      // PBLink.Tsize, field 3, varint.
constexpr std::uint8_t kUnixfsType = 0x08;    // Data.Type, field 1, varint; 2 is a file.
constexpr std::uint8_t kUnixfsSize = 0x18;    // Data.filesize, field 3, varint.
constexpr std::uint8_t kUnixfsBlocks = 0x20;  // Data.blocksizes, field 4, repeated varint.
constexpr std::uint8_t kUnixfsFile = 2;

// A node of the tree as its parent sees it.
struct Link {
  Bytes cid;
  std::uint64_t file_bytes = 0;  // Of the file, below this node.
  std::uint64_t tree_bytes = 0;  // Of all blocks of the tree below, nodes included.
};

void append_varint(Bytes& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<std::uint8_t>(value | 0x80));
  out.push_back(static_cast<std::uint8_t>(value));
}

void append_field(Bytes& out, std::uint8_t tag, ByteView bytes) {
  out.push_back(tag);
  append_varint(out, bytes.size());
  out.insert(out.end(), bytes.begin(), bytes.end());
}

void append_field(Bytes& out, std::uint8_t tag, std::uint64_t value) {
  out.push_back(tag);
  append_varint(out, value);
}

Bytes make_cid(std::uint8_t codec, const Digest& digest) {
  const std::array<std::uint8_t, 4> prefix = {0x01, codec, 0x12,
                                              0x20};  // CIDv1, codec, sha2-256, 32 bytes.
  Bytes cid(prefix.size() + digest.bytes.size());
  std::copy(prefix.begin(), prefix.end(), cid.begin());
  std::copy(digest.bytes.begin(), digest.bytes.end(), cid.begin() + prefix.size());
  return cid;
}

Link make_node(std::span<const Link> children) {
  Link node;
  Bytes block;
  Bytes unixfs;
  for (const Link& child : children) {
    node.file_bytes += child.file_bytes;
    node.tree_bytes += child.tree_bytes;
    Bytes link;
    append_field(link, kLinkHash, child.cid);
    append_field(link, kLinkName, ByteView{});
    append_field(link, kLinkSize, child.tree_bytes);
    append_field(block, kNodeLinks, link);
  }
  append_field(unixfs, kUnixfsType, std::uint64_t{kUnixfsFile});
  append_field(unixfs, kUnixfsSize, node.file_bytes);
  for (const Link& child : children) append_field(unixfs, kUnixfsBlocks, child.file_bytes);
  append_field(block, kNodeData, unixfs);
  node.tree_bytes += block.size();
  node.cid = make_cid(kDagPbCodec, sha256(block));
  return node;
}

// Multibase base32, lower case, no padding.
std::string base32(ByteView bytes) {
  constexpr std::string_view kAlphabet = "abcdefghijklmnopqrstuvwxyz234567";
  std::string text = "b";
  std::uint32_t buffer = 0;
  int bits = 0;
  for (const std::uint8_t byte : bytes) {
    buffer = (buffer << 8) | byte;
    bits += 8;
    for (; bits >= 5; bits -= 5) text += kAlphabet[(buffer >> (bits - 5)) & 31U];
    buffer &= (1U << bits) - 1;
  }
  if (bits > 0) text += kAlphabet[(buffer << (5 - bits)) & 31U];
  return text;
}

}  // namespace

std::string file_cid(std::uint64_t bytes, std::span<const Digest> leaves) {
  CHECK(leaves.size() == std::max<std::uint64_t>(1, ceil_div(bytes, kLeafBytes)),
        "number of leaves does not fit the size");
  std::vector<Link> level;
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    const std::uint64_t size = std::min(kLeafBytes, bytes - i * kLeafBytes);
    level.push_back({make_cid(kRawCodec, leaves[i]), size, size});
  }
  while (level.size() > 1) {
    std::vector<Link> up;
    for (std::size_t i = 0; i < level.size(); i += kWidth) {
      up.push_back(make_node(std::span(level).subspan(i, std::min(kWidth, level.size() - i))));
    }
    level = std::move(up);
  }
  return base32(level.front().cid);
}

}  // namespace lockstep
