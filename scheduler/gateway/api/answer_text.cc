#include "scheduler/gateway/api/answer_text.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"

namespace lockstep {
namespace {

// Bytes of the UTF-8 character at the start of `text`; 0 when there is none (RFC 3629).
std::size_t character_bytes(std::string_view text) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = at(0);
  std::size_t length = 1;
  if (lead >= 0x80)
    length = lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
  if (length == 0 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((at(i) & 0xC0) != 0x80) return 0;
  }
  const bool wrong =
      length > 2 && ((lead == 0xE0 && at(1) < 0xA0) || (lead == 0xED && at(1) > 0x9F) ||
                     (lead == 0xF0 && at(1) < 0x90) || (lead == 0xF4 && at(1) > 0x8F));
  return wrong ? 0 : length;
}

}  // namespace

AnswerText::AnswerText(const Tokenizer& tokenizer, std::vector<std::string> stops)
    : detokenizer_(tokenizer), stops_(std::move(stops)) {}

std::string AnswerText::show(const std::string& text) {
  num_characters_ += count_characters(text);
  return stops_.push(text);
}

std::string AnswerText::push(TokenId id) { return show(detokenizer_.push(id)); }

std::string AnswerText::finish() {
  std::string text = show(detokenizer_.finish());
  return text + stops_.finish();
}

std::size_t count_characters(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

std::string_view token_label_bytes(const Tokenizer& tokenizer, TokenId id) {
  const std::string_view bytes = tokenizer.token_bytes(id);
  return bytes.empty() ? tokenizer.token_text(id) : bytes;
}

std::string token_label(const Tokenizer& tokenizer, TokenId id, bool as_bytes) {
  const std::string_view bytes = token_label_bytes(tokenizer, id);
  std::string text;
  bool valid = true;
  for (std::size_t i = 0; i < bytes.size();) {
    const std::size_t length = character_bytes(bytes.substr(i));
    if (length == 0) {
      valid = false;
      text += "\xEF\xBF\xBD";
      ++i;
    } else {
      text += bytes.substr(i, length);
      i += length;
    }
  }
  if (valid || !as_bytes) return text;
  std::string label = "bytes:";
  for (const char c : bytes) {
    const auto byte = static_cast<std::uint8_t>(c);
    label += "\\x" + to_hex({&byte, 1});
  }
  return label;
}

}  // namespace lockstep
