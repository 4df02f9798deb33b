// Recursive length prefixes: how Ethereum writes transactions. Decoding is strict: what is accepted
// has one spelling. Source: Ethereum yellow paper, appendix B.
#pragma once

#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "chainbridge/evm/uint256.h"

namespace lockstep {

void append_rlp_bytes(Bytes& out, ByteView bytes);
// Big-endian, without leading zeros.
void append_rlp_integer(Bytes& out, const Uint256& value);
// A list whose items are already encoded in `payload`.
void append_rlp_list(Bytes& out, ByteView payload);

inline constexpr int kMaxRlpDepth = 16;
inline constexpr std::size_t kMaxRlpItems = 4096;

struct RlpItem {
  bool is_list = false;
  ByteView bytes;              // Of a string; a view into what was decoded.
  std::vector<RlpItem> items;  // Of a list.
};

// The one item that `bytes` is. kCorrupt: anything that encoding would not have written, more than
// kMaxRlpDepth lists in each other or kMaxRlpItems items.
Result<RlpItem> decode_rlp(ByteView bytes);

// kCorrupt: a list, leading zeros, more than 32 bytes.
Result<Uint256> rlp_integer(const RlpItem& item);

}  // namespace lockstep
