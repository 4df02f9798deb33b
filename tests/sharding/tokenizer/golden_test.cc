// The vocabularies, inputs and ids that llama.cpp publishes.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "sharding/tokenizer.h"
#include "tests/support/tokenizer_blob.h"

namespace lockstep {
namespace {

std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

std::vector<std::string> read_inputs(const std::string& path) {
  const std::string text = read_text(path);
  const std::string separator = "\n__ggml_vocab_test__\n";
  std::vector<std::string> inputs;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find(separator, begin);
    if (end == std::string::npos) break;  // The file ends with a separator.
    inputs.push_back(text.substr(begin, end - begin));
    begin = end + separator.size();
  }
  return inputs;
}

std::vector<std::vector<TokenId>> read_outputs(const std::string& path) {
  std::vector<std::vector<TokenId>> outputs;
  std::istringstream lines(read_text(path));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream numbers(line);
    std::vector<TokenId>& ids = outputs.emplace_back();
    for (TokenId id = 0; numbers >> id;) ids.push_back(id);
  }
  return outputs;
}

class GoldenEncode : public testing::TestWithParam<const char*> {};

TEST_P(GoldenEncode, GivesThePublishedIdsAndTheTextBack) {
  const std::string path =
      std::string(LOCKSTEP_SHARED_DIR) + "/data/tokenizers/" + GetParam() + ".gguf";
  if (!std::filesystem::exists(path)) {
    GTEST_SKIP() << "no shared data: data/tokenizers/" << GetParam() << ".gguf";
  }
  const Result<std::string> blob = tokenizer_blob(path);
  ASSERT_TRUE(blob.ok()) << blob.error().message;
  const Result<Tokenizer> tokenizer = Tokenizer::from_json(blob.value());
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  const std::vector<std::string> inputs = read_inputs(path + ".inp");
  const std::vector<std::vector<TokenId>> outputs = read_outputs(path + ".out");
  ASSERT_EQ(inputs.size(), 46U);
  ASSERT_EQ(outputs.size(), inputs.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    EXPECT_EQ(tokenizer.value().encode(inputs[i]), outputs[i])
        << "input " << i << ": " << inputs[i];
    Detokenizer detokenizer(tokenizer.value());
    std::string text;
    for (const TokenId id : outputs[i]) text += detokenizer.push(id);
    EXPECT_EQ(text + detokenizer.finish(), inputs[i]);
  }
}

INSTANTIATE_TEST_SUITE_P(Published, GoldenEncode,
                         testing::Values("gpt-2", "starcoder", "deepseek-coder", "llama-spm"),
                         [](const auto& golden) {
                           std::string name = golden.param;
                           std::erase(name, '-');
                           return name;
                         });

}  // namespace
}  // namespace lockstep
