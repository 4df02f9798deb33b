// How a record lies in the ledger's file: a header that checks itself, the payload, the record's
// hash. The reader tells a torn tail (the file ends inside its last record) from damage. It knows
// nothing of payloads.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/result.h"

namespace lockstep {

inline constexpr std::uint64_t kFrameHeaderBytes = 16;  // Magic, payload bytes, header check.
inline constexpr std::uint64_t kFrameHashBytes = 32;
inline constexpr std::uint32_t kMaxPayloadBytes = 16U << 20;

// H("record", previous, sequence, keccak256(payload)); `previous` is the hash of the record before,
// 0 for the first.
Digest record_hash(const Digest& previous, std::uint64_t sequence, std::string_view payload);

// Requires: 0 < payload.size() <= kMaxPayloadBytes.
Bytes encode_frame(const Digest& previous, std::uint64_t sequence, std::string_view payload);

struct Frame {
  std::uint64_t sequence = 0;  // The number of the record, from 0.
  std::uint64_t offset = 0;    // Of its first byte in the file.
  std::string payload;
  Digest hash;
};

// Reads a file record by record; holds one at a time. Not thread-safe.
class FrameReader {
 public:
  // Reads the first `file_bytes` of `file`, which must outlive the reader.
  FrameReader(const File& file, std::uint64_t file_bytes) : file_(file), file_bytes_(file_bytes) {}

  // The next record; nothing at the end or before a torn tail. kCorrupt names record and offset.
  Result<std::optional<Frame>> next();

  // Of the record after the last that next() gave: where the next one belongs, and what it must
  // link to.
  std::uint64_t offset() const { return offset_; }
  std::uint64_t sequence() const { return sequence_; }
  const Digest& head() const { return head_; }

 private:
  struct Header;
  Result<std::optional<Header>> read_header() const;
  Result<bool> only_zeros_follow() const;

  const File& file_;
  std::uint64_t file_bytes_;
  std::uint64_t offset_ = 0;
  std::uint64_t sequence_ = 0;
  Digest head_;
};

// "record 3 at byte 512"
std::string record_place(std::uint64_t sequence, std::uint64_t offset);

}  // namespace lockstep
