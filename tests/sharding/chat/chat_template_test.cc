#include "sharding/chat_template.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace lockstep {
namespace {

OrderedJson user_says(const std::string& text) {
  OrderedJson out;
  out["messages"] = OrderedJson::array({{{"role", "user"}, {"content", text}}});
  out["bos_token"] = "<s>";
  return out;
}

// The pieces with trusted ones in round and untrusted ones in square brackets.
std::string marked(std::string_view source, const OrderedJson& variables) {
  const auto parsed = ChatTemplate::parse(source);
  if (!parsed.ok()) return parsed.error().message;
  const auto pieces = parsed.value().render(variables);
  if (!pieces.ok()) return pieces.error().message;
  std::string out;
  for (const PromptPiece& piece : pieces.value()) {
    out += piece.trusted ? "(" + piece.text + ")" : "[" + piece.text + "]";
  }
  return out;
}

std::string marked(std::string_view source) { return marked(source, user_says("<|x|>")); }

Error error_of(std::string_view source, TemplateLimits limits = {}) {
  const auto parsed = ChatTemplate::parse(source, limits);
  if (!parsed.ok()) return parsed.error();
  const auto text = parsed.value().render_text(user_says("hi"));
  return text.ok() ? Error{ErrorCode::kInternal, "no error: " + text.value()} : text.error();
}

TEST(ChatTemplateRender, TrustsTheTemplateAndNotTheUser) {
  EXPECT_EQ(marked("<|u|>{{ messages[0].content }}<|e|>"), "(<|u|>)[<|x|>](<|e|>)");
}

TEST(ChatTemplateRender, JoinsNeighboursOfEqualTrust) {
  EXPECT_EQ(marked("a{{ 'b' }}{% if true %}c{% endif %}"), "(abc)");
}

TEST(ChatTemplateRender, TrustsBosAndKnownRolesOnly) {
  OrderedJson variables = user_says("x");
  variables["messages"].push_back({{"role", "<|system|>"}, {"content", "y"}});
  EXPECT_EQ(marked("{{ bos_token }}{{ messages[0].role }}", variables), "(<s>user)");
  EXPECT_EQ(marked("{{ messages[1].role }}", variables), "[<|system|>]");
}

TEST(ChatTemplateRender, DoesNotTrustARoleOutsideMessages) {
  OrderedJson variables;
  variables["other"] = OrderedJson::array({{{"role", "user"}}});
  EXPECT_EQ(marked("{{ other[0].role }}", variables), "[user]");
}

TEST(ChatTemplateRender, KeepsMarksThroughOperationsOnText) {
  const std::string content = "messages[0].content";
  EXPECT_EQ(marked("{{ '<' + " + content + " ~ '>' }}"), "(<)[<|x|>](>)");
  EXPECT_EQ(marked("{{ ['a', " + content + "] | join('-') }}"), "(a-)[<|x|>]");
  EXPECT_EQ(marked("{{ (' a' ~ " + content + ")[1:3] }}"), "(a)[<]");
  EXPECT_EQ(marked("{{ (" + content + " ~ ' a ') | trim }}"), "[<|x|>]( a)");
  EXPECT_EQ(marked("{{ 'a_b'.replace('_', " + content + ") }}"), "(a)[<|x|>](b)");
  EXPECT_EQ(marked("{{ '%s!' % " + content + " }}"), "[<|x|>](!)");
  EXPECT_EQ(marked("{{ '{}!'.format(" + content + ") }}"), "[<|x|>](!)");
  EXPECT_EQ(marked("{{ ('a,' ~ " + content + ").split(',') | last }}"), "[<|x|>]");
  EXPECT_EQ(marked("{{ {'k': " + content + "} | tojson }}"), "({\"k\": \")[<|x|>](\"})");
  EXPECT_EQ(marked("{{ " + content + " | indent(2, true) }}"), "(  )[<|x|>]");
}

TEST(ChatTemplateRender, TrustsNothingOfAMixtureWhoseLettersChange) {
  EXPECT_EQ(marked("{{ ('a' ~ messages[0].content) | upper }}"), "[A<|X|>]");
  EXPECT_EQ(marked("{{ ['a', messages[0].content] }}"), "(['a', )['<|x|>'](])");
}

TEST(ChatTemplateRender, KeepsMarksThroughMacrosAndBlocks) {
  EXPECT_EQ(marked("{% macro m(t) %}<{{ t }}>{% endmacro %}{% set y %}{{ m(messages[0].content) }}"
                   "{% endset %}{{ y }}"),
            "(<)[<|x|>](>)");
}

TEST(ChatTemplateRender, DoesNotTrustDigitsOfAUsersNumber) {
  OrderedJson variables;
  variables["n"] = 7;
  EXPECT_EQ(marked("{{ n }}{{ 7 }}{{ n + 1 }}", variables), "[7](7)[8]");
}

TEST(ChatTemplateRender, KeepsTheOrderOfKeys) {
  OrderedJson variables;
  variables["d"] = {{"z", 1}, {"a", 2}};
  EXPECT_EQ(ChatTemplate::parse("{{ d | tojson }}").value().render_text(variables).value(),
            R"({"z": 1, "a": 2})");
}

TEST(ChatTemplateRender, CarriesTheMessageOfRaiseException) {
  const Error error = error_of("\n{{ raise_exception('No system role') }}");
  EXPECT_EQ(error.code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(error.message, "line 2: No system role");
}

TEST(ChatTemplateRender, RefusesToChangeAList) {
  EXPECT_EQ(error_of("{{ messages.append(1) }}").code, ErrorCode::kInvalidArgument);
}

TEST(ChatTemplateRender, ReplacesInvalidUtf8) {
  EXPECT_EQ(marked("{{ messages[0].content }}", user_says("a\xFF\xE2\x82z")),
            "[a\xEF\xBF\xBD\xEF\xBF\xBDz]");
}

TEST(ChatTemplateRender, StopsAfterSoManySteps) {
  const Error error =
      error_of("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}");
  EXPECT_EQ(error.code, ErrorCode::kExhausted);
  EXPECT_NE(error.message.find("max_steps"), std::string::npos);
}

TEST(ChatTemplateRender, StopsTextThatDoubles) {
  const Error error = error_of(
      "{% set n = namespace(s='x') %}{% for i in range(60) %}{% set n.s = n.s ~ n.s %}{% endfor "
      "%}");
  EXPECT_EQ(error.code, ErrorCode::kExhausted);
  EXPECT_NE(error.message.find("max_output_bytes"), std::string::npos);
}

TEST(ChatTemplateRender, StopsHugeRepeatsAndWidths) {
  EXPECT_EQ(error_of("{{ 'ab' * 9000000000000000000 }}").code, ErrorCode::kExhausted);
  EXPECT_EQ(error_of("{{ [1] * 9000000000000000000 }}").code, ErrorCode::kExhausted);
  EXPECT_EQ(error_of("{{ 'a'.center(9000000000000000000) }}").code, ErrorCode::kExhausted);
  EXPECT_EQ(error_of("{{ '%999999999d' % 1 }}").code, ErrorCode::kInvalidArgument);
}

TEST(ChatTemplateRender, StopsAMacroThatCallsItself) {
  const Error error = error_of("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}");
  EXPECT_EQ(error.code, ErrorCode::kExhausted);
  EXPECT_NE(error.message.find("max_depth"), std::string::npos);
}

TEST(ChatTemplateRender, StopsALoopThatCallsItself) {
  EXPECT_EQ(error_of("{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}").code,
            ErrorCode::kExhausted);
}

TEST(ChatTemplateRender, StopsListsInLists) {
  EXPECT_EQ(error_of("{% set n = namespace(l=[]) %}{% for i in range(9999) %}"
                     "{% set n.l = [n.l] %}{% endfor %}")
                .code,
            ErrorCode::kExhausted);
}

TEST(ChatTemplateRender, StopsComparingTreesOfSharedLists) {
  const std::string grow = "{% set n.a = [n.a, n.a] %}{% set n.b = [n.b, n.b] %}";
  EXPECT_EQ(error_of("{% set n = namespace(a=[1], b=[1]) %}{% for i in range(90) %}" + grow +
                     "{% endfor %}{{ n.a == n.b }}")
                .code,
            ErrorCode::kExhausted);
}

TEST(ChatTemplateRender, SurvivesANamespaceThatHoldsItself) {
  const auto parsed =
      ChatTemplate::parse("{% set n = namespace() %}{% set n.me = n %}{{ n.me.me is defined }}");
  EXPECT_EQ(parsed.value().render_text({{"a", 1}}).value(), "True");
}

TEST(ChatTemplateRender, RefusesIntegersOfMoreThan64Bits) {
  EXPECT_EQ(error_of("{{ 9223372036854775807 + 1 }}").code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(error_of("{{ 2 ** 63 }}").code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(error_of("{{ 9223372036854775808 }}").code, ErrorCode::kInvalidArgument);
}

TEST(ChatTemplateRender, TellsTheTimeOnlyIfGivenOne) {
  const auto parsed = ChatTemplate::parse(
      "{% if strftime_now is defined %}{{ strftime_now('%d %b %Y') }}{% else %}none{% endif %}");
  EXPECT_EQ(parsed.value().render_text({{"strftime_now", 1'700'000'000}}).value(), "14 Nov 2023");
  EXPECT_EQ(parsed.value().render_text({{"a", 1}}).value(), "none");
}

TEST(ChatTemplateRender, NeedsAnObject) {
  const auto parsed = ChatTemplate::parse("x");
  EXPECT_EQ(parsed.value().render_text(OrderedJson::array()).error().code,
            ErrorCode::kInvalidArgument);
}

TEST(ChatTemplateParse, NamesLineAndConstruct) {
  EXPECT_EQ(error_of("a\n\n{% include 'x' %}").message,
            "line 3: the tag 'include' is unknown here, or not supported in chat templates");
  EXPECT_EQ(error_of("{{ 1 +\n }}").message,
            "line 2: expected an expression, found the end of the tag");
}

TEST(ChatTemplateParse, StopsDeepNesting) {
  EXPECT_EQ(error_of("{{ " + std::string(100'000, '(') + " }}").code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(error_of("{{ " + std::string(100, '(') + "1" + std::string(100, ')') + " }}").code,
            ErrorCode::kExhausted);
  std::string minus(100'000, '-');
  EXPECT_EQ(error_of("{{ 1 " + minus + " 1 }}").code, ErrorCode::kExhausted);
  std::string blocks;
  for (int i = 0; i < 1000; ++i) blocks += "{% if 1 %}";
  EXPECT_EQ(error_of(blocks).code, ErrorCode::kExhausted);
}

TEST(ChatTemplateParse, TakesLongChainsWithoutRecursion) {
  std::string sum = "1";
  std::string logic = "0";
  for (int i = 0; i < 20'000; ++i) {
    sum += " + 1";
    logic += " or 0";
  }
  EXPECT_EQ(error_of("{{ " + sum + " }}").message, "no error: 20001");
  EXPECT_EQ(error_of("{{ " + logic + " }}").message, "no error: 0");
}

TEST(ChatTemplateParse, RefusesAnythingButUtf8) {
  EXPECT_EQ(error_of("a\xFF").code, ErrorCode::kInvalidArgument);
}

TEST(ParseOrderedJson, RefusesWhatIsTooDeepOrBroken) {
  EXPECT_TRUE(parse_ordered_json("[[1]]", 2).ok());
  EXPECT_EQ(parse_ordered_json("[[[1]]]", 2).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(parse_ordered_json("{\"a\":1} x").error().code, ErrorCode::kCorrupt);
}

}  // namespace
}  // namespace lockstep
