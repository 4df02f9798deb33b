// What Python's str methods know of characters (Unicode 14, as in Python 3.11).
#pragma once

#include <string>

namespace lockstep::chat {

// str.isspace(), which strip() and split() use.
bool is_space(char32_t c);
// Whether splitlines() ends a line there.
bool is_line_end(char32_t c);
// str.isalpha(), isdecimal(), isdigit(), isnumeric() of one character.
bool is_alpha(char32_t c);
bool is_decimal(char32_t c);
bool is_digit(char32_t c);
bool is_numeric(char32_t c);
bool is_upper(char32_t c);
bool is_lower(char32_t c);
// Whether repr() writes the character as itself.
bool is_printable(char32_t c);

// Appends the mapping, which can be several characters ("ß" to "SS").
void append_upper(char32_t c, std::string* out);
void append_lower(char32_t c, std::string* out);
void append_title(char32_t c, std::string* out);

}  // namespace lockstep::chat
