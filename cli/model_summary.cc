#include "cli/model_summary.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/checked.h"

namespace lockstep {
namespace {

using Rows = std::vector<std::vector<std::string>>;

OrderedJson to_json(Range range) { return OrderedJson::array({range.begin, range.end}); }

// "0-3", "7", "none": inclusive, as people count.
std::string to_text(Range range) {
  if (range.size() <= 0) return "none";
  if (range.size() == 1) return std::to_string(range.begin);
  return std::to_string(range.begin) + "-" + std::to_string(range.end - 1);
}

std::string indented(const std::string& title, const Rows& rows) {
  return title + "\n" + format_table(rows, "  ");
}

struct FormatShare {
  std::uint64_t tensors = 0;
  std::uint64_t bytes = 0;
};

bool is_blob(const StoredTensor& tensor) {
  return tensor.kind == TensorKind::kTokenizer || tensor.kind == TensorKind::kChatTemplate;
}

std::map<std::string, FormatShare> format_shares(const Manifest& manifest) {
  std::map<std::string, FormatShare> shares;
  for (const StoredTensor& tensor : manifest.tensors) {
    const std::string name =
        is_blob(tensor) ? "blob" : std::string(weight_format_name(tensor.format));
    ++shares[name].tensors;
    shares[name].bytes += tensor.bytes;
  }
  return shares;
}

std::uint64_t part_bytes(const Manifest& manifest, int part) {
  std::uint64_t bytes = 0;
  for (const StoredTensor& tensor : manifest.tensors) {
    if (tensor.part == part) bytes += tensor.bytes;
  }
  return bytes;
}

// Bytes of all leaves that these tensors touch, each once.
std::uint64_t touched_bytes(const Manifest& manifest,
                            const std::vector<const StoredTensor*>& tensors) {
  std::set<std::pair<int, std::uint64_t>> leaves;
  for (const StoredTensor* tensor : tensors) {
    if (tensor->bytes == 0) continue;
    const std::uint64_t last = (tensor->offset + tensor->bytes - 1) / kLeafBytes;
    for (std::uint64_t leaf = tensor->offset / kLeafBytes; leaf <= last; ++leaf) {
      leaves.emplace(tensor->file, leaf);
    }
  }
  std::uint64_t bytes = 0;
  for (const auto& [file, leaf] : leaves) {
    const std::uint64_t file_bytes = manifest.files[static_cast<std::size_t>(file)].bytes;
    bytes += std::min(kLeafBytes, file_bytes - leaf * kLeafBytes);
  }
  return bytes;
}

OrderedJson architecture_json(const ModelConfig& config) {
  OrderedJson json;
  json["name"] = "llama";
  json["num_layers"] = config.num_layers;
  json["hidden_dim"] = config.hidden_dim;
  json["ffn_dim"] = config.ffn_dim;
  json["num_heads"] = config.num_heads;
  json["num_kv_heads"] = config.num_kv_heads;
  json["head_size"] = config.head_size;
  json["rotary_dims"] = config.rotary_dims;
  json["vocab_size"] = config.vocab_size;
  json["context_length"] = config.context_length;
  json["rms_epsilon"] = config.rms_epsilon;
  json["tied_head"] = config.tied_head;
  return json;
}

OrderedJson part_json(const Manifest& manifest, int index) {
  const Part& part = manifest.parts[static_cast<std::size_t>(index)];
  OrderedJson json;
  json["part"] = index;
  json["heads"] = to_json(part.heads);
  json["kv_heads"] = to_json(part.kv_heads);
  json["own_kv"] = to_json(part.own_kv);
  json["shared_kv"] = part.shared_kv >= 0 ? OrderedJson(part.shared_kv) : OrderedJson(nullptr);
  json["ffn"] = to_json(part.ffn);
  json["vocab"] = to_json(part.vocab);
  json["bytes"] = part_bytes(manifest, index);
  return json;
}

}  // namespace

std::vector<RankShare> rank_shares(const Manifest& manifest, const std::vector<Range>& runs) {
  std::vector<RankShare> shares;
  for (const Range run : runs) {
    const auto first = static_cast<std::size_t>(run.begin);
    const auto last = static_cast<std::size_t>(run.end - 1);
    RankShare share{.parts = run,
                    .heads = heads_of(manifest.parts, run),
                    .kv_heads = kv_heads_of(manifest.parts, run),
                    .ffn = {manifest.parts[first].ffn.begin, manifest.parts[last].ffn.end},
                    .vocab = vocab_of(manifest.parts, run)};
    const std::vector<const StoredTensor*> tensors = tensors_of(manifest, run);
    for (const StoredTensor* tensor : tensors) share.weight_bytes += tensor->bytes;
    share.read_bytes = touched_bytes(manifest, tensors);
    shares.push_back(share);
  }
  return shares;
}

std::uint64_t store_bytes(const Manifest& manifest) {
  std::uint64_t bytes = 0;
  for (const StoredFile& file : manifest.files) bytes += file.bytes;
  return bytes;
}

std::string architecture_line(const ModelConfig& config) {
  const auto number = [](int value) {
    return grouped_digits(static_cast<std::uint64_t>(std::max(value, 0)));
  };
  return "llama: " + number(config.num_layers) + " layers, hidden " + number(config.hidden_dim) +
         ", feed-forward " + number(config.ffn_dim) + ", " + number(config.num_heads) +
         " heads of " + number(config.head_size) + " (" + number(config.num_kv_heads) +
         " key/value), vocabulary " + number(config.vocab_size) + ", context " +
         number(config.context_length) + " tokens, " + (config.tied_head ? "tied" : "untied") +
         " head";
}

std::string profile_line(const ModelConfig& config) {
  return "activations " + std::to_string(config.activation_bits) + " bits, keys and values " +
         std::to_string(config.kv_bits) + " bits";
}

std::string summary_text(const std::string& directory, const Manifest& manifest) {
  const std::size_t num_files = manifest.files.size();
  return format_table(
      {{"store", directory},
       {"source", manifest.source_name + " (" + manifest.source_type + ", sha256 " +
                      manifest.source_sha256.hex() + ")"},
       {"architecture", architecture_line(manifest.config)},
       {"profile", profile_line(manifest.config)},
       {"parts", std::to_string(manifest.parts.size()) + ", so 1 to " +
                     std::to_string(manifest.parts.size()) + " ranks"},
       {"size", human_bytes(store_bytes(manifest)) + " in " + std::to_string(num_files) +
                    (num_files == 1 ? " file" : " files")},
       {"model_id", manifest.model_id.hex()}},
      "");
}

std::string hashes_text(const Manifest& manifest) {
  return indented("Hashes", {{"model_id", manifest.model_id.hex()},
                             {"weights_root", manifest.weights_root.hex()},
                             {"config_hash", manifest.config_hash.hex()},
                             {"tokenizer_hash", manifest.tokenizer_hash.hex()},
                             {"template_hash", manifest.template_hash.hex()},
                             {"manifest_hash", manifest.manifest_hash.hex()}});
}

std::string formats_text(const Manifest& manifest) {
  Rows rows = {{"format", "tensors", "size"}};
  for (const auto& [name, share] : format_shares(manifest)) {
    rows.push_back({name, std::to_string(share.tensors), human_bytes(share.bytes)});
  }
  return indented("Formats", rows);
}

std::string parts_text(const Manifest& manifest) {
  Rows rows = {{"part", "heads", "kv heads", "stores kv", "ffn columns", "vocabulary", "size"}};
  for (std::size_t i = 0; i < manifest.parts.size(); ++i) {
    const Part& part = manifest.parts[i];
    std::string stores = part.own_kv.size() > 0 ? to_text(part.own_kv) : "";
    if (part.shared_kv >= 0) {
      stores += (stores.empty() ? "" : ", ") + std::to_string(part.shared_kv) + " (shared)";
    }
    rows.push_back({std::to_string(i), to_text(part.heads), to_text(part.kv_heads),
                    stores.empty() ? "none" : stores, to_text(part.ffn), to_text(part.vocab),
                    human_bytes(part_bytes(manifest, static_cast<int>(i)))});
  }
  rows.push_back({"common", "", "", "", "", "", human_bytes(part_bytes(manifest, -1))});
  return indented("Parts", rows);
}

std::string files_text(const Manifest& manifest) {
  Rows rows = {{"file", "size", "leaves", "sha256", "CID"}};
  for (const StoredFile& file : manifest.files) {
    rows.push_back({file.name, human_bytes(file.bytes), std::to_string(file.leaves.size()),
                    file.sha256.hex(), file.cid});
  }
  return indented("Files", rows);
}

std::string ranks_text(const std::vector<RankShare>& shares) {
  Rows rows = {
      {"rank", "parts", "heads", "kv heads", "ffn columns", "vocabulary", "weights", "reads"}};
  for (std::size_t rank = 0; rank < shares.size(); ++rank) {
    const RankShare& share = shares[rank];
    rows.push_back({std::to_string(rank), to_text(share.parts), to_text(share.heads),
                    to_text(share.kv_heads), to_text(share.ffn), to_text(share.vocab),
                    human_bytes(share.weight_bytes), human_bytes(share.read_bytes)});
  }
  return indented("Ranks", rows);
}

OrderedJson model_json(const std::string& directory, const Manifest& manifest) {
  OrderedJson json;
  json["directory"] = directory;
  json["model_id"] = manifest.model_id.hex();
  json["weights_root"] = manifest.weights_root.hex();
  json["config_hash"] = manifest.config_hash.hex();
  json["tokenizer_hash"] = manifest.tokenizer_hash.hex();
  json["template_hash"] = manifest.template_hash.hex();
  json["manifest_hash"] = manifest.manifest_hash.hex();
  json["source"] = {{"name", manifest.source_name},
                    {"type", manifest.source_type},
                    {"sha256", manifest.source_sha256.hex()}};
  json["architecture"] = architecture_json(manifest.config);
  json["profile"] = {{"activation_bits", manifest.config.activation_bits},
                     {"kv_bits", manifest.config.kv_bits}};
  json["activation_bits"] = manifest.config.activation_bits;
  json["kv_bits"] = manifest.config.kv_bits;
  json["numerics_version"] = kNumericsVersion;
  json["bytes"] = store_bytes(manifest);
  json["formats"] = OrderedJson::object();
  for (const auto& [name, share] : format_shares(manifest)) {
    json["formats"][name] = {{"tensors", share.tensors}, {"bytes", share.bytes}};
  }
  json["parts"] = OrderedJson::array();
  for (std::size_t i = 0; i < manifest.parts.size(); ++i) {
    json["parts"].push_back(part_json(manifest, static_cast<int>(i)));
  }
  json["files"] = OrderedJson::array();
  for (const StoredFile& file : manifest.files) {
    json["files"].push_back({{"name", file.name},
                             {"bytes", file.bytes},
                             {"sha256", file.sha256.hex()},
                             {"cid", file.cid},
                             {"leaves", file.leaves.size()}});
  }
  return json;
}

OrderedJson ranks_json(const std::vector<RankShare>& shares) {
  OrderedJson json = OrderedJson::array();
  for (std::size_t rank = 0; rank < shares.size(); ++rank) {
    const RankShare& share = shares[rank];
    json.push_back({{"rank", rank},
                    {"parts", to_json(share.parts)},
                    {"heads", to_json(share.heads)},
                    {"kv_heads", to_json(share.kv_heads)},
                    {"ffn", to_json(share.ffn)},
                    {"vocab", to_json(share.vocab)},
                    {"weight_bytes", share.weight_bytes},
                    {"bytes_read", share.read_bytes}});
  }
  return json;
}

}  // namespace lockstep
