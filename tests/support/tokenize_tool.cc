// Runs the tokenizer for tests that are written in Python.
//
//   tokenize_tool VOCABULARY blob      prints the tokenizer blob
//   tokenize_tool VOCABULARY encode    per record of stdin, a text: its ids
//   tokenize_tool VOCABULARY special   the same, special tokens in the text recognized
//   tokenize_tool VOCABULARY decode    per record of stdin, ids: their text, through the streaming
//   detokenizer
//   tokenize_tool NAME words           per record of stdin, a text: the sizes of the words of this
//   pre-tokenizer, in bytes
//
// VOCABULARY is a .gguf file or a .json blob. A record is a little-endian uint32 count of bytes,
// then the bytes; ids are little-endian uint32.

#include <cstdint>
#include <fstream>
#include <iostream>
#include <iterator>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "sharding/tokenizer.h"
#include "sharding/tokenizer/pretokenizer.h"
#include "sharding/tokenizer/unicode.h"
#include "tests/support/tokenizer_blob.h"

namespace lockstep {
namespace {

Result<std::string> read_blob(const std::string& path) {
  if (path.ends_with(".gguf")) return tokenizer_blob(path);
  std::ifstream file(path, std::ios::binary);
  if (!file) return Error{ErrorCode::kNotFound, path + ": cannot open"};
  return std::string(std::istreambuf_iterator<char>(file), {});
}

std::string ids_record(const Tokenizer& tokenizer, std::string_view text, bool parse_special) {
  Bytes ids;
  for (const TokenId id : tokenizer.encode(text, parse_special)) append_le(ids, id);
  return std::string(as_text(ids));
}

std::string text_record(const Tokenizer& tokenizer, std::string_view ids) {
  Detokenizer detokenizer(tokenizer);
  std::string text;
  for (std::size_t i = 0; i + sizeof(TokenId) <= ids.size(); i += sizeof(TokenId)) {
    text += detokenizer.push(load_le<TokenId>(ids.data() + i));
  }
  return text + detokenizer.finish();
}

std::string words_record(Pretokenizer pretokenizer, std::string_view text) {
  Bytes sizes;
  const std::string valid = replace_invalid_utf8(text);
  for (const std::string_view word : pretokenize(pretokenizer, valid)) {
    append_le(sizes, static_cast<std::uint32_t>(word.size()));
  }
  return std::string(as_text(sizes));
}

// Writes answer(record) for every record.
template <typename Answer>
int answer_records(Answer answer) {
  std::ostringstream buffer;
  buffer << std::cin.rdbuf();
  const std::string input = std::move(buffer).str();
  std::string output;
  for (std::size_t position = 0; position < input.size();) {
    if (input.size() - position < sizeof(std::uint32_t)) return 65;
    const auto bytes = load_le<std::uint32_t>(input.data() + position);
    position += sizeof bytes;
    if (input.size() - position < bytes) return 65;
    const std::string reply = answer(std::string_view(input).substr(position, bytes));
    Bytes size;
    append_le(size, static_cast<std::uint32_t>(reply.size()));
    output += as_text(size);
    output += reply;
    position += bytes;
  }
  std::cout.write(output.data(), static_cast<std::streamsize>(output.size()));
  return 0;
}

int run(const std::string& path, std::string_view command) {
  if (command == "words") {
    const std::optional<Pretokenizer> pretokenizer = pretokenizer_named(path);
    if (!pretokenizer) return 64;
    return answer_records([&](std::string_view text) { return words_record(*pretokenizer, text); });
  }
  const Result<std::string> blob = read_blob(path);
  if (!blob.ok()) {
    std::cerr << blob.error().message << '\n';
    return 65;
  }
  if (command == "blob") {
    std::cout << blob.value();
    return 0;
  }
  const Result<Tokenizer> tokenizer = Tokenizer::from_json(blob.value());
  if (!tokenizer.ok()) {
    std::cerr << tokenizer.error().message << '\n';
    return 65;
  }
  return answer_records([&](std::string_view record) {
    return command == "decode" ? text_record(tokenizer.value(), record)
                               : ids_record(tokenizer.value(), record, command == "special");
  });
}

}  // namespace
}  // namespace lockstep

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: tokenize_tool VOCABULARY blob|encode|special|decode|words\n";
    return 64;
  }
  return lockstep::run(argv[1], argv[2]);
}
