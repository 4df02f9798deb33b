#include "sharding/chat/lexer.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>

#include "sharding/chat/string_literal.h"
#include "sharding/chat/text.h"
#include "sharding/chat/try.h"
#include "sharding/chat/unicode.h"

namespace lockstep::chat {
namespace {

// Every line end as \n, and without the one at the very end.
std::string normalize_lines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out.push_back(source[i]);
      continue;
    }
    out.push_back('\n');
    if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

bool is_ascii_digit(char c) { return c >= '0' && c <= '9'; }

bool is_name_char(char c) {
  return is_ascii_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

// Bytes of the white space at the front.
std::size_t leading_space(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    const CodePoint c = decode(text, at);
    if (!is_space(c.value)) break;
    at += c.bytes;
  }
  return at;
}

std::string_view without_trailing_space(std::string_view text) {
  while (!text.empty()) {
    std::size_t at = text.size() - 1;
    while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) --at;
    if (!is_space(decode(text, at).value)) break;
    text = text.substr(0, at);
  }
  return text;
}

enum class TagKind { kOutput, kBlock, kComment };

class Lexer {
 public:
  explicit Lexer(std::string source) : source_(std::move(source)) {}

  Result<std::vector<Token>> run();

 private:
  std::string_view rest() const { return std::string_view(source_).substr(at_); }
  bool starts(std::string_view word) const { return rest().starts_with(word); }
  // Goes forward and keeps count of lines.
  void skip(std::size_t count);
  void push(TokenKind kind, std::string text);
  Error error(const std::string& what) const {
    return wrong("line " + std::to_string(line_) + ": " + what);
  }

  // The text in front of a tag whose sign ('-', '+' or none) is known.
  void push_data(std::string_view data, char sign, bool is_output);
  Status lex_tag(TagKind kind);
  Status lex_comment();
  // The `raw` block that begins here, if one does.
  Result<bool> lex_raw();
  Result<bool> lex_tag_end(TagKind kind);
  Status lex_token();
  Status lex_string();
  Status lex_number();
  Result<bool> lex_radix();
  Status lex_operator();
  // After "%}" or "#}" one line end goes (trim_blocks), after "-%}" all white space.
  void skip_after(char sign, bool trims_line);

  std::string source_;
  std::size_t at_ = 0;
  int line_ = 1;
  bool line_starting_ = true;
  std::string brackets_;  // Closing brackets that are awaited.
  std::vector<Token> tokens_;
};

void Lexer::skip(std::size_t count) {
  const auto begin = source_.begin() + static_cast<std::ptrdiff_t>(at_);
  line_ += static_cast<int>(std::count(begin, begin + static_cast<std::ptrdiff_t>(count), '\n'));
  at_ += count;
  line_starting_ = at_ > 0 && source_[at_ - 1] == '\n';
}

void Lexer::push(TokenKind kind, std::string text) {
  Token token;
  token.kind = kind;
  token.text = std::move(text);
  token.line = line_;
  tokens_.push_back(std::move(token));
}

void Lexer::push_data(std::string_view data, char sign, bool is_output) {
  if (sign == '-') {
    data = without_trailing_space(data);
  } else if (sign != '+' && !is_output) {
    const std::size_t newline = data.rfind('\n');
    const std::size_t line_begin = newline == std::string_view::npos ? 0 : newline + 1;
    const std::string_view last_line = data.substr(line_begin);
    if ((line_begin > 0 || line_starting_) && leading_space(last_line) == last_line.size()) {
      data = data.substr(0, line_begin);
    }
  }
  if (!data.empty()) push(TokenKind::kData, std::string(data));
}

void Lexer::skip_after(char sign, bool trims_line) {
  if (sign == '-') {
    skip(leading_space(rest()));
  } else if (sign != '+' && trims_line && starts("\n")) {
    skip(1);
  }
}

Result<std::vector<Token>> Lexer::run() {
  while (at_ < source_.size()) {
    std::size_t open = at_;
    while (true) {
      open = source_.find('{', open);
      if (open == std::string::npos || open + 1 >= source_.size()) {
        open = source_.size();
        break;
      }
      if (std::string_view("{%#").find(source_[open + 1]) != std::string_view::npos) break;
      ++open;
    }
    const std::string_view data = std::string_view(source_).substr(at_, open - at_);
    if (open == source_.size()) {
      push(TokenKind::kData, std::string(data));
      skip(data.size());
      break;
    }
    const char opener = source_[open + 1];
    const char next = open + 2 < source_.size() ? source_[open + 2] : ' ';
    const char sign = next == '-' || next == '+' ? next : ' ';
    const TagKind kind = opener == '{'   ? TagKind::kOutput
                         : opener == '%' ? TagKind::kBlock
                                         : TagKind::kComment;
    push_data(data, sign, kind == TagKind::kOutput);
    skip(data.size());
    CHAT_TRY(lex_tag(kind));
  }
  push(TokenKind::kEnd, "");
  return std::move(tokens_);
}

Status Lexer::lex_tag(TagKind kind) {
  if (kind == TagKind::kComment) return lex_comment();
  if (kind == TagKind::kBlock) {
    CHAT_ASSIGN(const bool raw, lex_raw());
    if (raw) return Status();
  }
  push(kind == TagKind::kOutput ? TokenKind::kOutputBegin : TokenKind::kBlockBegin, "");
  skip(2);
  if (starts("-") || starts("+")) skip(1);
  while (true) {
    CHAT_ASSIGN(const bool ended, lex_tag_end(kind));
    if (ended) return Status();
    if (at_ >= source_.size()) return error("the tag is not closed");
    const std::size_t space = leading_space(rest());
    if (space > 0) {
      skip(space);
      continue;
    }
    CHAT_TRY(lex_token());
  }
}

Status Lexer::lex_comment() {
  const char first = at_ + 2 < source_.size() ? source_[at_ + 2] : ' ';
  const std::size_t body = at_ + 2 + (first == '-' || first == '+' ? 1 : 0);
  const std::size_t end = source_.find("#}", body);
  if (end == std::string::npos) return error("the comment is not closed");
  const char before = end > body ? source_[end - 1] : ' ';
  skip(end + 2 - at_);
  skip_after(before == '-' || before == '+' ? before : ' ', true);
  return Status();
}

// Matches `word` with white space around it, then the end of the tag; returns the length, 0 for no
// match.
struct WordTag {
  std::size_t bytes = 0;
  char end_sign = ' ';
};

WordTag match_word_tag(std::string_view text, std::string_view word, bool plus_end) {
  std::size_t at = 2;
  if (at < text.size() && (text[at] == '-' || text[at] == '+')) ++at;
  at += leading_space(text.substr(at));
  if (!text.substr(at).starts_with(word)) return {};
  at += word.size();
  at += leading_space(text.substr(at));
  if (text.substr(at).starts_with("%}")) return {at + 2, ' '};
  if (text.substr(at).starts_with("-%}")) return {at + 3, '-'};
  if (plus_end && text.substr(at).starts_with("+%}")) return {at + 3, '+'};
  return {};
}

Result<bool> Lexer::lex_raw() {
  const WordTag begin = match_word_tag(rest(), "raw", false);
  if (begin.bytes == 0) return false;
  skip(begin.bytes);
  skip_after(begin.end_sign, false);
  for (std::size_t open = at_;; ++open) {
    open = source_.find("{%", open);
    if (open == std::string::npos) return error("`raw` is not closed");
    const WordTag end = match_word_tag(std::string_view(source_).substr(open), "endraw", true);
    if (end.bytes == 0) continue;
    const char next = source_[open + 2];
    push_data(std::string_view(source_).substr(at_, open - at_),
              next == '-' || next == '+' ? next : ' ', false);
    skip(open + end.bytes - at_);
    skip_after(end.end_sign, true);
    return true;
  }
}

Result<bool> Lexer::lex_tag_end(TagKind kind) {
  if (!brackets_.empty()) return false;
  const bool is_output = kind == TagKind::kOutput;
  const std::string_view close = is_output ? "}}" : "%}";
  char sign = ' ';
  if ((starts("-") || (!is_output && starts("+"))) && rest().substr(1).starts_with(close)) {
    sign = source_[at_];
  } else if (!starts(close)) {
    return false;
  }
  push(is_output ? TokenKind::kOutputEnd : TokenKind::kBlockEnd, "");
  skip(close.size() + (sign == ' ' ? 0 : 1));
  skip_after(sign, !is_output);
  return true;
}

Status Lexer::lex_token() {
  const char c = source_[at_];
  if (c == '\'' || c == '"') return lex_string();
  if (is_ascii_digit(c)) return lex_number();
  if (!is_name_char(c)) return lex_operator();
  std::size_t size = 0;
  while (at_ + size < source_.size() && is_name_char(source_[at_ + size])) ++size;
  push(TokenKind::kName, source_.substr(at_, size));
  skip(size);
  return Status();
}

Status Lexer::lex_string() {
  const char quote = source_[at_];
  std::size_t end = at_ + 1;
  while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
  if (end >= source_.size()) return error("the string is not closed");
  auto text = unescape(std::string_view(source_).substr(at_ + 1, end - at_ - 1));
  if (!text.ok()) return error(text.error().message);
  push(TokenKind::kString, std::move(text).value());
  skip(end + 1 - at_);
  return Status();
}

// Digits, each of them perhaps after one "_".
std::size_t match_digits(std::string_view text, bool (*is_member)(char)) {
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t next = text[at] == '_' && at > 0 ? at + 1 : at;
    if (next >= text.size() || !is_member(text[next])) break;
    at = next + 1;
  }
  return at;
}

std::string without_underscores(std::string_view text) {
  std::string out;
  std::copy_if(text.begin(), text.end(), std::back_inserter(out), [](char c) { return c != '_'; });
  return out;
}

Result<bool> Lexer::lex_radix() {
  if (!starts("0") || rest().size() < 3) return false;
  const char letter = static_cast<char>(source_[at_ + 1] | 0x20);
  const int base = letter == 'x' ? 16 : (letter == 'o' ? 8 : (letter == 'b' ? 2 : 0));
  if (base == 0) return false;
  const std::string_view body = rest().substr(2);
  std::size_t size = body[0] == '_' ? 1 : 0;
  const auto is_member =
      base == 16
          ? +[](char c) { return is_ascii_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f'); }
      : base == 8 ? +[](char c) { return c >= '0' && c <= '7'; }
                  : +[](char c) { return c == '0' || c == '1'; };
  const std::size_t digits = match_digits(body.substr(size), is_member);
  if (digits == 0) return false;
  size += digits;
  const std::string text = without_underscores(body.substr(0, size));
  std::int64_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (parsed.ec != std::errc()) return error("the integer does not fit 64 bits");
  push(TokenKind::kInteger, std::string(rest().substr(0, size + 2)));
  tokens_.back().integer = value;
  skip(size + 2);
  return true;
}

// The length of a floating-point literal at the front, 0 when it is an integer.
std::size_t match_float(std::string_view text) {
  const std::size_t whole = match_digits(text, is_ascii_digit);
  std::size_t size = whole;
  if (size < text.size() && text[size] == '.') {
    const std::size_t fraction = match_digits(text.substr(size + 1), is_ascii_digit);
    if (fraction > 0) size += 1 + fraction;
  }
  if (size < text.size() && (text[size] | 0x20) == 'e') {
    std::size_t at = size + 1;
    if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
    const std::size_t exponent = match_digits(text.substr(at), is_ascii_digit);
    if (exponent > 0) size = at + exponent;
  }
  return size == whole ? 0 : size;
}

Status Lexer::lex_number() {
  CHAT_ASSIGN(const bool radix, lex_radix());
  if (radix) return Status();
  const bool after_dot = at_ > 0 && source_[at_ - 1] == '.';
  const std::size_t float_size = after_dot ? 0 : match_float(rest());
  if (float_size > 0) {
    const std::string text = without_underscores(rest().substr(0, float_size));
    push(TokenKind::kFloat, text);
    tokens_.back().number = std::strtod(text.c_str(), nullptr);
    skip(float_size);
    return Status();
  }
  const bool is_zero = starts("0");
  const std::size_t size =
      match_digits(rest(), is_zero ? +[](char c) { return c == '0'; } : is_ascii_digit);
  const std::string text = without_underscores(rest().substr(0, size));
  std::int64_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc()) return error("the integer does not fit 64 bits");
  push(TokenKind::kInteger, text);
  tokens_.back().integer = value;
  skip(size);
  return Status();
}

Status Lexer::lex_operator() {
  static constexpr std::array<std::string_view, 26> kOperators = {
      "==", "!=", ">=", "<=", "//", "**", "+", "-", "/", "*", "%", "~", "[",
      "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
  for (const std::string_view op : kOperators) {
    if (!starts(op)) continue;
    const char c = op[0];
    if (c == '(' || c == '[' || c == '{') {
      brackets_.push_back(c == '(' ? ')' : (c == '[' ? ']' : '}'));
    } else if (c == ')' || c == ']' || c == '}') {
      if (brackets_.empty() || brackets_.back() != c) {
        return error("unexpected '" + std::string(1, c) + "'");
      }
      brackets_.pop_back();
    }
    push(TokenKind::kOperator, std::string(op));
    skip(op.size());
    return Status();
  }
  return error("unexpected character '" + std::string(1, source_[at_]) + "'");
}

}  // namespace

Result<std::vector<Token>> tokenize(std::string_view source) {
  return Lexer(normalize_lines(source)).run();
}

}  // namespace lockstep::chat
