#include "tests/model/model_store_support.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <filesystem>

#include "sharding/import.h"

namespace lockstep {

Store smollm2_store(int activation_bits, int kv_bits) {
  const std::string models = std::string(LOCKSTEP_BUILD_DIR) + "/models/";
  const bool standard = activation_bits == 16 && kv_bits == 16;
  const std::string name =
      standard ? "smollm2"
               : "smollm2-a" + std::to_string(activation_bits) + "k" + std::to_string(kv_bits);
  const int lock =
      ::open((models + "." + name + ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  CHECK(lock >= 0 && ::flock(lock, LOCK_EX) == 0, "no build/models: run `make model` first");
  auto store = Store::open(models + name);
  if (!store.ok()) {
    std::error_code ignored;
    std::filesystem::remove_all(models + name, ignored);
    ImportOptions options;
    options.activation_bits = activation_bits;
    options.kv_bits = kv_bits;
    const auto imported =
        import_gguf(models + "SmolLM2-135M-Instruct.Q4_1.gguf", models + name, options);
    CHECK(imported.ok(), imported.ok() ? "" : imported.error().message.c_str());
    store = Store::open(models + name);
  }
  ::close(lock);
  CHECK(store.ok(), store.ok() ? "" : store.error().message.c_str());
  return std::move(store).value();
}

}  // namespace lockstep
