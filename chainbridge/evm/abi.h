// Solidity's ABI encoding of what contracts take, return and log. Types are text
// ("(uint256,bytes32[],(address,bool))"), values trees. Decoding is strict: it accepts exactly what
// encoding writes (every tail where the one before ends), so the work is linear in the bytes and no
// offset can point at the same bytes twice.
//
// Source: Solidity documentation, "Contract ABI Specification".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/digest.h"
#include "base/result.h"
#include "chainbridge/evm/address.h"
#include "chainbridge/evm/uint256.h"

namespace lockstep {

struct AbiType {
  enum class Kind { kUint, kInt, kAddress, kBool, kFixedBytes, kBytes, kString, kArray, kTuple };

  Kind kind = Kind::kTuple;
  std::uint32_t size = 0;  // Bits of an integer, bytes of kFixedBytes, elements of kArray (0: any).
  std::vector<AbiType> components;  // The element of an array, the fields of a tuple.

  bool is_dynamic() const;
  std::size_t head_bytes() const;  // 32 for what is dynamic.
};

inline constexpr int kMaxAbiDepth = 8;
inline constexpr std::size_t kMaxAbiTypes = 64;      // In one text.
inline constexpr std::uint32_t kMaxAbiArray = 1024;  // Elements of an array of fixed size.

// A type, or a list of them in parentheses: a tuple. kInvalidArgument names what is no type.
Result<AbiType> parse_abi_type(std::string_view text);

// A word (numbers, addresses, booleans and fixed bytes as the ABI writes them), bytes (of bytes and
// strings), or items (of arrays and tuples).
struct AbiValue {
  Digest word;
  Bytes bytes;
  std::vector<AbiValue> items;

  static AbiValue of(const Digest& word) { return {word, {}, {}}; }
  static AbiValue of(const Uint256& number) { return {number.word(), {}, {}}; }
  static AbiValue of(const Address& address) { return {address.word(), {}, {}}; }
  static AbiValue of_bytes(ByteView bytes) { return {{}, Bytes(bytes.begin(), bytes.end()), {}}; }
  static AbiValue of_text(std::string_view text) { return of_bytes(as_bytes(text)); }
  static AbiValue list(std::vector<AbiValue> items) { return {{}, {}, std::move(items)}; }

  Uint256 number() const { return Uint256::of_word(word); }
  bool operator==(const AbiValue&) const = default;
};

// kInvalidArgument: the value is none of that type.
Result<Bytes> encode_abi(const AbiType& type, const AbiValue& value);
// kCorrupt: anything that encode_abi would not have written.
Result<AbiValue> decode_abi(const AbiType& type, ByteView bytes);

// "transfer(address,uint256)": the first four bytes of its keccak256.
using Selector = std::array<std::uint8_t, 4>;
Selector abi_selector(std::string_view signature);
// What a log of the event has as its first topic.
inline Digest abi_event_topic(std::string_view signature) { return keccak256(signature); }

// The data of a call: selector and arguments. kInvalidArgument as above.
Result<Bytes> encode_abi_call(std::string_view signature, const std::vector<AbiValue>& arguments);
// The arguments of a call, or of an error, whose selector is the signature's. kCorrupt as above, or
// another selector.
Result<std::vector<AbiValue>> decode_abi_call(std::string_view signature, ByteView data);

}  // namespace lockstep
