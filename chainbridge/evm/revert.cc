#include "chainbridge/evm/revert.h"

#include <algorithm>

namespace lockstep {
namespace {

constexpr std::string_view kError = "Error(string)";
constexpr std::string_view kPanic = "Panic(uint256)";
constexpr std::size_t kMaxReasonBytes = 200;  // Of a contract's text in a message.
constexpr std::size_t kMaxArguments = 8;      // Shown.

std::string printable(ByteView bytes) {
  std::string text(as_text(bytes.first(std::min(bytes.size(), kMaxReasonBytes))));
  std::ranges::replace_if(
      text, [](char c) { return c < 0x20 || c > 0x7E; }, '?');
  return text;
}

// Source: Solidity documentation, "Panic via assert and Error via require".
std::string panic_text(const Uint256& code) {
  switch (code.u64().value_or(0)) {
    case 0x01:
      return "assertion failed";
    case 0x11:
      return "arithmetic overflow";
    case 0x12:
      return "division by zero";
    case 0x21:
      return "no such enum value";
    case 0x22:
      return "damaged storage array";
    case 0x31:
      return "pop of an empty array";
    case 0x32:
      return "index out of bounds";
    case 0x41:
      return "out of memory";
    case 0x51:
      return "call of an empty function";
    default:
      return "code " + code.quantity();
  }
}

std::string argument_text(const AbiValue& value) {
  if (!value.items.empty()) return std::to_string(value.items.size()) + " items";
  if (!value.bytes.empty()) return "\"" + printable(value.bytes) + "\"";
  const Uint256 number = value.number();
  return number.num_bits() <= 64 ? number.decimal() : number.quantity();
}

}  // namespace

RevertTable::RevertTable(const std::vector<std::string>& signatures) {
  for (const std::string& signature : signatures) {
    const std::size_t open = signature.find('(');
    CHECK(open != signature.npos && parse_abi_type(signature.substr(open)).ok(),
          "an error's signature is none");
    entries_.push_back({abi_selector(signature), signature});
  }
}

Revert RevertTable::decode(ByteView data) const {
  if (data.empty()) return {"", "reverted without a reason", {}};
  if (const auto error = decode_abi_call(kError, data); error.ok()) {
    return {"Error", "Error: " + printable(error.value()[0].bytes), error.value()};
  }
  if (const auto panic = decode_abi_call(kPanic, data); panic.ok()) {
    return {"Panic", "Panic: " + panic_text(panic.value()[0].number()), panic.value()};
  }
  const auto entry = std::ranges::find_if(entries_, [data](const Entry& candidate) {
    return data.size() >= candidate.selector.size() &&
           std::ranges::equal(data.first(candidate.selector.size()), candidate.selector);
  });
  const auto arguments = entry == entries_.end()
                             ? Result<std::vector<AbiValue>>(Error{ErrorCode::kNotFound, ""})
                             : decode_abi_call(entry->signature, data);
  if (!arguments.ok()) {
    const std::size_t shown = std::min<std::size_t>(data.size(), 36);
    return {"", "reverted with 0x" + to_hex(data.first(shown)) + ", which no known error is", {}};
  }
  Revert revert{entry->signature.substr(0, entry->signature.find('(')), "", arguments.value()};
  for (const AbiValue& value : revert.arguments) {
    if (&value - revert.arguments.data() >= static_cast<std::ptrdiff_t>(kMaxArguments)) break;
    revert.text += (revert.text.empty() ? "" : ", ") + argument_text(value);
  }
  revert.text = revert.name + "(" + revert.text + ")";
  return revert;
}

}  // namespace lockstep
