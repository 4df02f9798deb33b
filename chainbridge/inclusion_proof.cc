#include "chainbridge/inclusion_proof.h"

#include <algorithm>
#include <charconv>

#include "base/tagged_hash.h"
#include "chainbridge/ledger/field.h"
#include "chainbridge/standard_merkle_tree.h"

namespace lockstep {
namespace {

constexpr int kMaxDepth = 3;
constexpr std::size_t kMaxProofBytes = 64 << 10;

Error corrupt(const std::string& message) { return Error{ErrorCode::kCorrupt, message}; }

std::string prefixed(const Digest& digest) { return "0x" + digest.hex(); }

std::string price_text(Price price) {
  char digits[32];
  char* end = digits;
  if (price.high != 0) end = std::to_chars(digits, digits + 16, price.high, 16).ptr;
  char low[16];
  const char* low_end = std::to_chars(low, low + 16, price.low, 16).ptr;
  if (price.high != 0) end = std::fill_n(end, 16 - (low_end - low), '0');
  end = std::copy(static_cast<const char*>(low), low_end, end);
  return "0x" + std::string(digits, end);
}

Result<Price> json_price(const Json& object, const char* key) {
  LOCKSTEP_TRY_ASSIGN(const std::string text, json_text(object, key), "price");
  std::string digits = text;
  digits.erase(0, text.starts_with("0x") ? 2 : text.size());
  if (digits.empty() || digits.size() > 32) {
    return corrupt("\"" + std::string(key) + "\": expected 0x and 1 to 32 hexadecimal digits");
  }
  const auto bytes = from_hex(std::string(32 - digits.size(), '0') + digits);
  if (!bytes.ok()) return corrupt("\"" + std::string(key) + "\": " + bytes.error().message);
  Price price;
  for (std::size_t i = 0; i < 8; ++i) {
    price.high = price.high << 8 | bytes.value()[i];
    price.low = price.low << 8 | bytes.value()[i + 8];
  }
  return price;
}

Json list(const std::vector<Digest>& digests) {
  Json texts = Json::array();
  for (const Digest& digest : digests) texts.push_back(prefixed(digest));
  return texts;
}

Json leaf_json(const RollupLeaf& leaf) {
  return {{"version", leaf.version},
          {"index", leaf.index},
          {"job_id", prefixed(leaf.job_id)},
          {"spec_hash", prefixed(leaf.spec_hash)},
          {"result_hash", prefixed(leaf.result_hash)},
          {"trace_root", prefixed(leaf.trace_root)},
          {"price", price_text(leaf.price)},
          {"completed_at", leaf.completed_at}};
}

Result<RollupLeaf> read_leaf(const Json& object) {
  RollupLeaf leaf;
  LOCKSTEP_TRY_ASSIGN(const std::uint64_t version, json_unsigned(object, "version", 255), "leaf");
  leaf.version = static_cast<std::uint8_t>(version);
  LOCKSTEP_TRY_ASSIGN(leaf.index, json_unsigned(object, "index"), "leaf");
  LOCKSTEP_TRY_ASSIGN(leaf.job_id, json_digest(object, "job_id"), "leaf");
  LOCKSTEP_TRY_ASSIGN(leaf.spec_hash, json_digest(object, "spec_hash"), "leaf");
  LOCKSTEP_TRY_ASSIGN(leaf.result_hash, json_digest(object, "result_hash"), "leaf");
  LOCKSTEP_TRY_ASSIGN(leaf.trace_root, json_digest(object, "trace_root"), "leaf");
  LOCKSTEP_TRY_ASSIGN(leaf.price, json_price(object, "price"), "leaf");
  LOCKSTEP_TRY_ASSIGN(leaf.completed_at, json_unsigned(object, "completed_at"), "leaf");
  return leaf;
}

Json header_json(const RollupHeader& header) {
  return {{"chain_id", header.chain_id},
          {"contract", prefixed(header.contract)},
          {"operator", prefixed(header.operator_id)},
          {"sequence", header.sequence},
          {"previous", prefixed(header.previous)},
          {"root", prefixed(header.root)},
          {"count", header.count},
          {"data_commitment", prefixed(header.data_commitment)}};
}

Result<RollupHeader> read_header(const Json& object) {
  RollupHeader header;
  LOCKSTEP_TRY_ASSIGN(header.chain_id, json_unsigned(object, "chain_id"), "header");
  LOCKSTEP_TRY_ASSIGN(header.contract, json_digest(object, "contract"), "header");
  LOCKSTEP_TRY_ASSIGN(header.operator_id, json_digest(object, "operator"), "header");
  LOCKSTEP_TRY_ASSIGN(header.sequence, json_unsigned(object, "sequence"), "header");
  LOCKSTEP_TRY_ASSIGN(header.previous, json_digest(object, "previous"), "header");
  LOCKSTEP_TRY_ASSIGN(header.root, json_digest(object, "root"), "header");
  LOCKSTEP_TRY_ASSIGN(header.count, json_unsigned(object, "count"), "header");
  LOCKSTEP_TRY_ASSIGN(header.data_commitment, json_digest(object, "data_commitment"), "header");
  return header;
}

Result<Receipt> read_receipt(const Json& object) {
  Receipt receipt;
  LOCKSTEP_TRY_ASSIGN(receipt.job_id, json_digest(object, "job_id"), "receipt");
  LOCKSTEP_TRY_ASSIGN(receipt.result_hash, json_digest(object, "result_hash"), "receipt");
  LOCKSTEP_TRY_ASSIGN(receipt.output_hash, json_digest(object, "output_hash"), "receipt");
  LOCKSTEP_TRY_ASSIGN(receipt.price, json_price(object, "price"), "receipt");
  return receipt;
}

// The derived hashes that stand in the JSON beside the fields must be theirs.
Status check_derived(const Json& object, const char* key, const Digest& computed) {
  LOCKSTEP_TRY_ASSIGN(const Digest recorded, json_digest(object, key), "proof");
  if (recorded != computed)
    return corrupt("\"" + std::string(key) + "\": is not that of the fields");
  return {};
}

Receipt receipt_of(const FinishedJob& job) {
  return {.job_id = job.leaf.job_id,
          .result_hash = job.hashes.result_hash,
          .output_hash = job.hashes.output_hash,
          .price = job.leaf.price};
}

}  // namespace

Result<InclusionProof> prove_job(const LedgerReport& report, const LedgerJob& job) {
  const std::string name = "job " + std::to_string(job.assigned.sequence);
  if (!job.finished) {
    return Error{ErrorCode::kUnavailable, name + ": is unfinished, there is nothing to prove"};
  }
  if (!job.finished->rollup) {
    return Error{ErrorCode::kUnavailable,
                 name +
                     ": its result waits for a rollup, which closes when it is full or when the "
                     "process that writes the ledger ends"};
  }
  const LedgerRollup& rollup = report.rollups[*job.finished->rollup];
  std::vector<RollupLeaf> leaves;
  std::vector<Receipt> receipts;
  for (const std::uint64_t index : rollup.jobs) {
    leaves.push_back(report.jobs[index].finished->leaf);
    receipts.push_back(receipt_of(*report.jobs[index].finished));
  }
  InclusionProof proof;
  proof.leaf = job.finished->leaf;
  const StandardMerkleTree tree(rollup_leaf_hashes(leaves));
  proof.proof = tree.proof(static_cast<std::size_t>(proof.leaf.index));
  proof.header = rollup.header;
  proof.receipt = receipt_of(*job.finished);
  proof.receipt_proof = ordered_tree_proof(receipt_digests(receipts), proof.leaf.index);
  return proof;
}

Json inclusion_proof_json(const InclusionProof& proof) {
  return {{"leaf", leaf_json(proof.leaf)},
          {"leaf_hash", prefixed(rollup_leaf_hash(proof.leaf))},
          {"proof", list(proof.proof)},
          {"root", prefixed(proof.header.root)},
          {"header", header_json(proof.header)},
          {"header_hash", prefixed(rollup_header_hash(proof.header))},
          {"receipt",
           {{"job_id", prefixed(proof.receipt.job_id)},
            {"result_hash", prefixed(proof.receipt.result_hash)},
            {"output_hash", prefixed(proof.receipt.output_hash)},
            {"price", price_text(proof.receipt.price)}}},
          {"receipt_proof", list(proof.receipt_proof)}};
}

Result<InclusionProof> parse_inclusion_proof(std::string_view text) {
  if (text.size() > kMaxProofBytes) return corrupt("proof: longer than 64 KiB");
  LOCKSTEP_TRY_ASSIGN(const Json object, parse_json(text, kMaxDepth), "proof");
  InclusionProof proof;
  LOCKSTEP_TRY_ASSIGN(const Json* leaf, json_object(object, "leaf"), "proof");
  LOCKSTEP_TRY_ASSIGN(proof.leaf, read_leaf(*leaf), "proof");
  LOCKSTEP_TRY_ASSIGN(proof.proof, json_digests(object, "proof"), "proof");
  LOCKSTEP_TRY_ASSIGN(const Json* header, json_object(object, "header"), "proof");
  LOCKSTEP_TRY_ASSIGN(proof.header, read_header(*header), "proof");
  LOCKSTEP_TRY_ASSIGN(const Json* receipt, json_object(object, "receipt"), "proof");
  LOCKSTEP_TRY_ASSIGN(proof.receipt, read_receipt(*receipt), "proof");
  LOCKSTEP_TRY_ASSIGN(proof.receipt_proof, json_digests(object, "receipt_proof"), "proof");
  LOCKSTEP_TRY(check_derived(object, "leaf_hash", rollup_leaf_hash(proof.leaf)), "proof");
  LOCKSTEP_TRY(check_derived(object, "root", proof.header.root), "proof");
  LOCKSTEP_TRY(check_derived(object, "header_hash", rollup_header_hash(proof.header)), "proof");
  return proof;
}

Status verify_inclusion_proof(const InclusionProof& proof) {
  const RollupHeader& header = proof.header;
  if (proof.leaf.version != kRollupLeafVersion) return corrupt("proof: leaf: unknown version");
  if (header.count == 0 || header.count > kMaxRollupLeaves) {
    return corrupt("proof: header: count " + std::to_string(header.count) + " is not in [1, " +
                   std::to_string(kMaxRollupLeaves) + "]");
  }
  if (proof.leaf.index >= header.count) {
    return corrupt("proof: leaf: index " + std::to_string(proof.leaf.index) + " of " +
                   std::to_string(header.count) + " leaves");
  }
  if (!verify_standard_proof(header.root, header.count, proof.leaf.index,
                             rollup_leaf_hash(proof.leaf), proof.proof)) {
    return corrupt("proof: the leaf is not under the root");
  }
  const bool same_job = proof.receipt.job_id == proof.leaf.job_id &&
                        proof.receipt.result_hash == proof.leaf.result_hash &&
                        proof.receipt.price == proof.leaf.price;
  if (!same_job) return corrupt("proof: receipt and leaf are of different jobs");
  if (!verify_ordered_tree_proof(header.data_commitment, header.count, proof.leaf.index,
                                 receipt_digest(proof.receipt), proof.receipt_proof)) {
    return corrupt("proof: the receipt is not under the data commitment");
  }
  return {};
}

}  // namespace lockstep
