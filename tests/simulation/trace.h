// A hash over everything that happened in a world, in order: two runs with one hash are one run. On
// request also a line for each of the larger events, to be read.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>

#include "base/wire.h"
#include "tests/simulation/fake_model.h"

namespace lockstep::simulation {

// Enough of it to tell the jobs of a world apart.
std::string short_name(const RequestId& id);

class Trace {
 public:
  // From now on lines go there; nullptr: nowhere.
  void print_to(std::FILE* out) { out_ = out; }
  bool prints() const { return out_ != nullptr; }

  void add(std::uint64_t value) { hash_ = mix(hash_, value); }
  void add(const RequestId& id);
  void add(const ToReplica& message);
  void add(const ToGateway& message);

  // Alone for who reads: it does not change the hash. Ask prints() before making `what`.
  void print(std::int64_t now_us, const std::string& what) const;

  std::uint64_t hash() const { return hash_; }

 private:
  std::uint64_t hash_ = 0x10c4'57e9;
  std::FILE* out_ = nullptr;
};

// One message in words.
std::string text_of(const ToReplica& message);
std::string text_of(const ToGateway& message);

}  // namespace lockstep::simulation
