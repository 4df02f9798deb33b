// Edits of marked text that both filters and methods need. All keep the marks where the text is
// kept.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "sharding/chat/budget.h"
#include "sharding/chat/text.h"
#include "sharding/chat/value.h"

namespace lockstep::chat {

enum class Sides { kBoth, kLeft, kRight };

// Without the characters of `set` (white space when it is null) at its ends.
Result<Value> strip(Budget& budget, const Text& text, const Text* set, Sides sides);
// At most `count` replacements; all when negative.
Result<Value> replace(Budget& budget, const Text& text, const Text& old_text, const Text& new_text,
                      std::int64_t count);
// Parts between separators, from the left or the right; at most `limit` cuts unless negative.
Result<std::vector<Value>> split(Budget& budget, const Text& text, const Text& separator,
                                 std::int64_t limit, bool from_right);
// Parts between runs of white space.
Result<std::vector<Value>> split_space(Budget& budget, const Text& text, std::int64_t limit,
                                       bool from_right);
Result<std::vector<Value>> split_lines(Budget& budget, const Text& text, bool keep_ends);

enum class Case { kUpper, kLower, kTitle, kCapitalize, kSwap };
// Str.upper() and so on. The result is trusted only if all of `text` is.
Result<Value> change_case(Budget& budget, const Text& text, Case to);
// The lower case that comparisons without regard to case use.
Result<TextPtr> lower(Budget& budget, const Text& text);

// `text` with `fill` added until it has `width` code points; `left` is the number added in front of
// it when it is to be centred.
Result<Value> pad(Budget& budget, const Text& text, std::int64_t width, const Text& fill,
                  Sides added);

}  // namespace lockstep::chat
