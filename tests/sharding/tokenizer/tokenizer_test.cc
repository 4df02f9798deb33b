#include "sharding/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "tests/sharding/tokenizer/tokenizer_support.h"

namespace lockstep {
namespace {

using Ids = std::vector<TokenId>;
using testing::Contains;
using testing::HasSubstr;

TokenId byte_id(char c) { return kFirstByte + static_cast<std::uint8_t>(c); }

TEST(TokenizerEncode, MergesInTheOrderOfTheList) {
  const Tokenizer tokenizer = tokenizer_of(byte_level_blob());
  EXPECT_EQ(tokenizer.encode("hello hello"), (Ids{263, 264}));
  EXPECT_EQ(tokenizer.encode("hel"), (Ids{260, byte_id('l')}));
  EXPECT_EQ(tokenizer.encode(""), Ids{});
}

TEST(TokenizerEncode, GivesNoBos) {
  EXPECT_EQ(tokenizer_of(byte_level_blob()).encode("ll", true), Ids{261});
}

TEST(TokenizerEncode, TakesWrittenSpecialTokensAsTextUnlessAsked) {
  const Tokenizer tokenizer = tokenizer_of(byte_level_blob());
  EXPECT_EQ(tokenizer.encode("ll<|end|>ll", true), (Ids{261, 1, 261}));
  const Ids plain = tokenizer.encode("ll<|end|>ll");
  EXPECT_EQ(plain.size(), 9U);
  EXPECT_EQ(bytes_of(tokenizer, plain), "ll<|end|>ll");
}

TEST(TokenizerEncode, FindsUserDefinedTokensAnywhere) {
  EXPECT_EQ(tokenizer_of(byte_level_blob()).encode("ll  ll"), (Ids{261, 3, 261}));
}

TEST(TokenizerEncode, TreatsUserDefinedChatMarkersAsSpecial) {
  Json blob = byte_level_blob();
  blob["tokenizer.ggml.token_type"][2] = 4;
  const Tokenizer tokenizer = tokenizer_of(blob);
  EXPECT_TRUE(tokenizer.is_special(2));
  EXPECT_EQ(tokenizer.encode("<|user|>").size(), 8U);
  EXPECT_EQ(tokenizer.encode("<|user|>", true), Ids{2});
}

TEST(TokenizerEncode, PrefersTheLongestOfSeveralSpecialTokens) {
  Json blob = byte_level_blob();
  blob["tokenizer.ggml.tokens"][2] = "<|end|>!";
  EXPECT_EQ(tokenizer_of(blob).encode("<|end|>!<|end|>", true), (Ids{2, 1}));
}

TEST(TokenizerEncode, NeverMergesToASpecialToken) {
  Json blob = byte_level_blob();
  blob["tokenizer.ggml.token_type"][262] = 3;  // "hell", which the merges make
  const Tokenizer tokenizer = tokenizer_of(blob);
  EXPECT_EQ(tokenizer.encode("hello"), (Ids{260, 261, byte_id('o')}));
  EXPECT_EQ(tokenizer.encode("hello", true), (Ids{262, byte_id('o')}));
}

TEST(TokenizerEncode, NeverMergesToAnEndTokenOfNormalType) {
  Json blob = byte_level_blob();
  blob["tokenizer.ggml.eot_token_id"] = 261;
  const Tokenizer tokenizer = tokenizer_of(blob);
  EXPECT_EQ(tokenizer.encode("ll"), (Ids{byte_id('l'), byte_id('l')}));
  EXPECT_TRUE(tokenizer.is_end(261));
}

TEST(TokenizerEncode, GivesTheLastOfTokensWithEqualText) {
  Json blob = byte_level_blob();
  blob["tokenizer.ggml.tokens"].push_back("hello");
  blob["tokenizer.ggml.token_type"].push_back(1);
  EXPECT_EQ(tokenizer_of(blob).encode("hello"), Ids{265});
}

TEST(TokenizerEncode, DropsBytesThatHaveNoToken) {
  Json blob = byte_level_blob();
  blob["tokenizer.ggml.tokens"][byte_id('x')] = "[unused]";
  EXPECT_EQ(tokenizer_of(blob).encode("lxl"), Ids{261});
}

TEST(TokenizerEncode, ReplacesInvalidUtf8) {
  const Tokenizer tokenizer = tokenizer_of(byte_level_blob());
  EXPECT_EQ(bytes_of(tokenizer, tokenizer.encode("a\xE2\x82z\xFF")), "a\uFFFDz\uFFFD");
}

TEST(TokenizerEncode, LlamaBpeTakesAWordThatIsATokenWithoutMerging) {
  Json blob = byte_level_blob();
  blob["tokenizer.ggml.merges"] = Json::array();
  EXPECT_EQ(tokenizer_of(blob).encode("hello").size(), 5U);
  blob["tokenizer.ggml.pre"] = "llama-bpe";
  EXPECT_EQ(tokenizer_of(blob).encode("hello"), Ids{263});
}

TEST(TokenizerEncode, EndsSoonOnHostileWords) {
  const Tokenizer bpe = tokenizer_of(byte_level_blob());
  const Tokenizer spm = tokenizer_of(spm_blob());
  EXPECT_EQ(bpe.encode(std::string(1 << 17, 'l')).size(), std::size_t{1} << 16);
  EXPECT_EQ(spm.encode(std::string(1 << 17, 'a')).size(), std::size_t{1} << 17);
}

TEST(TokenizerEncode, SpmMergesByScoreWithASpaceInFront) {
  Json blob = spm_blob();
  EXPECT_EQ(tokenizer_of(blob).encode("ab ab"), (Ids{264, 264}));
  EXPECT_EQ(tokenizer_of(blob).encode(""), Ids{});
  blob["tokenizer.ggml.add_space_prefix"] = false;
  EXPECT_EQ(tokenizer_of(blob).encode("ab a"), (Ids{262, 263}));
}

TEST(TokenizerEncode, SpmFallsBackToBytes) {
  const Ids expected{259, 3 + 0xC3, 3 + 0xA9, 261};
  EXPECT_EQ(tokenizer_of(spm_blob())
                .encode("\u00E9"
                        "b"),
            expected);
}

TEST(TokenizerEncode, SpmNeverTakesWrittenByteOrUnknownTokens) {
  const Tokenizer tokenizer = tokenizer_of(spm_blob());
  for (const char* text : {"<0x41>", "<unk>", "</s>"}) {
    EXPECT_EQ(bytes_of(tokenizer, tokenizer.encode(text)), std::string(" ") + text);
  }
  EXPECT_EQ(tokenizer.encode("a</s>a", true), (Ids{263, 2, 263}));
}

TEST(TokenizerEncodePrompt, PutsBosFirstOnce) {
  const Tokenizer tokenizer = tokenizer_of(byte_level_blob());
  const PromptPiece plain[] = {{"ll", false}};
  EXPECT_EQ(tokenizer.encode_prompt(plain), (Ids{0, 261}));
  EXPECT_EQ(tokenizer.encode_prompt(plain, false), Ids{261});
  const PromptPiece written[] = {{"<s>ll", true}};
  EXPECT_EQ(tokenizer.encode_prompt(written), (Ids{0, 261}));
  EXPECT_EQ(tokenizer.encode_prompt({}), Ids{0});
}

TEST(TokenizerEncodePrompt, TokenizesAcrossPiecesAsOneText) {
  const Tokenizer tokenizer = tokenizer_of(byte_level_blob());
  const PromptPiece pieces[] = {{"<|user|>he", true}, {"ll", false}, {"o<|end|>", true}};
  EXPECT_EQ(tokenizer.encode_prompt(pieces, false), (Ids{2, 263, 1}));
}

TEST(TokenizerEncodePrompt, FindsSpecialTokensOnlyWhereEveryByteIsTrusted) {
  const Tokenizer tokenizer = tokenizer_of(byte_level_blob());
  const std::string marker = "<|end|>";
  for (std::size_t begin = 0; begin <= marker.size(); ++begin) {
    for (std::size_t end = begin; end <= marker.size(); ++end) {
      const PromptPiece pieces[] = {{marker.substr(0, begin), true},
                                    {marker.substr(begin, end - begin), false},
                                    {marker.substr(end), true}};
      const Ids ids = tokenizer.encode_prompt(pieces, false);
      if (begin == end) {
        EXPECT_EQ(ids, Ids{1});
      } else {
        EXPECT_EQ(ids, tokenizer.encode(marker)) << begin << ' ' << end;
      }
    }
  }
}

TEST(TokenizerEncodePrompt, JoinsCharactersCutBetweenPieces) {
  const Tokenizer tokenizer = tokenizer_of(byte_level_blob());
  const PromptPiece whole[] = {{"<|user|>\xE2\x82", true}, {"\xAC<|end|>", false}};
  EXPECT_EQ(bytes_of(tokenizer, tokenizer.encode_prompt(whole, false)), "\u20AC<|end|>");
  const PromptPiece broken[] = {
      {"\xFF<|user|>\xE2", true}, {"<|end|>\xFF", false}, {"<|end|>", true}};
  const Ids ids = tokenizer.encode_prompt(broken, false);
  EXPECT_EQ(bytes_of(tokenizer, ids), "\uFFFD\uFFFD<|end|>\uFFFD");
  EXPECT_THAT(ids, Contains(2U));
  EXPECT_EQ(ids.back(), 1U);
}

TEST(TokenizerTokenBytes, GivesNothingForSpecialAndForeignIds) {
  const Tokenizer tokenizer = tokenizer_of(byte_level_blob());
  EXPECT_EQ(tokenizer.token_bytes(1), "");
  EXPECT_EQ(tokenizer.token_text(1), "<|end|>");
  EXPECT_EQ(tokenizer.token_bytes(264), " hello");
  EXPECT_EQ(tokenizer.token_bytes(265), "");
  EXPECT_EQ(tokenizer.token_text(0xFFFFFFFF), "");
  EXPECT_FALSE(tokenizer.is_special(265));
}

TEST(TokenizerAddsBos, HasADefaultForEachKindOfVocabulary) {
  Json bpe = byte_level_blob();
  Json spm = spm_blob();
  bpe.erase("tokenizer.ggml.add_bos_token");
  spm.erase("tokenizer.ggml.add_bos_token");
  EXPECT_FALSE(tokenizer_of(bpe).adds_bos());
  EXPECT_TRUE(tokenizer_of(spm).adds_bos());
  bpe["tokenizer.ggml.pre"] = "llama-bpe";
  EXPECT_TRUE(tokenizer_of(bpe).adds_bos());
}

TEST(TokenizerFromJson, RefusesUnknownNamesByName) {
  Json blob = byte_level_blob();
  blob["tokenizer.ggml.pre"] = "viking";
  EXPECT_THAT(refusal_of(blob), HasSubstr("tokenizer.ggml.pre: \"viking\" is not supported"));
  blob["tokenizer.ggml.model"] = "t5";
  EXPECT_THAT(refusal_of(blob), HasSubstr("tokenizer.ggml.model: \"t5\" is not supported"));
}

TEST(TokenizerFromJson, RefusesMissingKeysByName) {
  for (const char* key : {"model", "pre", "tokens", "merges"}) {
    Json blob = byte_level_blob();
    blob.erase("tokenizer.ggml." + std::string(key));
    EXPECT_THAT(refusal_of(blob), HasSubstr("tokenizer.ggml." + std::string(key)));
  }
  Json blob = spm_blob();
  blob.erase("tokenizer.ggml.scores");
  EXPECT_THAT(refusal_of(blob), HasSubstr("tokenizer.ggml.scores"));
}

TEST(TokenizerFromJson, RefusesValuesOfWrongTypeOrRange) {
  const std::pair<const char*, Json> cases[] = {
      {"tokens", Json::array()}, {"tokens", {1, 2}},
      {"tokens", "text"},        {"token_type", {1, 1}},
      {"token_type", "text"},    {"merges", {"he"}},
      {"merges", {"he zz"}},     {"merges", {7}},
      {"merges", {"x y"}},       {"bos_token_id", 265},
      {"eos_token_id", -1},      {"unknown_token_id", 1000000},
      {"padding_token_id", "1"}, {"eom_token_id", 18446744073709551615U},
      {"add_bos_token", 1},      {"add_space_prefix", "yes"},
  };
  for (const auto& [key, value] : cases) {
    Json blob = byte_level_blob();
    blob["tokenizer.ggml." + std::string(key)] = value;
    EXPECT_THAT(refusal_of(blob), HasSubstr("tokenizer.ggml." + std::string(key))) << value;
  }
}

TEST(TokenizerFromJson, RefusesBadTypesAndScoresOfOneToken) {
  Json bpe = byte_level_blob();
  bpe["tokenizer.ggml.token_type"][5] = 7;
  EXPECT_THAT(refusal_of(bpe), HasSubstr("token_type: token 5: the type is not in [1, 6]"));
  for (const Json& score : {Json(0x7FC00000U), Json(0xFF800000U), Json(4294967296U), Json("1")}) {
    Json spm = spm_blob();
    spm["tokenizer.ggml.scores"][9] = score;
    EXPECT_THAT(refusal_of(spm), HasSubstr("scores: token 9:")) << score;
  }
  Json spm = spm_blob();
  spm["tokenizer.ggml.tokens"][10] = "<0xG0>";
  EXPECT_THAT(refusal_of(spm), HasSubstr("token_type: token 10:"));
}

TEST(TokenizerFromJson, RefusesWhatIsNoObject) {
  for (const char* text : {"", "[]", "{", "7", "{\"a\":1,\"a\":2}"}) {
    EXPECT_FALSE(Tokenizer::from_json(text).ok()) << text;
  }
}

}  // namespace
}  // namespace lockstep
