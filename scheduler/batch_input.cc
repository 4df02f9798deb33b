#include "scheduler/batch_input.h"

#include <cstring>
#include <utility>

#include "base/canonical_json.h"

namespace lockstep {
namespace {

constexpr int kMaxJsonDepth = 64;

BatchError bad_line(std::string code, std::string message, std::string param = "") {
  return {std::move(code), std::move(message), std::move(param), 0};
}

// The end of the JSON value that starts at `at` in text that was parsed before.
std::size_t end_of_value(std::string_view text, std::size_t at) {
  int depth = 0;
  bool in_string = false;
  for (; at < text.size(); ++at) {
    const char c = text[at];
    if (in_string) {
      if (c == '\\') ++at;
      if (c == '"') in_string = false;
      continue;
    }
    if (c == '"') in_string = true;
    if (c == '{' || c == '[') ++depth;
    if ((c == '}' || c == ']') && --depth == 0) return at + 1;
  }
  return text.size();
}

std::size_t skip(std::string_view text, std::size_t at, std::string_view what) {
  const std::size_t next = text.find_first_not_of(what, at);
  return next == std::string_view::npos ? text.size() : next;
}

std::size_t end_of_string(std::string_view text, std::size_t at) {
  for (++at; at < text.size() && text[at] != '"'; ++at) {
    if (text[at] == '\\') ++at;
  }
  return std::min(at + 1, text.size());
}

// The text of the member `key`, an object, of an object that was parsed before. Keys that are
// written with escapes are not found: "".
std::string_view object_text(std::string_view text, std::string_view key) {
  constexpr std::string_view kSpace = " \t\r\n";
  std::size_t at = skip(text, text.find('{') + 1, kSpace);
  while (at < text.size() && text[at] == '"') {
    const std::size_t key_end = end_of_string(text, at);
    const std::string_view name = text.substr(at + 1, key_end - at - 2);
    at = skip(text, key_end, " \t\r\n:");
    const std::size_t start = at;
    const char first = at < text.size() ? text[at] : '\0';
    if (first == '{' || first == '[') {
      at = end_of_value(text, at);
    } else if (first == '"') {
      at = end_of_string(text, at);
    } else {
      at = std::min(text.find_first_of(",}", at), text.size());
    }
    if (name == key) return text.substr(start, at - start);
    at = skip(text, at, " \t\r\n,");
  }
  return {};
}

}  // namespace

ParsedBatchLine parse_batch_line(std::string_view text, std::string_view endpoint) {
  ParsedBatchLine out;
  const Result<Json> parsed = parse_json(text, kMaxJsonDepth);
  if (!parsed.ok() || !parsed.value().is_object()) {
    out.error = bad_line("invalid_json_line",
                         parsed.ok() ? "expected a JSON object" : parsed.error().message);
    return out;
  }
  const Json& json = parsed.value();
  const auto expect_text = [&](const char* key, std::string_view expected) {
    const auto place = json.find(key);
    if (place == json.end()) {
      out.error =
          bad_line("missing_required_parameter", "\"" + std::string(key) + "\" is missing", key);
    } else if (!place->is_string() || (!expected.empty() && *place != expected)) {
      out.error = bad_line("invalid_value",
                           "\"" + std::string(key) + "\": expected " +
                               (expected.empty() ? "a text" : "\"" + std::string(expected) + "\""),
                           key);
    }
    return out.error.code.empty();
  };
  if (!expect_text("custom_id", "") || !expect_text("method", "POST") ||
      !expect_text("url", endpoint)) {
    return out;
  }
  out.line.custom_id = json["custom_id"];
  out.line.url = json["url"];
  if (out.line.custom_id.empty() || out.line.custom_id.size() > kMaxCustomIdBytes) {
    out.error = bad_line("invalid_value", "\"custom_id\": expected 1 to 512 bytes", "custom_id");
  } else if (!json.contains("body")) {
    out.error = bad_line("missing_required_parameter", "\"body\" is missing", "body");
  } else if (!json["body"].is_object()) {
    out.error = bad_line("invalid_value", "\"body\": expected an object", "body");
  } else if (json.size() > 4) {
    out.error =
        bad_line("invalid_value", "expected \"custom_id\", \"method\", \"url\" and \"body\" alone");
  } else {
    out.line.body = object_text(text, "body");
    if (out.line.body.empty()) {
      out.error = bad_line("invalid_value", "\"body\" must be written without escapes", "body");
    }
  }
  return out;
}

bool LineSplitter::visit_line(std::string_view text, std::size_t end_bytes, const Visitor& visit) {
  ++number_;
  offset_ += text.size() + end_bytes;
  if (text.ends_with('\r')) text.remove_suffix(1);
  if (text.find_first_not_of(" \t") == std::string_view::npos) return true;
  return visit({text, number_, offset_});
}

Result<bool> LineSplitter::feed(std::string_view bytes, const Visitor& visit) {
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    const std::string_view piece = bytes.substr(0, end);
    if (open_.size() + piece.size() > kMaxBatchLineBytes) {
      ++number_;
      return Error{ErrorCode::kExhausted, "line " + std::to_string(number_) + " is longer than " +
                                              std::to_string(kMaxBatchLineBytes) + " bytes"};
    }
    if (end == std::string_view::npos) {
      open_ += piece;
      return true;
    }
    bytes.remove_prefix(end + 1);
    bool more = true;
    if (open_.empty()) {
      more = visit_line(piece, 1, visit);
    } else {
      open_ += piece;
      more = visit_line(open_, 1, visit);
      open_.clear();
    }
    if (!more) return false;
  }
  return true;
}

Result<bool> LineSplitter::finish(const Visitor& visit) {
  if (open_.empty()) return true;
  const std::string last = std::move(open_);
  open_.clear();
  return visit_line(last, 0, visit);
}

std::size_t BatchValidator::FirstBytes::operator()(const Digest& digest) const {
  return load_le<std::size_t>(digest.bytes.data());
}

bool BatchValidator::keep(BatchError error, std::uint32_t line) {
  error.line = line;
  errors_.push_back(std::move(error));
  is_over_ = errors_.size() >= kMaxBatchErrors;
  return !is_over_;
}

bool BatchValidator::check(const LineSplitter::Line& line) {
  if (++num_lines_ > kMaxBatchLines) {
    is_over_ = true;
    errors_.push_back(bad_line("too_many_lines",
                               "a batch has at most " + std::to_string(kMaxBatchLines) + " lines"));
    return false;
  }
  ParsedBatchLine parsed = parse_batch_line(line.text, endpoint_);
  if (!parsed.error.code.empty()) return keep(std::move(parsed.error), line.number);
  const auto [first, is_new] =
      custom_ids_.try_emplace(sha256(as_bytes(parsed.line.custom_id)), line.number);
  if (is_new) {
    BatchError fault = check_body_ ? check_body_(parsed.line) : BatchError{};
    return fault.code.empty() || keep(std::move(fault), line.number);
  }
  return keep(bad_line("duplicate_custom_id",
                       "\"custom_id\": line " + std::to_string(first->second) + " has it, too",
                       "custom_id"),
              line.number);
}

bool BatchValidator::keep_long_line(const Error& error) {
  is_over_ = true;
  errors_.push_back(bad_line("line_too_long", error.message));
  return false;
}

bool BatchValidator::feed(std::string_view bytes) {
  if (is_over_) return false;
  num_bytes_ += bytes.size();
  if (num_bytes_ > kMaxBatchBytes) {
    is_over_ = true;
    errors_.push_back(bad_line(
        "file_too_large", "a batch file has at most " + std::to_string(kMaxBatchBytes) + " bytes"));
    return false;
  }
  const Result<bool> more =
      splitter_.feed(bytes, [this](const LineSplitter::Line& line) { return check(line); });
  return more.ok() ? more.value() : keep_long_line(more.error());
}

BatchValidator::Verdict BatchValidator::finish() {
  if (!is_over_) {
    // A long line was found before.
    (void)splitter_.finish([this](const LineSplitter::Line& line) { return check(line); });
  }
  if (num_lines_ == 0 && errors_.empty()) {
    errors_.push_back(bad_line("empty_file", "the file has no lines"));
  }
  return {num_lines_, std::move(errors_)};
}

}  // namespace lockstep
