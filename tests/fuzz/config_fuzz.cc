// A configuration file of any bytes, and the typed getters on what it gave.
#include "base/bytes.h"
#include "base/config.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lockstep;
  Config config;
  if (!config.add_file(as_text({data, size}), "file.toml").ok()) return 0;
  static_cast<void>(config.integer("a", -5, 5, 0));
  static_cast<void>(config.number("a", -5, 5, 0));
  static_cast<void>(config.flag("a", false));
  static_cast<void>(config.find("a", "b"));
  static_cast<void>(config.describe());
  return 0;
}
