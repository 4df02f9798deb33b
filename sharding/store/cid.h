// Content identifiers: CIDv1 of a file, profile `unixfs-v1-2025` (IPIP-0499): sha2-256, chunks of 1
// MiB, raw leaves, balanced tree of width 1024, dag-pb nodes. A file of one chunk is its raw leaf.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/digest.h"

namespace lockstep {

// The CID of a file of `bytes` bytes with these SHA-256 digests of its 1 MiB leaves (an empty file
// has one empty leaf). Requires: the number of leaves fits the size.
std::string file_cid(std::uint64_t bytes, std::span<const Digest> leaves);

}  // namespace lockstep
