#include "cli/bench/serve/dataset.h"

#include <gtest/gtest.h>

#include <set>

#include "base/canonical_json.h"
#include "base/check.h"
#include "cli/bench/serve/sharegpt.h"

namespace lockstep {
namespace {

// Letters, the space, and the words " a", " b", " ab", " abc"; a begin token where asked for.
Tokenizer small_tokenizer(bool adds_bos) {
  const std::string space = "\xC4\xA0";
  Json tokens = {"<s>", space};
  for (char c = 'a'; c <= 'z'; ++c) tokens.push_back(std::string(1, c));
  for (const char* word : {"a", "b", "ab", "abc"}) tokens.push_back(space + word);
  Json types = {3};
  while (types.size() < tokens.size()) types.push_back(1);
  const Json merges = {space + " a", space + " b", space + "a b", space + "ab c"};
  const Json blob = {
      {"tokenizer.ggml.model", "gpt2"},          {"tokenizer.ggml.pre", "gpt-2"},
      {"tokenizer.ggml.tokens", tokens},         {"tokenizer.ggml.token_type", types},
      {"tokenizer.ggml.merges", merges},         {"tokenizer.ggml.bos_token_id", 0},
      {"tokenizer.ggml.add_bos_token", adds_bos}};
  auto tokenizer = Tokenizer::from_json(blob.dump());
  CHECK(tokenizer.ok(), tokenizer.ok() ? "" : tokenizer.error().message.c_str());
  return std::move(tokenizer).value();
}

TEST(RandomPrompts, AreIdsWithoutATokenizer) {
  std::mt19937_64 random(1);
  const RandomDataset dataset{.input_tokens = 16, .output_tokens = 4, .vocab_size = 5000};
  const auto prompts = random_prompts(dataset, 3, nullptr, random);
  ASSERT_EQ(prompts.size(), 3U);
  for (const BenchPrompt& prompt : prompts) {
    EXPECT_EQ(prompt.ids.size(), 16U);
    EXPECT_EQ(prompt.prompt_tokens, 16);
    EXPECT_EQ(prompt.completion_tokens, 4);
    for (const TokenId id : prompt.ids) EXPECT_TRUE(id >= 1000 && id < 5000) << id;
  }
  EXPECT_NE(prompts[0].ids, prompts[1].ids);
}

TEST(RandomPrompts, AreTextsOfExactLengthWithATokenizer) {
  std::mt19937_64 random(2);
  const Tokenizer tokenizer = small_tokenizer(/*adds_bos=*/false);
  const RandomDataset dataset{.input_tokens = 40, .output_tokens = 4, .prefix_tokens = 5};
  for (const BenchPrompt& prompt : random_prompts(dataset, 20, &tokenizer, random)) {
    EXPECT_TRUE(prompt.ids.empty());
    EXPECT_EQ(tokenizer.encode(prompt.text).size(), 45U) << prompt.text;
    EXPECT_EQ(prompt.prompt_tokens, 45);
  }
}

TEST(RandomPrompts, LeaveRoomForTheBeginToken) {
  std::mt19937_64 random(2);
  const Tokenizer tokenizer = small_tokenizer(/*adds_bos=*/true);
  const RandomDataset dataset{.input_tokens = 40, .output_tokens = 4};
  const BenchPrompt prompt = random_prompts(dataset, 1, &tokenizer, random).front();
  EXPECT_EQ(tokenizer.encode(prompt.text).size(), 39U);
  EXPECT_EQ(prompt.prompt_tokens, 40);
}

TEST(RandomPrompts, ShareTheirPrefix) {
  std::mt19937_64 random(3);
  const RandomDataset dataset{.input_tokens = 8, .output_tokens = 4, .prefix_tokens = 6};
  const auto prompts = random_prompts(dataset, 2, nullptr, random);
  ASSERT_EQ(prompts[0].ids.size(), 14U);
  EXPECT_TRUE(
      std::equal(prompts[0].ids.begin(), prompts[0].ids.begin() + 6, prompts[1].ids.begin()));
  EXPECT_NE(prompts[0].ids, prompts[1].ids);
}

TEST(RandomPrompts, SpreadTheirLengthsOverTheWholeRange) {
  std::mt19937_64 random(4);
  const RandomDataset dataset{.input_tokens = 10, .output_tokens = 4, .range_ratio = 0.5};
  std::set<std::int64_t> inputs;
  std::set<std::int64_t> outputs;
  for (const BenchPrompt& prompt : random_prompts(dataset, 500, nullptr, random)) {
    inputs.insert(prompt.prompt_tokens);
    outputs.insert(prompt.completion_tokens);
  }
  EXPECT_EQ(inputs, (std::set<std::int64_t>{5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}));
  EXPECT_EQ(outputs, (std::set<std::int64_t>{2, 3, 4, 5, 6}));
}

TEST(RandomPrompts, AreTheSameForTheSameSeed) {
  std::mt19937_64 one(5);
  std::mt19937_64 two(5);
  EXPECT_EQ(random_prompts({}, 2, nullptr, one)[1].ids, random_prompts({}, 2, nullptr, two)[1].ids);
}

TEST(CustomPrompts, TakeTheLinesInOrder) {
  std::mt19937_64 random(0);
  const auto prompts = custom_prompts("{\"prompt\":\"one\"}\n\n{\"prompt\":\"two\",\"x\":1}\r\n",
                                      {.output_tokens = 7, .shuffle = false}, 2, nullptr, random);
  ASSERT_TRUE(prompts.ok());
  ASSERT_EQ(prompts.value().size(), 2U);
  EXPECT_EQ(prompts.value()[0].text, "one");
  EXPECT_EQ(prompts.value()[1].text, "two");
  EXPECT_EQ(prompts.value()[1].completion_tokens, 7);
  EXPECT_EQ(prompts.value()[1].prompt_tokens, 0);
}

TEST(CustomPrompts, TakeTheLengthThatTheLineSays) {
  std::mt19937_64 random(0);
  const auto prompts =
      custom_prompts("{\"prompt\":\"a\",\"output_tokens\":9}", {}, 1, nullptr, random);
  EXPECT_EQ(prompts.value()[0].completion_tokens, 9);
}

TEST(CustomPrompts, TakeLinesAgainUnlessToldNotTo) {
  std::mt19937_64 random(0);
  FileDataset dataset{.output_tokens = 1};
  EXPECT_EQ(custom_prompts("{\"prompt\":\"a\"}", dataset, 3, nullptr, random).value().size(), 3U);
  dataset.oversample = false;
  EXPECT_EQ(custom_prompts("{\"prompt\":\"a\"}", dataset, 3, nullptr, random).value().size(), 1U);
}

TEST(CustomPrompts, NameTheLineThatIsWrong) {
  std::mt19937_64 random(0);
  const auto message = [&](std::string_view lines, const FileDataset& dataset) {
    return custom_prompts(lines, dataset, 1, nullptr, random).error().message;
  };
  EXPECT_TRUE(message("{\"prompt\":\"a\"}\n{oops", {.output_tokens = 1}).starts_with("line 2: "));
  EXPECT_TRUE(message("{\"text\":\"a\"}", {.output_tokens = 1}).starts_with("line 1: "));
  EXPECT_TRUE(message("{\"prompt\":\"a\"}", {}).starts_with("line 1: --custom-output-len -1: "));
  EXPECT_EQ(message("\n\n", {}), "no line with a prompt");
}

constexpr const char* kShareGpt = R"([
  {"id":"x", "conversations":[
    {"from":"human", "value":" a b ab abc"}, {"from":"gpt", "value":" a a a a a"}]},
  {"conversations":[{"from":"human", "value":"alone"}]},
  {"extra":[{"value":"no turn"}], "conversations":[
    {"from":"human", "value":" a"}, {"value":" a b a b"}]},
  {"conversations":[
    {"value":" b b b b", "more":{"value":"deep"}}, {"value":" b"}, {"value":"third"}]}])";

TEST(ReadShareGpt, GivesTheFirstTwoTurns) {
  const auto conversations = read_sharegpt(kShareGpt);
  ASSERT_TRUE(conversations.ok());
  ASSERT_EQ(conversations.value().size(), 3U);
  EXPECT_EQ(conversations.value()[0].question, " a b ab abc");
  EXPECT_EQ(conversations.value()[0].answer, " a a a a a");
  EXPECT_EQ(conversations.value()[2].question, " b b b b");
  EXPECT_EQ(conversations.value()[2].answer, " b");
}

TEST(ReadShareGpt, RefusesWhatIsNoJson) {
  EXPECT_FALSE(read_sharegpt("[{]").ok());
  EXPECT_FALSE(read_sharegpt("").ok());
  EXPECT_FALSE(read_sharegpt(std::string(100, '[') + std::string(100, ']')).ok());
}

TEST(ShareGptPrompts, LeaveOutWhatIsTooShort) {
  std::mt19937_64 random(0);
  const Tokenizer tokenizer = small_tokenizer(/*adds_bos=*/false);
  FileDataset dataset{.shuffle = false, .oversample = false};
  const auto own = sharegpt_prompts(kShareGpt, dataset, 9, tokenizer, random);
  ASSERT_TRUE(own.ok());
  ASSERT_EQ(own.value().size(), 1U);
  EXPECT_EQ(own.value()[0].text, " a b ab abc");
  EXPECT_EQ(own.value()[0].prompt_tokens, 4);
  EXPECT_EQ(own.value()[0].completion_tokens, 5);
  dataset.output_tokens = 3;
  const auto given = sharegpt_prompts(kShareGpt, dataset, 9, tokenizer, random);
  ASSERT_EQ(given.value().size(), 2U);
  EXPECT_EQ(given.value()[1].completion_tokens, 3);
}

}  // namespace
}  // namespace lockstep
