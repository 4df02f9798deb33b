// A stored model for people and for programs: what `shard` and `inspect` print.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/output.h"
#include "sharding/store.h"

namespace lockstep {

// The parts of one rank and what it must read for them.
struct RankShare {
  Range parts;
  Range heads;
  Range kv_heads;  // All that its query heads use, shared ones included.
  Range ffn;
  Range vocab;
  std::uint64_t weight_bytes = 0;  // The tensors themselves.
  std::uint64_t read_bytes = 0;    // Rounded out to leaves of 1 MiB, each leaf once.
};

// One share a run, in order of ranks. Requires: `runs` from assign_parts for this manifest.
std::vector<RankShare> rank_shares(const Manifest& manifest, const std::vector<Range>& runs);

std::uint64_t store_bytes(const Manifest& manifest);  // Of all files but the manifest.

// "llama, 30 layers, hidden 576, ...", "activations 16 bits, keys and values 16 bits".
std::string architecture_line(const ModelConfig& config);
std::string profile_line(const ModelConfig& config);

// Aligned "name  value" lines: source, architecture, profile, sizes.
std::string summary_text(const std::string& directory, const Manifest& manifest);
std::string hashes_text(const Manifest& manifest);
std::string formats_text(const Manifest& manifest);
std::string parts_text(const Manifest& manifest);
std::string files_text(const Manifest& manifest);
std::string ranks_text(const std::vector<RankShare>& shares);

// Keys: directory, model_id, weights_root, config_hash, tokenizer_hash, template_hash,
// manifest_hash, source, architecture, profile, activation_bits, kv_bits, numerics_version, bytes,
// formats, parts, files. Ranges are [begin, end).
OrderedJson model_json(const std::string& directory, const Manifest& manifest);
OrderedJson ranks_json(const std::vector<RankShare>& shares);

}  // namespace lockstep
