#include "sharding/tokenizer/pretokenizer.h"

#include <array>
#include <cstddef>
#include <utility>

#include "sharding/tokenizer/unicode.h"

namespace lockstep {
namespace {

using Words = std::vector<std::string_view>;

constexpr std::array<std::pair<std::string_view, Pretokenizer>, 6> kNames{{
    {"gpt-2", Pretokenizer::kGpt2},
    {"smollm", Pretokenizer::kSmollm},
    {"starcoder", Pretokenizer::kSmollm},
    {"deepseek-coder", Pretokenizer::kDeepseekCoder},
    {"llama-bpe", Pretokenizer::kLlamaBpe},
    {"qwen2", Pretokenizer::kQwen2},
}};

// The character at a position; `bytes` is 0 and the class kOther at the end of the text.
struct Char {
  char32_t value = 0;
  std::size_t bytes = 0;
  CharClass kind = CharClass::kOther;

  bool at_end() const { return bytes == 0; }
  bool is(CharClass k) const { return bytes != 0 && kind == k; }
  bool is_newline() const { return value == U'\n' || value == U'\r'; }
  // [^\s\p{L}\p{N}]
  bool is_symbol() const {
    return bytes != 0 && (kind == CharClass::kOther || kind == CharClass::kPunctuation);
  }
};

Char char_at(std::string_view text, std::size_t position) {
  if (position >= text.size()) return {};
  const Utf8Char decoded = decode_utf8(text, position);
  return {decoded.code_point, decoded.bytes, class_of(decoded.code_point)};
}

// The end of the longest run of characters from `position` on that satisfy `predicate`.
template <typename Predicate>
std::size_t run_end(std::string_view text, std::size_t position, Predicate predicate) {
  for (Char c = char_at(text, position); !c.at_end() && predicate(c); c = char_at(text, position)) {
    position += c.bytes;
  }
  return position;
}

std::size_t class_run_end(std::string_view text, std::size_t position, CharClass kind) {
  return run_end(text, position, [kind](const Char& c) { return c.kind == kind; });
}

std::size_t symbol_run_end(std::string_view text, std::size_t position) {
  return run_end(text, position, [](const Char& c) { return c.is_symbol(); });
}

// `\s+(?!\S)|\s+`: all of the run at the end of the text; else all but its last character, which
// is left for the word that follows; a single character is taken as it is.
std::size_t space_end(std::string_view text, std::size_t begin) {
  std::size_t last = begin;
  std::size_t end = begin;
  for (Char c = char_at(text, end); c.is(CharClass::kSpace); c = char_at(text, end)) {
    last = end;
    end += c.bytes;
  }
  return end == text.size() || last == begin ? end : last;
}

char32_t folded(char32_t c) {
  if (c >= U'A' && c <= U'Z') return c + 32;
  return c == 0x17F ? U's' : c;  // Long s: the one other character that folds to a letter of these.
}

// `'s|'t|'re|'ve|'m|'ll|'d`, with `ignore_case` as `(?i:...)`; `begin` where there is none.
std::size_t contraction_end(std::string_view text, std::size_t begin, bool ignore_case) {
  if (text[begin] != '\'') return begin;
  const Char first = char_at(text, begin + 1);
  const char32_t a = ignore_case ? folded(first.value) : first.value;
  const std::size_t after_first = begin + 1 + first.bytes;
  if (a == U's' || a == U't' || a == U'm' || a == U'd') return after_first;
  const Char second = char_at(text, after_first);
  const char32_t b = ignore_case ? folded(second.value) : second.value;
  const bool matches =
      (a == U'r' && b == U'e') || (a == U'v' && b == U'e') || (a == U'l' && b == U'l');
  return matches ? after_first + second.bytes : begin;
}

// GPT-2: 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
std::size_t gpt2_word_end(std::string_view text, std::size_t begin) {
  if (const std::size_t end = contraction_end(text, begin, false); end != begin) return end;
  const std::size_t start = text[begin] == ' ' ? begin + 1 : begin;
  const Char c = char_at(text, start);
  if (c.is(CharClass::kLetter) || c.is(CharClass::kNumber)) {
    return class_run_end(text, start, c.kind);
  }
  if (c.is_symbol()) return symbol_run_end(text, start);
  return space_end(text, begin);
}

// `\s*[\r\n]+`: white space up to the last newline of its run; `begin` where the run has none.
std::size_t newline_end(std::string_view text, std::size_t begin) {
  std::size_t end = begin;
  std::size_t position = begin;
  for (Char c = char_at(text, position); c.is(CharClass::kSpace); c = char_at(text, position)) {
    position += c.bytes;
    if (c.is_newline()) end = position;
  }
  return end;
}

// Llama 3 and Qwen 2, which differ in {1,3} and {1,1}:
//   (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*
//   |\s*[\r\n]+|\s+(?!\S)|\s+
std::size_t llama_word_end(std::string_view text, std::size_t begin, int max_digits) {
  if (const std::size_t end = contraction_end(text, begin, true); end != begin) return end;
  const Char first = char_at(text, begin);
  const std::size_t after_first = begin + first.bytes;
  if (first.is(CharClass::kLetter)) return class_run_end(text, begin, CharClass::kLetter);
  if (first.is(CharClass::kNumber)) {
    return run_end(text, begin, [digits = 0, max_digits](const Char& c) mutable {
      return c.kind == CharClass::kNumber && digits++ < max_digits;
    });
  }
  if (!first.is_newline() && char_at(text, after_first).is(CharClass::kLetter)) {
    return class_run_end(text, after_first, CharClass::kLetter);
  }
  const std::size_t start = first.value == U' ' ? after_first : begin;
  if (char_at(text, start).is_symbol()) {
    return run_end(text, symbol_run_end(text, start), [](const Char& c) { return c.is_newline(); });
  }
  if (const std::size_t end = newline_end(text, begin); end != begin) return end;
  return space_end(text, begin);
}

// Appends `text` cut after every word. `word_end(text, begin)` is above `begin`.
template <typename WordEnd>
void append_words(Words& words, std::string_view text, WordEnd word_end) {
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = word_end(text, begin);
    words.push_back(text.substr(begin, end - begin));
    begin = end;
  }
}

// Cuts every piece around the matches of a pattern; each match and what lies between two of them is
// a piece. `match_end(text, begin)` is `begin` where the pattern does not match at `begin`.
template <typename MatchEnd>
Words isolate(const Words& pieces, MatchEnd match_end) {
  Words out;
  for (const std::string_view piece : pieces) {
    std::size_t gap = 0;
    for (std::size_t position = 0; position < piece.size();) {
      const std::size_t end = match_end(piece, position);
      if (end == position) {
        position += char_at(piece, position).bytes;
        continue;
      }
      if (gap < position) out.push_back(piece.substr(gap, position - gap));
      out.push_back(piece.substr(position, end - position));
      gap = position = end;
    }
    if (gap < piece.size()) out.push_back(piece.substr(gap));
  }
  return out;
}

// \p{N}, one at a time.
std::size_t digit_end(std::string_view text, std::size_t begin) {
  const Char c = char_at(text, begin);
  return c.is(CharClass::kNumber) ? begin + c.bytes : begin;
}

// `\s?\p{X}+`
std::size_t spaced_run_end(std::string_view text, std::size_t begin, CharClass kind) {
  const Char first = char_at(text, begin);
  const std::size_t start = first.kind == CharClass::kSpace ? begin + first.bytes : begin;
  const std::size_t end = class_run_end(text, start, kind);
  return end == start ? begin : end;
}

// DeepSeek Coder's [U+4E00-U+9FA5 U+0800-U+4E00 U+AC00-U+D7FF]+
bool is_deepseek_cjk(const Char& c) {
  return (c.value >= 0x800 && c.value <= 0x9FA5) || (c.value >= 0xAC00 && c.value <= 0xD7FF);
}

// [\r\n], \s?\p{L}+, \s?\p{P}+, the range above, \p{N}: each cuts the pieces of the one before.
Words deepseek_coder_words(std::string_view text) {
  Words words = isolate({text}, [](std::string_view piece, std::size_t begin) {
    return begin + (piece[begin] == '\n' || piece[begin] == '\r' ? 1 : 0);
  });
  for (const CharClass kind : {CharClass::kLetter, CharClass::kPunctuation}) {
    words = isolate(words, [kind](std::string_view piece, std::size_t begin) {
      return spaced_run_end(piece, begin, kind);
    });
  }
  words = isolate(words, [](std::string_view piece, std::size_t begin) {
    return run_end(piece, begin, is_deepseek_cjk);
  });
  return isolate(words, digit_end);
}

}  // namespace

std::optional<Pretokenizer> pretokenizer_named(std::string_view name) {
  for (const auto& [known, pretokenizer] : kNames) {
    if (known == name) return pretokenizer;
  }
  return std::nullopt;
}

std::string pretokenizer_names() {
  std::string names;
  for (const auto& [known, pretokenizer] : kNames) {
    if (!names.empty()) names += ", ";
    names += known;
  }
  return names;
}

std::vector<std::string_view> pretokenize(Pretokenizer pretokenizer, std::string_view text) {
  Words words;
  switch (pretokenizer) {
    case Pretokenizer::kGpt2:
      append_words(words, text, gpt2_word_end);
      break;
    case Pretokenizer::kSmollm:
      for (const std::string_view piece : isolate({text}, digit_end)) {
        append_words(words, piece, gpt2_word_end);
      }
      break;
    case Pretokenizer::kDeepseekCoder:
      return deepseek_coder_words(text);
    case Pretokenizer::kLlamaBpe:
    case Pretokenizer::kQwen2: {
      const int max_digits = pretokenizer == Pretokenizer::kLlamaBpe ? 3 : 1;
      append_words(words, text, [max_digits](std::string_view piece, std::size_t begin) {
        return llama_word_end(piece, begin, max_digits);
      });
      break;
    }
  }
  return words;
}

}  // namespace lockstep
