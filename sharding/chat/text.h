// Text with marks: UTF-8 bytes, and for each byte whether the template wrote it (trusted) or a user
// did. Positions that templates see count code points, as in Python; bytes are counted inside.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "sharding/chat/budget.h"

namespace lockstep::chat {

class Text {
 public:
  // Bytes up to `end` from where the run before ended.
  struct Run {
    std::size_t end;
    bool trusted;
  };

  Text() = default;
  // Requires: `bytes` is UTF-8.
  Text(std::string bytes, bool trusted);
  // Requires: `runs` ascend and end at bytes.size().
  Text(std::string bytes, std::vector<Run> runs);

  const std::string& bytes() const { return bytes_; }
  const std::vector<Run>& runs() const { return runs_; }
  // In code points.
  std::size_t length() const { return length_; }
  bool is_ascii() const { return length_ == bytes_.size(); }
  // Whether every byte is trusted; true for the empty text.
  bool is_trusted() const { return runs_.empty() || (runs_.size() == 1 && runs_[0].trusted); }

  // The byte at which code point `index` begins. Requires: index <= length().
  std::size_t byte_of(std::size_t index) const;
  // The code point that contains byte `offset`.
  std::size_t index_of(std::size_t offset) const;

 private:
  std::string bytes_;
  std::vector<Run> runs_;
  std::size_t length_ = 0;
};

using TextPtr = std::shared_ptr<const Text>;

// Puts text together and keeps the marks. All bytes come out of the budget; when it is used up,
// what is appended is dropped and finish() returns the error.
class TextBuilder {
 public:
  explicit TextBuilder(Budget* budget) : budget_(budget) {}

  void append(std::string_view bytes, bool trusted);
  void append(const Text& text) { append_range(text, 0, text.bytes().size()); }
  // Bytes [begin, end) of `text`, with their marks.
  void append_range(const Text& text, std::size_t begin, std::size_t end);
  // `text` written `count` times.
  void append_repeated(const Text& text, std::size_t count);

  bool is_full() const { return full_; }
  std::size_t size() const { return bytes_.size(); }
  // kExhausted when the budget was too small.
  Result<TextPtr> finish();

 private:
  Budget* budget_;
  std::string bytes_;
  std::vector<Text::Run> runs_;
  bool full_ = false;
};

// The code point at `offset` and how many bytes it has. Requires: valid UTF-8, offset < size.
struct CodePoint {
  char32_t value;
  std::size_t bytes;
};
CodePoint decode(std::string_view text, std::size_t offset);
// Requires: a Unicode scalar value.
void append_utf8(char32_t value, std::string* out);
bool is_utf8(std::string_view text);
// Invalid bytes become U+FFFD, as Python's errors="replace" does it.
std::string to_utf8(std::string_view text);

}  // namespace lockstep::chat
