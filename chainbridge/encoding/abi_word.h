// The 32-byte words of Ethereum's static ABI encoding: big-endian integers, hashes as they are.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/digest.h"
#include "chainbridge/receipt.h"

namespace lockstep {

inline void append_abi_word(Bytes& out, const Digest& word) {
  out.insert(out.end(), word.bytes.begin(), word.bytes.end());
}

inline void append_abi_word(Bytes& out, Price price) {
  out.resize(out.size() + 16);
  for (const std::uint64_t half : {price.high, price.low}) {
    for (int shift = 56; shift >= 0; shift -= 8) {
      out.push_back(static_cast<std::uint8_t>(half >> shift));
    }
  }
}

inline void append_abi_word(Bytes& out, std::uint64_t value) {
  append_abi_word(out, Price{.high = 0, .low = value});
}

}  // namespace lockstep
