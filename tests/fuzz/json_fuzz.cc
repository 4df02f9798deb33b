// parse_json on any bytes: what it accepts has canonical bytes that read back as the same value.
#include "base/bytes.h"
#include "base/canonical_json.h"
#include "base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lockstep;
  const auto parsed = parse_json(as_text({data, size}));
  if (!parsed.ok()) return 0;
  const auto text = canonical_dump(parsed.value());
  if (!text.ok()) return 0;  // A floating-point number.
  const auto again = parse_json(text.value());
  CHECK(again.ok() && again.value() == parsed.value(), "canonical JSON reads back differently");
  CHECK(canonical_dump(again.value()).value() == text.value(), "canonical JSON is not canonical");
  return 0;
}
