// The four kinds of ledger records and their canonical JSON. Decoding takes nothing that encoding
// would not give: a record has one spelling.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "base/result.h"
#include "chainbridge/job_record.h"
#include "chainbridge/rollup.h"

namespace lockstep {

// The first record; its hash is the ledger's id.
struct GenesisRecord {
  Digest nonce;  // 32 random bytes.
};

struct AssignmentRecord {
  Assignment assignment;
  AssignedJob job;  // Its identifiers as recorded; decoding leaves the other fields to the reader.
  std::uint64_t assigned_at = 0;  // Unix seconds.
};

struct ResultRecord {
  JobResult result;
  Digest job_id;
  Digest spec_hash;
  ResultHashes hashes;
  std::uint64_t completed_at = 0;  // Unix seconds.
};

struct RollupRecord {
  RollupHeader header;
  Digest header_hash;
};

using LedgerRecord = std::variant<GenesisRecord, AssignmentRecord, ResultRecord, RollupRecord>;

// kInvalidArgument for text that is no UTF-8; kExhausted when it is longer than one record may be.
Result<std::string> encode_record(const LedgerRecord& record);

// kCorrupt names the field.
Result<LedgerRecord> decode_record(std::string_view payload);

}  // namespace lockstep
