// The manifest as canonical JSON, and back with every check that needs no file.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdio>
#include <map>

#include "base/canonical_json.h"
#include "base/checked.h"
#include "sharding/store.h"
#include "sharding/store/cid.h"
#include "sharding/store/file_name.h"
#include "sharding/store/hdf5_file.h"
#include "sharding/store/model_hashes.h"
#include "sharding/store/tensor_plan.h"

namespace lockstep {
namespace {

constexpr std::int64_t kMaxFileBytes = std::int64_t{1} << 50;
constexpr std::int64_t kMaxBlobBytes = 64 << 20;
constexpr int kMaxFiles = 99999;

Error corrupt(std::string message) { return Error{ErrorCode::kCorrupt, std::move(message)}; }

// ---- Writing ----

Json range_json(Range range) { return Json::array({range.begin, range.end}); }

Json config_fields(const ModelConfig& config) {
  Json frequencies = Json::array();
  for (const double f : config.rope_frequencies) {
    frequencies.push_back(std::bit_cast<std::uint64_t>(f));
  }
  return {{"architecture", "llama"},
          {"context_length", config.context_length},
          {"ffn_dim", config.ffn_dim},
          {"head_size", config.head_size},
          {"hidden_dim", config.hidden_dim},
          {"num_heads", config.num_heads},
          {"num_kv_heads", config.num_kv_heads},
          {"num_layers", config.num_layers},
          {"rms_epsilon_bits", std::bit_cast<std::uint32_t>(config.rms_epsilon)},
          {"rope_frequency_bits", std::move(frequencies)},
          {"rotary_dims", config.rotary_dims},
          {"tied_head", config.tied_head},
          {"vocab_size", config.vocab_size}};
}

Json part_fields(const Part& part) {
  return {{"ffn", range_json(part.ffn)},           {"heads", range_json(part.heads)},
          {"kv_heads", range_json(part.kv_heads)}, {"own_kv", range_json(part.own_kv)},
          {"shared_kv", part.shared_kv},           {"vocab", range_json(part.vocab)}};
}

Json source_fields(const Manifest& manifest) {
  Json tensors = Json::array();
  for (const SourceTensor& tensor : manifest.source_tensors) {
    tensors.push_back({tensor.name, weight_format_name(tensor.format), tensor.rows, tensor.k});
  }
  Json factors = Json::array();
  for (const float f : manifest.rope_factors) factors.push_back(std::bit_cast<std::uint32_t>(f));
  return {{"name", manifest.source_name},
          {"rope_factor_bits", std::move(factors)},
          {"sha256", manifest.source_sha256.hex()},
          {"tensors", std::move(tensors)},
          {"type", manifest.source_type}};
}

std::uint64_t blob_bytes(const Manifest& manifest, TensorKind kind) {
  const StoredTensor* blob = manifest.find(kind, -1, -1);
  return blob == nullptr ? 0 : blob->bytes;
}

Json tensor_fields(const StoredTensor& tensor) {
  return {{"bytes", tensor.bytes},
          {"file", tensor.file},
          {"format", stored_format_name(tensor)},
          {"k", tensor.k},
          {"layout", stored_layout_name(tensor)},
          {"name", tensor.name},
          {"offset", tensor.offset},
          {"part", tensor.part},
          {"rows", tensor.rows}};
}

Json file_fields(const StoredFile& file) {
  Json leaves = Json::array();
  for (const Digest& leaf : file.leaves) leaves.push_back(leaf.hex());
  return {{"bytes", file.bytes},
          {"cid", file.cid},
          {"leaves", std::move(leaves)},
          {"name", file.name},
          {"sha256", file.sha256.hex()}};
}

// The keys of the manifest, each with its text: the tables are too long to stand in memory as JSON
// values.
class Sections {
 public:
  Status add(const std::string& key, const Json& value) {
    LOCKSTEP_TRY_ASSIGN(texts_[key], canonical_dump(value), "manifest: " + key);
    return {};
  }

  template <typename T>
  Status add_table(const std::string& key, const std::vector<T>& rows, Json (*fields)(const T&)) {
    std::string text = "[";
    for (const T& row : rows) {
      if (text.size() > 1) text += ',';
      LOCKSTEP_TRY_ASSIGN(const std::string one, canonical_dump(fields(row)), "manifest: " + key);
      text += one;
    }
    texts_[key] = text + "]";
    return {};
  }

  std::string join() const {
    std::string out;
    for (const auto& [key, text] : texts_) {
      out += out.empty() ? "{\"" : ",\"";
      out.append(key).append("\":").append(text);
    }
    return out + "}";
  }

 private:
  std::map<std::string, std::string> texts_;
};

// ---- Reading ----

Result<Digest> digest_field(const Json& object, const char* key) {
  LOCKSTEP_TRY_ASSIGN(const std::string text, json_text(object, key), "manifest");
  auto digest = Digest::from_hex(text);
  if (!digest.ok() || digest.value().hex() != text) {
    return corrupt("\"" + std::string(key) + "\": is no digest of 64 lower-case digits");
  }
  return digest;
}

Result<int> int_field(const Json& object, const char* key, int min, int max) {
  LOCKSTEP_TRY_ASSIGN(const std::int64_t value, json_integer(object, key, min, max), "manifest");
  return static_cast<int>(value);
}

Result<const Json*> array_field(const Json& object, const char* key, std::size_t max) {
  LOCKSTEP_TRY_ASSIGN(const Json* array, json_member(object, key), "manifest");
  if (!array->is_array() || array->size() > max) {
    return corrupt("\"" + std::string(key) + "\": expected an array of at most " +
                   std::to_string(max) + " elements");
  }
  return array;
}

// Bits of an IEEE number that is finite and not negative.
template <typename Float, typename Bits>
Result<std::vector<Float>> bits_field(const Json& object, const char* key, std::size_t max) {
  LOCKSTEP_TRY_ASSIGN(const Json* array, array_field(object, key, max), "manifest");
  std::vector<Float> out;
  for (const Json& element : *array) {
    const bool fits = element.is_number_unsigned() &&
                      element.get<std::uint64_t>() <= std::numeric_limits<Bits>::max();
    const auto value = fits ? std::bit_cast<Float>(element.get<Bits>()) : Float{-1};
    if (!std::isfinite(value) || std::signbit(value)) {
      return corrupt("\"" + std::string(key) + "\": expected bits of finite, positive numbers");
    }
    out.push_back(value);
  }
  return out;
}

Status read_profile(const Json& root, ModelConfig& config) {
  LOCKSTEP_TRY_ASSIGN(const Json* profile, json_member(root, "profile"), "manifest");
  LOCKSTEP_TRY_ASSIGN(config.activation_bits, int_field(*profile, "activation_bits", 8, 16),
                      "profile");
  LOCKSTEP_TRY_ASSIGN(config.kv_bits, int_field(*profile, "kv_bits", 8, 16), "profile");
  if (config.activation_bits % 8 != 0 || config.kv_bits % 8 != 0) {
    return corrupt("profile: widths are 8 or 16 bits");
  }
  return {};
}

Status read_dimensions(const Json& json, ModelConfig& config) {
  struct Field {
    const char* key;
    int ModelConfig::*member;
    int max;
  };
  constexpr std::array<Field, 9> kFields = {{
      {"context_length", &ModelConfig::context_length, kMaxContext},
      {"ffn_dim", &ModelConfig::ffn_dim, kMaxDim},
      {"head_size", &ModelConfig::head_size, kMaxHeadSize},
      {"hidden_dim", &ModelConfig::hidden_dim, kMaxDim},
      {"num_heads", &ModelConfig::num_heads, kMaxHeads},
      {"num_kv_heads", &ModelConfig::num_kv_heads, kMaxHeads},
      {"num_layers", &ModelConfig::num_layers, kMaxLayers},
      {"rotary_dims", &ModelConfig::rotary_dims, kMaxHeadSize},
      {"vocab_size", &ModelConfig::vocab_size, kMaxVocab},
  }};
  for (const Field& field : kFields) {
    LOCKSTEP_TRY_ASSIGN(config.*field.member, int_field(json, field.key, 1, field.max), "config");
  }
  if (config.num_heads % config.num_kv_heads != 0 || config.rotary_dims % 2 != 0 ||
      config.rotary_dims > config.head_size) {
    return corrupt("config: dimensions do not fit each other");
  }
  return {};
}

Status read_config(const Json& root, ModelConfig& config) {
  LOCKSTEP_TRY_ASSIGN(const Json* json, json_member(root, "config"), "manifest");
  LOCKSTEP_TRY_ASSIGN(const std::string name, json_text(*json, "architecture"), "config");
  if (name != "llama") return corrupt("config: the architecture is not \"llama\"");
  LOCKSTEP_TRY(read_dimensions(*json, config), "manifest");
  LOCKSTEP_TRY_ASSIGN(config.tied_head, json_flag(*json, "tied_head"), "config");
  LOCKSTEP_TRY_ASSIGN(const std::int64_t epsilon,
                      json_integer(*json, "rms_epsilon_bits", 0, 0x7F7FFFFF), "config");
  config.rms_epsilon = std::bit_cast<float>(static_cast<std::uint32_t>(epsilon));
  LOCKSTEP_TRY_ASSIGN(
      config.rope_frequencies,
      (bits_field<double, std::uint64_t>(*json, "rope_frequency_bits", kMaxHeadSize / 2)),
      "config");
  if (config.rope_frequencies.size() != static_cast<std::size_t>(config.rotary_dims / 2)) {
    return corrupt("config: the number of RoPE frequencies is not rotary_dims / 2");
  }
  return read_profile(root, config);
}

Status read_parts(const Json& root, Manifest& manifest) {
  LOCKSTEP_TRY_ASSIGN(const Json* parts, array_field(root, "parts", 16), "manifest");
  if (parts->empty()) return corrupt("parts: there are none");
  auto made = make_parts(manifest.config, narrow<int>(parts->size()));
  if (!made.ok()) return corrupt("parts: " + made.error().message);
  manifest.parts = std::move(made).value();
  for (std::size_t i = 0; i < parts->size(); ++i) {
    if ((*parts)[i] != part_fields(manifest.parts[i])) {
      return corrupt("parts: part " + std::to_string(i) + " does not follow from the architecture");
    }
  }
  return {};
}

Result<SourceTensor> read_source_tensor(const Json& row) {
  if (!row.is_array() || row.size() != 4 || !row[0].is_string() || !row[1].is_string() ||
      !row[2].is_number_unsigned() || !row[3].is_number_unsigned() ||
      row[2].get<std::uint64_t>() > INT32_MAX || row[3].get<std::uint64_t>() > INT32_MAX) {
    return corrupt("source: a tensor is not [name, format, rows, k]");
  }
  const auto format = weight_format_from_name(row[1].get<std::string>());
  if (!format) return corrupt("source: unknown format " + row[1].get<std::string>());
  return SourceTensor{row[0].get<std::string>(), *format, row[2].get<int>(), row[3].get<int>()};
}

Result<ModelFormats> read_source(const Json& root, Manifest& manifest) {
  LOCKSTEP_TRY_ASSIGN(const Json* source, json_member(root, "source"), "manifest");
  LOCKSTEP_TRY_ASSIGN(manifest.source_name, json_text(*source, "name"), "source");
  LOCKSTEP_TRY_ASSIGN(manifest.source_type, json_text(*source, "type"), "source");
  LOCKSTEP_TRY_ASSIGN(manifest.source_sha256, digest_field(*source, "sha256"), "source");
  LOCKSTEP_TRY_ASSIGN(
      manifest.rope_factors,
      (bits_field<float, std::uint32_t>(*source, "rope_factor_bits", kMaxHeadSize / 2)), "source");
  const std::size_t num_factors = manifest.rope_factors.size();
  if (num_factors != 0 && num_factors != manifest.config.rope_frequencies.size()) {
    return corrupt("source: the number of RoPE factors is not rotary_dims / 2");
  }
  LOCKSTEP_TRY_ASSIGN(const Json* tensors, array_field(*source, "tensors", 1 << 16), "source");
  for (const Json& row : *tensors) {
    LOCKSTEP_TRY_ASSIGN(SourceTensor tensor, read_source_tensor(row), "manifest");
    manifest.source_tensors.push_back(std::move(tensor));
  }
  const auto by_name = [](const auto& a, const auto& b) { return a.name < b.name; };
  if (!std::is_sorted(manifest.source_tensors.begin(), manifest.source_tensors.end(), by_name)) {
    return corrupt("source: tensors are not sorted by name");
  }
  return formats_of(manifest.config, manifest.source_tensors, num_factors != 0);
}

Result<StoredFile> read_file_entry(const Json& json, std::size_t index) {
  StoredFile file;
  LOCKSTEP_TRY_ASSIGN(file.name, json_text(json, "name"), "files");
  if (file.name != store_file_name(index)) {
    return corrupt("files: file " + std::to_string(index) + " is not called " +
                   store_file_name(index));
  }
  LOCKSTEP_TRY_ASSIGN(const std::int64_t bytes, json_integer(json, "bytes", 1, kMaxFileBytes),
                      file.name);
  file.bytes = static_cast<std::uint64_t>(bytes);
  LOCKSTEP_TRY_ASSIGN(file.sha256, digest_field(json, "sha256"), file.name);
  LOCKSTEP_TRY_ASSIGN(file.cid, json_text(json, "cid"), file.name);
  LOCKSTEP_TRY_ASSIGN(const Json* leaves, array_field(json, "leaves", SIZE_MAX), file.name);
  if (leaves->size() != ceil_div(file.bytes, kLeafBytes)) {
    return corrupt(file.name + ": has " + std::to_string(leaves->size()) + " leaf hashes for " +
                   std::to_string(file.bytes) + " bytes");
  }
  for (const Json& leaf : *leaves) {
    const auto digest = leaf.is_string() ? Digest::from_hex(leaf.get_ref<const std::string&>())
                                         : Result<Digest>(corrupt("leaf"));
    if (!digest.ok()) return corrupt(file.name + ": a leaf hash is no digest");
    file.leaves.push_back(digest.value());
  }
  if (file.cid != file_cid(file.bytes, file.leaves)) {
    return corrupt(file.name + ": the CID is not that of its leaves");
  }
  return file;
}

Status read_files(const Json& root, Manifest& manifest) {
  LOCKSTEP_TRY_ASSIGN(const Json* files, array_field(root, "files", kMaxFiles), "manifest");
  for (std::size_t i = 0; i < files->size(); ++i) {
    LOCKSTEP_TRY_ASSIGN(StoredFile file, read_file_entry((*files)[i], i), "manifest");
    manifest.files.push_back(std::move(file));
  }
  return {};
}

// Sets file and offset of each tensor; every other field must be the planned one.
Status read_tensors(const Json& root, Manifest& manifest) {
  LOCKSTEP_TRY_ASSIGN(const Json* rows, array_field(root, "tensors", SIZE_MAX), "manifest");
  if (rows->size() != manifest.tensors.size()) {
    return corrupt("tensors: there are " + std::to_string(rows->size()) +
                   ", the architecture has " + std::to_string(manifest.tensors.size()));
  }
  int file = 0;
  std::uint64_t end = 0;
  for (std::size_t i = 0; i < rows->size(); ++i) {
    StoredTensor& tensor = manifest.tensors[i];
    const Json& row = (*rows)[i];
    LOCKSTEP_TRY_ASSIGN(tensor.file,
                        int_field(row, "file", file, narrow<int>(manifest.files.size()) - 1),
                        "tensor " + tensor.name);
    LOCKSTEP_TRY_ASSIGN(const std::int64_t offset, json_integer(row, "offset", 0, kMaxFileBytes),
                        "tensor " + tensor.name);
    tensor.offset = static_cast<std::uint64_t>(offset);
    if (row != tensor_fields(tensor)) {
      return corrupt("tensors: entry " + std::to_string(i) + " is not the architecture's " +
                     tensor.name);
    }
    if (tensor.file != file) end = 0;
    file = tensor.file;
    if (tensor.offset % kDatasetAlignment != 0) {
      return corrupt("tensor " + tensor.name + ": its offset is no multiple of " +
                     std::to_string(kDatasetAlignment));
    }
    if (tensor.offset < end) return corrupt("tensor " + tensor.name + ": overlaps the one before");
    const std::uint64_t file_bytes = manifest.files[static_cast<std::size_t>(file)].bytes;
    if (tensor.offset > file_bytes || tensor.bytes > file_bytes - tensor.offset) {
      return corrupt("tensor " + tensor.name + ": ends behind its file");
    }
    end = tensor.offset + tensor.bytes;
  }
  return {};
}

Status read_header(const Json& root) {
  LOCKSTEP_TRY_ASSIGN(const std::string schema, json_text(root, "schema"), "manifest");
  if (schema != kStoreSchema) return corrupt("schema is not \"lockstep.store\"");
  LOCKSTEP_TRY_ASSIGN(const int version, int_field(root, "schema_version", 0, INT32_MAX),
                      "manifest");
  LOCKSTEP_TRY_ASSIGN(const int numerics, int_field(root, "numerics", 0, INT32_MAX), "manifest");
  if (version != kStoreSchemaVersion || numerics != kNumericsVersion) {
    return Error{ErrorCode::kInvalidArgument,
                 "store schema " + std::to_string(version) + ", numerics " +
                     std::to_string(numerics) + ": this program reads " +
                     std::to_string(kStoreSchemaVersion) + " and " +
                     std::to_string(kNumericsVersion) + "; import the model again"};
  }
  return {};
}

Status read_hashes(const Json& root, Manifest& manifest) {
  LOCKSTEP_TRY_ASSIGN(const Json* hashes, json_member(root, "hashes"), "manifest");
  LOCKSTEP_TRY_ASSIGN(manifest.weights_root, digest_field(*hashes, "weights_root"), "hashes");
  LOCKSTEP_TRY_ASSIGN(manifest.tokenizer_hash, digest_field(*hashes, "tokenizer_hash"), "hashes");
  LOCKSTEP_TRY_ASSIGN(manifest.template_hash, digest_field(*hashes, "template_hash"), "hashes");
  LOCKSTEP_TRY_ASSIGN(const Digest config_hash, digest_field(*hashes, "config_hash"), "hashes");
  LOCKSTEP_TRY_ASSIGN(const Digest model_id, digest_field(*hashes, "model_id"), "hashes");
  set_model_hashes(manifest);
  if (config_hash != manifest.config_hash) return corrupt("config_hash does not fit the config");
  if (model_id != manifest.model_id) return corrupt("model_id does not fit the hashes");
  return {};
}

// A value of JSON in memory takes up to 100 bytes; so many values that they would not fit are
// refused before parsing.
Status check_value_count(std::string_view text) {
  const auto values = static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return c == ',' || c == '[' || c == '{'; }));
  if (values > (std::size_t{1} << 19) + text.size() / 64) {
    return Error{ErrorCode::kExhausted, "manifest: has more values than any store needs"};
  }
  return {};
}

// SHA-256 of the canonical text without its key `manifest_hash`. Where the text is canonical, as
// every store's is, cutting the key out gives those bytes without writing all of it again.
Status check_manifest_hash(std::string_view text, const Json& without_hash,
                           const Digest& expected) {
  const std::string key = "\"manifest_hash\":\"" + expected.hex() + "\",";
  if (const std::size_t at = text.find(key); at != std::string_view::npos) {
    std::string cut(text.substr(0, at));
    cut += text.substr(at + key.size());
    if (sha256(as_bytes(cut)) == expected) return {};
  }
  LOCKSTEP_TRY_ASSIGN(const std::string hashed, canonical_dump(without_hash), "manifest");
  if (sha256(as_bytes(hashed)) == expected) return {};
  return corrupt("manifest: its bytes do not have the hash that it names");
}

}  // namespace

const StoredTensor* Manifest::find(TensorKind kind, int part, int layer) const {
  for (const StoredTensor& tensor : tensors) {
    if (tensor.kind == kind && tensor.part == part && tensor.layer == layer) return &tensor;
  }
  return nullptr;
}

Result<std::string> manifest_to_json(const Manifest& manifest) {
  const ModelConfig& config = manifest.config;
  Sections sections;
  const auto add = [&](const char* key, const Json& value) { return sections.add(key, value); };
  LOCKSTEP_TRY(add("schema", kStoreSchema), "write");
  LOCKSTEP_TRY(add("schema_version", kStoreSchemaVersion), "write");
  LOCKSTEP_TRY(add("numerics", kNumericsVersion), "write");
  LOCKSTEP_TRY(add("config", config_fields(config)), "write");
  LOCKSTEP_TRY(
      add("profile", {{"activation_bits", config.activation_bits}, {"kv_bits", config.kv_bits}}),
      "write");
  LOCKSTEP_TRY(add("source", source_fields(manifest)), "write");
  LOCKSTEP_TRY(add("blobs", {{"tokenizer", blob_bytes(manifest, TensorKind::kTokenizer)},
                             {"chat_template", blob_bytes(manifest, TensorKind::kChatTemplate)}}),
               "write");
  LOCKSTEP_TRY(add("hashes", {{"weights_root", manifest.weights_root.hex()},
                              {"config_hash", manifest.config_hash.hex()},
                              {"tokenizer_hash", manifest.tokenizer_hash.hex()},
                              {"template_hash", manifest.template_hash.hex()},
                              {"model_id", manifest.model_id.hex()}}),
               "write");
  LOCKSTEP_TRY(sections.add_table("parts", manifest.parts, part_fields), "write");
  LOCKSTEP_TRY(sections.add_table("tensors", manifest.tensors, tensor_fields), "write");
  LOCKSTEP_TRY(sections.add_table("files", manifest.files, file_fields), "write");
  LOCKSTEP_TRY(add("manifest_hash", sha256(as_bytes(sections.join())).hex()), "write");
  return sections.join();
}

Result<Manifest> manifest_from_json(std::string_view text) {
  LOCKSTEP_TRY(check_value_count(text), "manifest");
  LOCKSTEP_TRY_ASSIGN(Json root, parse_json(text, 8), "manifest");
  Manifest manifest;
  LOCKSTEP_TRY_ASSIGN(manifest.manifest_hash, digest_field(root, "manifest_hash"), "manifest");
  root.erase("manifest_hash");
  LOCKSTEP_TRY(check_manifest_hash(text, root, manifest.manifest_hash), "manifest");
  LOCKSTEP_TRY(read_header(root), "manifest");
  LOCKSTEP_TRY(read_config(root, manifest.config), "manifest");
  LOCKSTEP_TRY(read_parts(root, manifest), "manifest");
  LOCKSTEP_TRY_ASSIGN(const ModelFormats formats, read_source(root, manifest), "manifest");
  LOCKSTEP_TRY_ASSIGN(const Json* blobs, json_member(root, "blobs"), "manifest");
  LOCKSTEP_TRY_ASSIGN(const std::int64_t tokenizer,
                      json_integer(*blobs, "tokenizer", 0, kMaxBlobBytes), "blobs");
  LOCKSTEP_TRY_ASSIGN(const std::int64_t chat_template,
                      json_integer(*blobs, "chat_template", 0, kMaxBlobBytes), "blobs");
  const BlobSizes sizes = {static_cast<std::uint64_t>(tokenizer),
                           static_cast<std::uint64_t>(chat_template)};
  manifest.tensors = plan_tensors(manifest.config, manifest.parts, formats, sizes);
  LOCKSTEP_TRY(read_files(root, manifest), "manifest");
  LOCKSTEP_TRY(read_tensors(root, manifest), "manifest");
  LOCKSTEP_TRY(read_hashes(root, manifest), "manifest");
  // Whatever else the text holds, keys that are not ours among it, would change these bytes.
  LOCKSTEP_TRY_ASSIGN(const std::string again, manifest_to_json(manifest), "manifest");
  if (again != text) return corrupt("manifest: is not in the canonical form");
  return manifest;
}

}  // namespace lockstep
