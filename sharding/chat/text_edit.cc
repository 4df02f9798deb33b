#include "sharding/chat/text_edit.h"

#include <algorithm>

#include "sharding/chat/operators.h"
#include "sharding/chat/try.h"
#include "sharding/chat/unicode.h"

namespace lockstep::chat {
namespace {

Result<Value> range_of(Budget& budget, const Text& text, std::size_t begin, std::size_t end) {
  TextBuilder builder(&budget);
  builder.append_range(text, begin, end);
  CHAT_ASSIGN(TextPtr out, builder.finish());
  return Value(std::move(out));
}

// Where the character that ends at `end` begins.
std::size_t character_before(const std::string& bytes, std::size_t end) {
  std::size_t at = end - 1;
  while (at > 0 && (static_cast<unsigned char>(bytes[at]) & 0xC0) == 0x80) --at;
  return at;
}

struct Piece {
  std::size_t begin;
  std::size_t end;
};

Result<std::vector<Value>> pieces_of(Budget& budget, const Text& text,
                                     const std::vector<Piece>& pieces) {
  CHAT_TRY(budget.take_steps(pieces.size()));
  std::vector<Value> out;
  out.reserve(pieces.size());
  for (const Piece& piece : pieces) {
    CHAT_ASSIGN(Value value, range_of(budget, text, piece.begin, piece.end));
    out.push_back(std::move(value));
  }
  return out;
}

}  // namespace

Result<Value> strip(Budget& budget, const Text& text, const Text* set, Sides sides) {
  CHAT_TRY(budget.take_scan(text.bytes().size() + (set != nullptr ? set->bytes().size() : 0)));
  std::u32string members;
  for (std::size_t at = 0; set != nullptr && at < set->bytes().size();) {
    const CodePoint c = decode(set->bytes(), at);
    members.push_back(c.value);
    at += c.bytes;
  }
  std::sort(members.begin(), members.end());
  const auto goes = [&](std::size_t at) {
    const char32_t c = decode(text.bytes(), at).value;
    return set == nullptr ? is_space(c) : std::binary_search(members.begin(), members.end(), c);
  };
  std::size_t begin = 0;
  std::size_t end = text.bytes().size();
  while (sides != Sides::kRight && begin < end && goes(begin)) {
    begin += decode(text.bytes(), begin).bytes;
  }
  while (sides != Sides::kLeft && begin < end) {
    const std::size_t at = character_before(text.bytes(), end);
    if (!goes(at)) break;
    end = at;
  }
  return range_of(budget, text, begin, end);
}

Result<Value> replace(Budget& budget, const Text& text, const Text& old_text, const Text& new_text,
                      std::int64_t count) {
  CHAT_TRY(budget.take_scan(text.bytes().size()));
  const std::string& bytes = text.bytes();
  const std::string& needle = old_text.bytes();
  TextBuilder out(&budget);
  std::size_t at = 0;
  for (std::int64_t done = 0; count < 0 || done < count; ++done) {
    // An empty needle stands in front of each character, and at the end.
    const std::size_t found = bytes.find(needle, at);
    if (found == std::string::npos || out.is_full()) break;
    out.append_range(text, at, found);
    out.append(new_text);
    at = found + needle.size();
    if (!needle.empty()) continue;
    if (at >= bytes.size()) {
      at = bytes.size() + 1;
      break;
    }
    const std::size_t size = decode(bytes, at).bytes;
    out.append_range(text, at, at + size);
    at += size;
  }
  if (at < bytes.size()) out.append_range(text, at, bytes.size());
  CHAT_ASSIGN(TextPtr result, out.finish());
  return Value(std::move(result));
}

Result<std::vector<Value>> split(Budget& budget, const Text& text, const Text& separator,
                                 std::int64_t limit, bool from_right) {
  const std::string& bytes = text.bytes();
  const std::string& needle = separator.bytes();
  if (needle.empty()) return wrong("split: the separator is empty");
  CHAT_TRY(budget.take_scan(bytes.size()));
  std::vector<Piece> pieces;
  std::size_t begin = 0;
  std::size_t end = bytes.size();
  while (limit < 0 || static_cast<std::int64_t>(pieces.size()) < limit) {
    CHAT_TRY(budget.take_steps(1));
    if (from_right) {
      if (end < needle.size()) break;
      const std::size_t found = bytes.rfind(needle, end - needle.size());
      if (found == std::string::npos) break;
      pieces.push_back({found + needle.size(), end});
      end = found;
    } else {
      const std::size_t found = bytes.find(needle, begin);
      if (found == std::string::npos) break;
      pieces.push_back({begin, found});
      begin = found + needle.size();
    }
  }
  pieces.push_back({begin, end});
  if (from_right) std::reverse(pieces.begin(), pieces.end());
  return pieces_of(budget, text, pieces);
}

Result<std::vector<Value>> split_space(Budget& budget, const Text& text, std::int64_t limit,
                                       bool from_right) {
  const std::string& bytes = text.bytes();
  CHAT_TRY(budget.take_scan(bytes.size()));
  std::vector<Piece> words;
  for (std::size_t at = 0; at < bytes.size();) {
    const CodePoint c = decode(bytes, at);
    const bool space = is_space(c.value);
    if (!space && (words.empty() || words.back().end != at)) words.push_back({at, at});
    if (!space) words.back().end = at + c.bytes;
    at += c.bytes;
  }
  const auto count = static_cast<std::int64_t>(words.size());
  if (limit >= 0 && limit < count - 1) {
    const auto kept = static_cast<std::size_t>(from_right ? count - limit - 1 : limit);
    if (from_right) {
      // The first words stay together, with the white space in front of them.
      words[kept].begin = 0;
      words.erase(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(kept));
    } else {
      words[kept].end = bytes.size();
      words.resize(kept + 1);
    }
  }
  return pieces_of(budget, text, words);
}

Result<std::vector<Value>> split_lines(Budget& budget, const Text& text, bool keep_ends) {
  const std::string& bytes = text.bytes();
  CHAT_TRY(budget.take_scan(bytes.size()));
  std::vector<Piece> lines;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < bytes.size();) {
    const CodePoint c = decode(bytes, at);
    std::size_t next = at + c.bytes;
    if (is_line_end(c.value)) {
      if (c.value == U'\r' && next < bytes.size() && bytes[next] == '\n') ++next;
      lines.push_back({begin, keep_ends ? next : at});
      begin = next;
    }
    at = next;
  }
  if (begin < bytes.size()) lines.push_back({begin, bytes.size()});
  return pieces_of(budget, text, lines);
}

namespace {

// The Greek letter sigma has another lower case at the end of a word.
bool is_final_sigma(const std::string& bytes, std::size_t at) {
  const auto is_letter = [](char32_t c) { return is_upper(c) || is_lower(c) || is_alpha(c); };
  const std::size_t next = at + 2;
  const bool before = at > 0 && is_letter(decode(bytes, character_before(bytes, at)).value);
  const bool after = next < bytes.size() && is_letter(decode(bytes, next).value);
  return before && !after;
}

void append_lower_at(const std::string& bytes, std::size_t at, std::string* out) {
  const char32_t c = decode(bytes, at).value;
  if (c == U'\u03A3' && is_final_sigma(bytes, at)) {
    append_utf8(U'\u03C2', out);
  } else {
    append_lower(c, out);
  }
}

}  // namespace

Result<Value> change_case(Budget& budget, const Text& text, Case to) {
  const std::string& bytes = text.bytes();
  CHAT_TRY(budget.take_scan(bytes.size()));
  std::string out;
  bool in_word = false;
  for (std::size_t at = 0; at < bytes.size();) {
    const CodePoint c = decode(bytes, at);
    const bool cased = is_upper(c.value) || is_lower(c.value);
    if (to == Case::kUpper || (to == Case::kSwap && is_lower(c.value))) {
      append_upper(c.value, &out);
    } else if (to == Case::kLower || (to == Case::kSwap && is_upper(c.value)) ||
               (to == Case::kTitle && in_word) || (to == Case::kCapitalize && at > 0)) {
      append_lower_at(bytes, at, &out);
    } else if (to == Case::kTitle || to == Case::kCapitalize) {
      append_title(c.value, &out);
    } else {
      out.append(bytes, at, c.bytes);
    }
    in_word = cased;
    at += c.bytes;
  }
  TextBuilder builder(&budget);
  builder.append(out, text.is_trusted());
  CHAT_ASSIGN(TextPtr result, builder.finish());
  return Value(std::move(result));
}

Result<TextPtr> lower(Budget& budget, const Text& text) {
  CHAT_ASSIGN(const Value value, change_case(budget, text, Case::kLower));
  return value.text_ptr();
}

Result<Value> pad(Budget& budget, const Text& text, std::int64_t width, const Text& fill,
                  Sides added) {
  const auto length = static_cast<std::int64_t>(text.length());
  const std::int64_t missing = std::max<std::int64_t>(width, length) - length;
  std::int64_t left = added == Sides::kLeft ? missing : 0;
  // Python's rule for where the odd one goes.
  if (added == Sides::kBoth) left = missing / 2 + (missing & width & 1);
  TextBuilder out(&budget);
  out.append_repeated(fill, static_cast<std::size_t>(left));
  out.append(text);
  out.append_repeated(fill, static_cast<std::size_t>(missing - left));
  CHAT_ASSIGN(TextPtr result, out.finish());
  return Value(std::move(result));
}

}  // namespace lockstep::chat
