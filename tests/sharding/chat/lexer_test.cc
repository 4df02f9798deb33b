#include "sharding/chat/lexer.h"

#include <gtest/gtest.h>

#include <string>

namespace lockstep::chat {
namespace {

// The text between tags, with "|" where a tag was.
std::string data_of(std::string_view source) {
  const auto tokens = tokenize(source);
  if (!tokens.ok()) return tokens.error().message;
  std::string out;
  for (const Token& token : tokens.value()) {
    if (token.kind == TokenKind::kData) out += token.text;
    if (token.kind == TokenKind::kBlockBegin || token.kind == TokenKind::kOutputBegin) out += "|";
  }
  return out;
}

Token first_token(std::string_view expression) {
  const auto tokens = tokenize("{{" + std::string(expression) + "}}");
  return tokens.ok() ? tokens.value()[1] : Token{TokenKind::kEnd, tokens.error().message, 0, 0, 0};
}

TEST(ChatLexerTokenize, RemovesTheLineOfABlock) {
  EXPECT_EQ(data_of("a\n  {% if x %}\nb\n"), "a\n|b");
}

TEST(ChatLexerTokenize, KeepsSpaceInFrontOfOutput) {
  EXPECT_EQ(data_of("a\n  {{ x }}\nb"), "a\n  |\nb");
}

TEST(ChatLexerTokenize, StripsWithAMinus) { EXPECT_EQ(data_of("a \n {%- if x -%} \n b"), "a|b"); }

TEST(ChatLexerTokenize, KeepsSpaceWithAPlus) {
  EXPECT_EQ(data_of("a\n  {%+ if x +%}\nb"), "a\n  |\nb");
}

TEST(ChatLexerTokenize, TreatsCommentsAsBlocks) {
  EXPECT_EQ(data_of("a\n  {# c {{ x }} #}\nb{#- c -#} z"), "a\nbz");
}

TEST(ChatLexerTokenize, TakesRawTextAsItIs) {
  EXPECT_EQ(data_of("{% raw %}{{ x }}{% if %}{% endraw %}b"), "{{ x }}{% if %}b");
}

TEST(ChatLexerTokenize, DropsOneLineEndAtTheEnd) { EXPECT_EQ(data_of("a\r\n\r\n"), "a\n"); }

TEST(ChatLexerTokenize, ResolvesEscapes) {
  EXPECT_EQ(first_token(R"('a\n\x41\u00e9\'\d\101')").text, "a\nA\xC3\xA9'\\dA");
}

TEST(ChatLexerTokenize, ReadsNumbers) {
  EXPECT_EQ(first_token("0x1_F").integer, 31);
  EXPECT_EQ(first_token("1_000").integer, 1000);
  EXPECT_EQ(first_token("2.5e1").number, 25.0);
  EXPECT_EQ(first_token("9223372036854775807").integer, 9223372036854775807);
}

TEST(ChatLexerTokenize, RefusesWhatIsNotClosed) {
  EXPECT_EQ(data_of("a\n{{ x"), "line 2: the tag is not closed");
  EXPECT_EQ(data_of("{# x"), "line 1: the comment is not closed");
  EXPECT_EQ(data_of("{{ 'x }}"), "line 1: the string is not closed");
  EXPECT_EQ(data_of("{% raw %}x"), "line 1: `raw` is not closed");
  EXPECT_EQ(data_of("{{ (1] }}"), "line 1: unexpected ']'");
  EXPECT_EQ(data_of("{{ '\\ud800' }}"), "line 1: an escape names no character");
}

}  // namespace
}  // namespace lockstep::chat
