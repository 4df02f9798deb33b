// A manifest, as it is, and with its hash made to fit so that the checks behind the hash are
// reached.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "base/canonical_json.h"
#include "sharding/store.h"

namespace {

void parse(const std::string& text) {
  const auto manifest = lockstep::manifest_from_json(text);
  if (!manifest.ok()) return;
  const auto again = lockstep::manifest_to_json(manifest.value());
  if (!again.ok() || again.value() != text) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  parse(text);
  auto root = lockstep::parse_json(text, 8);
  if (!root.ok() || !root.value().is_object()) return 0;
  root.value().erase("manifest_hash");
  const auto hashed = lockstep::canonical_dump(root.value());
  if (!hashed.ok()) return 0;
  root.value()["manifest_hash"] = lockstep::sha256(lockstep::as_bytes(hashed.value())).hex();
  const auto forged = lockstep::canonical_dump(root.value());
  if (forged.ok()) parse(forged.value());
  return 0;
}
