#include "sharding/chat/text.h"

#include <algorithm>

namespace lockstep::chat {
namespace {

bool is_continuation(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

std::size_t count_code_points(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char byte) { return !is_continuation(byte); }));
}

// What a lead byte asks for: bytes in all, and the range of the second one (Unicode, table 3-7).
struct Lead {
  std::size_t bytes;
  unsigned low;
  unsigned high;
};

Lead lead_of(unsigned char byte) {
  if (byte < 0x80) return {1, 0, 0};
  if (byte >= 0xC2 && byte <= 0xDF) return {2, 0x80, 0xBF};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};
  if (byte >= 0xE1 && byte <= 0xEF) return {3, 0x80, 0xBF};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte >= 0xF1 && byte <= 0xF3) return {4, 0x80, 0xBF};
  if (byte == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

// How many bytes at `offset` belong together, and whether they are a whole character.
struct Step {
  std::size_t bytes;
  bool valid;
};

Step step_at(std::string_view text, std::size_t offset) {
  const Lead lead = lead_of(static_cast<unsigned char>(text[offset]));
  if (lead.bytes == 0) return {1, false};
  for (std::size_t i = 1; i < lead.bytes; ++i) {
    if (offset + i >= text.size()) return {i, false};
    const auto byte = static_cast<unsigned char>(text[offset + i]);
    const unsigned low = i == 1 ? lead.low : 0x80;
    const unsigned high = i == 1 ? lead.high : 0xBF;
    if (byte < low || byte > high) return {i, false};
  }
  return {lead.bytes, true};
}

}  // namespace

Text::Text(std::string bytes, bool trusted)
    : bytes_(std::move(bytes)), length_(count_code_points(bytes_)) {
  if (!bytes_.empty()) runs_.push_back({bytes_.size(), trusted});
}

Text::Text(std::string bytes, std::vector<Run> runs)
    : bytes_(std::move(bytes)), runs_(std::move(runs)), length_(count_code_points(bytes_)) {}

std::size_t Text::byte_of(std::size_t index) const {
  if (is_ascii()) return index;
  std::size_t offset = 0;
  for (std::size_t seen = 0; offset < bytes_.size(); ++offset) {
    if (is_continuation(bytes_[offset])) continue;
    if (seen == index) break;
    ++seen;
  }
  return offset;
}

std::size_t Text::index_of(std::size_t offset) const {
  return is_ascii() ? offset : count_code_points(std::string_view(bytes_).substr(0, offset));
}

void TextBuilder::append(std::string_view bytes, bool trusted) {
  if (bytes.empty() || full_) return;
  if (!budget_->take_bytes(bytes.size())) {
    full_ = true;
    return;
  }
  bytes_.append(bytes);
  if (!runs_.empty() && runs_.back().trusted == trusted) {
    runs_.back().end = bytes_.size();
  } else {
    runs_.push_back({bytes_.size(), trusted});
  }
}

void TextBuilder::append_range(const Text& text, std::size_t begin, std::size_t end) {
  const auto& runs = text.runs();
  auto run = std::upper_bound(runs.begin(), runs.end(), begin,
                              [](std::size_t at, const Text::Run& r) { return at < r.end; });
  while (begin < end && run != runs.end()) {
    const std::size_t stop = std::min(end, run->end);
    append(std::string_view(text.bytes()).substr(begin, stop - begin), run->trusted);
    begin = stop;
    ++run;
  }
}

void TextBuilder::append_repeated(const Text& text, std::size_t count) {
  if (text.bytes().empty()) return;
  if (count > budget_->bytes_left() / text.bytes().size()) {
    full_ = full_ || count > 0;
    return;
  }
  for (std::size_t i = 0; i < count; ++i) append(text);
}

Result<TextPtr> TextBuilder::finish() {
  if (full_) return Budget::out_of_bytes();
  return TextPtr(std::make_shared<const Text>(std::move(bytes_), std::move(runs_)));
}

CodePoint decode(std::string_view text, std::size_t offset) {
  const auto byte = [&](std::size_t i) {
    return static_cast<char32_t>(static_cast<unsigned char>(text[offset + i]));
  };
  const char32_t first = byte(0);
  if (first < 0x80) return {first, 1};
  if (first < 0xE0) return {((first & 0x1F) << 6) | (byte(1) & 0x3F), 2};
  if (first < 0xF0) {
    return {((first & 0x0F) << 12) | ((byte(1) & 0x3F) << 6) | (byte(2) & 0x3F), 3};
  }
  return {((first & 0x07) << 18) | ((byte(1) & 0x3F) << 12) | ((byte(2) & 0x3F) << 6) |
              (byte(3) & 0x3F),
          4};
}

void append_utf8(char32_t value, std::string* out) {
  const auto put = [&](char32_t byte) { out->push_back(static_cast<char>(byte)); };
  if (value < 0x80) {
    put(value);
  } else if (value < 0x800) {
    put(0xC0 | (value >> 6));
    put(0x80 | (value & 0x3F));
  } else if (value < 0x10000) {
    put(0xE0 | (value >> 12));
    put(0x80 | ((value >> 6) & 0x3F));
    put(0x80 | (value & 0x3F));
  } else {
    put(0xF0 | (value >> 18));
    put(0x80 | ((value >> 12) & 0x3F));
    put(0x80 | ((value >> 6) & 0x3F));
    put(0x80 | (value & 0x3F));
  }
}

bool is_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const Step step = step_at(text, at);
    if (!step.valid) return false;
    at += step.bytes;
  }
  return true;
}

std::string to_utf8(std::string_view text) {
  if (is_utf8(text)) return std::string(text);
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const Step step = step_at(text, at);
    if (step.valid) {
      out.append(text.substr(at, step.bytes));
    } else {
      out.append("\xEF\xBF\xBD");
    }
    at += step.bytes;
  }
  return out;
}

}  // namespace lockstep::chat
