// Names in a store's directory.
#pragma once

#include <array>
#include <cstddef>
#include <cstdio>
#include <string>

namespace lockstep {

inline constexpr const char* kManifestName = "manifest.json";

// "model-00001.h5" for index 0.
inline std::string store_file_name(std::size_t index) {
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), "model-%05zu.h5", index + 1);
  return text.data();
}

}  // namespace lockstep
