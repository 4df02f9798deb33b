// The canonical bytes of one finished job: abi.encode(job_id, result_hash, output_hash, price).
// Knows nothing of signatures: they are carried beside a receipt and are no part of it.
#pragma once

#include <compare>
#include <cstdint>

#include "base/bytes.h"
#include "base/digest.h"

namespace lockstep {

// A uint128 amount, in the smallest unit of the chain's currency. 0 off chain.
struct Price {
  std::uint64_t high = 0;
  std::uint64_t low = 0;

  auto operator<=>(const Price&) const = default;
};

struct Receipt {
  Digest job_id;
  Digest result_hash;
  Digest output_hash;
  Price price;

  bool operator==(const Receipt&) const = default;
};

inline constexpr std::size_t kReceiptBytes = 128;

// Ensures: kReceiptBytes bytes; the price is one big-endian word.
Bytes receipt_bytes(const Receipt& receipt);

// keccak256 of the bytes: a leaf of a rollup's data commitment.
Digest receipt_digest(const Receipt& receipt);

}  // namespace lockstep
