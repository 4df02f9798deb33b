// Tables of characters, generated from the Unicode database (see unicode_table.py).
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace lockstep::chat {

struct CharacterRange {
  std::uint32_t first;
  std::uint32_t last;
};

// Characters first, first + step, ..., last map to themselves plus `offset`.
struct CaseRun {
  std::uint32_t first;
  std::uint32_t last;
  std::uint32_t step;
  std::int32_t offset;
};

// A character that maps to several; zeros at the end are none.
struct CaseExpansion {
  std::uint32_t from;
  std::array<std::uint32_t, 3> to;
};

struct CaseTable {
  std::span<const CaseRun> runs;
  std::span<const CaseExpansion> expansions;
};

// All in ascending order.
extern const std::span<const CharacterRange> kSpaceTable;
extern const std::span<const CharacterRange> kAlphaTable;
extern const std::span<const CharacterRange> kDecimalTable;
extern const std::span<const CharacterRange> kDigitTable;
extern const std::span<const CharacterRange> kNumericTable;
extern const std::span<const CharacterRange> kUpperTable;
extern const std::span<const CharacterRange> kLowerTable;
extern const std::span<const CharacterRange> kUnprintableTable;
extern const CaseTable kToUpperTable;
extern const CaseTable kToLowerTable;
extern const CaseTable kToTitleTable;

}  // namespace lockstep::chat
