// Arithmetic, comparison and slicing, with Python's meaning. Integers have 64 bits; one that does
// not fit is an error.
#pragma once

#include "sharding/chat/ast.h"
#include "sharding/chat/budget.h"
#include "sharding/chat/value.h"

namespace lockstep::chat {

// Requires: `op` is arithmetic and not kConcatenate.
Result<Value> calculate(Budget& budget, Operator op, const Value& a, const Value& b);
Result<Value> negate(const Value& value);
// Requires: `op` compares.
Result<bool> compare(Budget& budget, Operator op, const Value& a, const Value& b);
Result<bool> contains(Budget& budget, const Value& container, const Value& item);

// value[begin:end:step]; each part is an integer or none.
struct SliceParts {
  Value begin;
  Value end;
  Value step;
};
Result<Value> slice(Budget& budget, const Value& value, const SliceParts& parts);

// `text` from code point `begin` to `end`, marks kept.
Result<Value> substring(Budget& budget, const Text& text, std::size_t begin, std::size_t end);

}  // namespace lockstep::chat
