// That a finished job is in a rollup, as JSON that a third party checks without the ledger: leaf,
// Merkle proof, header, receipt and its place in the data commitment.
#pragma once

#include <string_view>
#include <vector>

#include "base/canonical_json.h"
#include "base/result.h"
#include "chainbridge/ledger_verifier.h"
#include "chainbridge/rollup.h"

namespace lockstep {

struct InclusionProof {
  RollupLeaf leaf;
  std::vector<Digest> proof;  // Of the leaf under header.root.
  RollupHeader header;
  Receipt receipt;
  std::vector<Digest> receipt_proof;  // Of the receipt's digest under header.data_commitment.
};

// The proof of a job of a verified ledger. kUnavailable when it has no result, or its result no
// rollup yet.
Result<InclusionProof> prove_job(const LedgerReport& report, const LedgerJob& job);

// The JSON has the fields' names; digests and prices as "0x..." text, and besides `leaf_hash`,
// `root`, `header_hash`.
Json inclusion_proof_json(const InclusionProof& proof);

// kCorrupt names the field that is missing or malformed.
Result<InclusionProof> parse_inclusion_proof(std::string_view text);

// kCorrupt says what does not hold: bounds of index and proof length, leaf under root, receipt
// equal to the leaf, receipt under the data commitment. Whether the header itself is on a chain, or
// in a ledger, is another question: compare rollup_header_hash(proof.header) with what is recorded
// there.
Status verify_inclusion_proof(const InclusionProof& proof);

}  // namespace lockstep
