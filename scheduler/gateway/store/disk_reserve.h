// Room on the disk that is kept back, so that what was accepted can still end when the disk is
// full: a file of zeros that is given up then, and made again when there is room. Not thread-safe.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace lockstep {

class DiskReserve {
 public:
  DiskReserve(std::string path, std::uint64_t bytes) : path_(std::move(path)), bytes_(bytes) {}

  // kExhausted when there is no room for it and a quarter more; then nothing is taken.
  Status make();
  void give_up();
  bool is_held() const { return is_held_; }

 private:
  std::string path_;
  std::uint64_t bytes_;
  bool is_held_ = false;
};

}  // namespace lockstep
