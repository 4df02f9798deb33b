// Why a call was reverted: Error(string), Panic(uint256), or a named error of a table.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "chainbridge/evm/abi.h"

namespace lockstep {

struct Revert {
  std::string name;  // "Error", "Panic", of the table; "" where there was no reason or none known.
  std::string text;  // For people, printable: `AlreadyRecorded(3)`, `Error: too late`.
  std::vector<AbiValue> arguments;

  bool operator==(const Revert&) const = default;
};

// Named errors: "AlreadyRecorded(uint256)".
class RevertTable {
 public:
  RevertTable() = default;
  // Requires: parse_abi_type takes the arguments of each.
  explicit RevertTable(const std::vector<std::string>& signatures);

  // Never fails: what cannot be decoded says so in its text.
  Revert decode(ByteView data) const;

 private:
  struct Entry {
    Selector selector;
    std::string signature;
  };
  std::vector<Entry> entries_;
};

}  // namespace lockstep
