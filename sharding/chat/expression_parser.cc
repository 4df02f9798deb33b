#include "sharding/chat/expression_parser.h"

#include <optional>

#include "sharding/chat/filters.h"
#include "sharding/chat/predicates.h"

namespace lockstep::chat {
namespace {

using Parsed = ExpressionParser::Parsed;

std::optional<Operator> comparison_of(const Token& token) {
  if (token.kind != TokenKind::kOperator) return std::nullopt;
  if (token.text == "==") return Operator::kEqual;
  if (token.text == "!=") return Operator::kNotEqual;
  if (token.text == "<") return Operator::kLess;
  if (token.text == "<=") return Operator::kLessEqual;
  if (token.text == ">") return Operator::kGreater;
  if (token.text == ">=") return Operator::kGreaterEqual;
  return std::nullopt;
}

std::optional<Operator> product_of(const Token& token) {
  if (token.kind != TokenKind::kOperator) return std::nullopt;
  if (token.text == "*") return Operator::kMultiply;
  if (token.text == "/") return Operator::kDivide;
  if (token.text == "//") return Operator::kFloorDivide;
  if (token.text == "%") return Operator::kModulo;
  return std::nullopt;
}

bool is_constant_name(std::string_view name) {
  return name == "true" || name == "True" || name == "false" || name == "False" || name == "none" ||
         name == "None";
}

}  // namespace

Expr* ExpressionParser::make(ExprKind kind) {
  Expr& expr = ast_.exprs.emplace_back();
  expr.kind = kind;
  expr.line = stream_.current().line;
  return &expr;
}

Expr* ExpressionParser::make(ExprKind kind, std::initializer_list<const Expr*> children) {
  Expr* expr = make(kind);
  expr->children = children;
  return expr;
}

Parsed ExpressionParser::fold(const Expr* left, Operator op, const Parsed& right) {
  if (!right.ok()) return right.error();
  Expr* node = make(ExprKind::kBinary, {left, right.value()});
  node->ops = {op};
  return node;
}

Parsed ExpressionParser::parse_expression(bool with_conditional) {
  CHAT_TRY(stream_.enter());
  auto parsed = with_conditional ? parse_conditional() : parse_or();
  stream_.leave();
  return parsed;
}

Parsed ExpressionParser::parse_conditional() {
  // The names in all parts of a conditional are looked up only when they are used.
  const std::size_t first = ast_.exprs.size();
  const bool was_soft = is_soft;
  is_soft = true;
  auto parsed = parse_or();
  is_soft = was_soft;
  if (!parsed.ok()) return parsed;
  const Expr* node = parsed.value();
  if (!stream_.is_name("if") && !was_soft) {
    for (std::size_t i = first; i < ast_.exprs.size(); ++i) {
      const Expr& expr = ast_.exprs[i];
      if ((expr.kind == ExprKind::kFilter && !has_filter(expr.name)) ||
          (expr.kind == ExprKind::kTest && !has_predicate(expr.name))) {
        return stream_.error("there is no filter or test '" + expr.name + "'");
      }
    }
  }
  while (stream_.skip_name("if")) {
    is_soft = true;
    auto condition = parse_or();
    if (!condition.ok()) return condition;
    const Expr* other = nullptr;
    if (stream_.skip_name("else")) {
      CHAT_TRY(stream_.enter());
      auto alternative = parse_conditional();
      stream_.leave();
      if (!alternative.ok()) return alternative;
      other = alternative.value();
    }
    is_soft = was_soft;
    node = make(ExprKind::kConditional, {node, condition.value(), other});
  }
  return node;
}

Parsed ExpressionParser::parse_or() {
  CHAT_ASSIGN(const Expr* left, parse_and());
  while (stream_.skip_name("or")) {
    CHAT_ASSIGN(const Expr* right, parse_and());
    left = make(ExprKind::kOr, {left, right});
  }
  return left;
}

Parsed ExpressionParser::parse_and() {
  CHAT_ASSIGN(const Expr* left, parse_not());
  while (stream_.skip_name("and")) {
    CHAT_ASSIGN(const Expr* right, parse_not());
    left = make(ExprKind::kAnd, {left, right});
  }
  return left;
}

Parsed ExpressionParser::parse_not() {
  if (!stream_.is_name("not")) return parse_compare();
  stream_.next();
  CHAT_TRY(stream_.enter());
  auto inner = parse_not();
  stream_.leave();
  if (!inner.ok()) return inner;
  return make(ExprKind::kNot, {inner.value()});
}

Parsed ExpressionParser::parse_compare() {
  CHAT_ASSIGN(const Expr* first, parse_sum());
  std::vector<Operator> ops;
  std::vector<const Expr*> operands = {first};
  while (true) {
    if (const auto op = comparison_of(stream_.current())) {
      stream_.next();
      ops.push_back(*op);
    } else if (stream_.skip_name("in")) {
      ops.push_back(Operator::kIn);
    } else if (stream_.is_name("not") && stream_.ahead().kind == TokenKind::kName &&
               stream_.ahead().text == "in") {
      stream_.next();
      stream_.next();
      ops.push_back(Operator::kNotIn);
    } else {
      break;
    }
    CHAT_ASSIGN(const Expr* operand, parse_sum());
    operands.push_back(operand);
  }
  if (ops.empty()) return first;
  Expr* node = make(ExprKind::kCompare);
  node->ops = std::move(ops);
  node->children = std::move(operands);
  return node;
}

Parsed ExpressionParser::parse_sum() {
  CHAT_ASSIGN(const Expr* left, parse_concatenation());
  while (stream_.is_op("+") || stream_.is_op("-")) {
    const Operator op = stream_.is_op("+") ? Operator::kAdd : Operator::kSubtract;
    stream_.next();
    CHAT_ASSIGN(left, fold(left, op, parse_concatenation()));
  }
  return left;
}

Parsed ExpressionParser::parse_concatenation() {
  CHAT_ASSIGN(const Expr* left, parse_product());
  while (stream_.skip_op("~")) {
    CHAT_ASSIGN(left, fold(left, Operator::kConcatenate, parse_product()));
  }
  return left;
}

Parsed ExpressionParser::parse_product() {
  CHAT_ASSIGN(const Expr* left, parse_power());
  while (const auto op = product_of(stream_.current())) {
    stream_.next();
    CHAT_ASSIGN(left, fold(left, *op, parse_power()));
  }
  return left;
}

Parsed ExpressionParser::parse_power() {
  CHAT_ASSIGN(const Expr* left, parse_unary(true));
  while (stream_.skip_op("**")) {
    CHAT_ASSIGN(left, fold(left, Operator::kPower, parse_unary(true)));
  }
  return left;
}

Parsed ExpressionParser::parse_unary(bool with_filters) {
  const Expr* node = nullptr;
  if (stream_.is_op("-") || stream_.is_op("+")) {
    const ExprKind kind = stream_.is_op("-") ? ExprKind::kNegate : ExprKind::kPlus;
    stream_.next();
    CHAT_TRY(stream_.enter());
    auto inner = parse_unary(false);
    stream_.leave();
    if (!inner.ok()) return inner;
    node = make(kind, {inner.value()});
  } else {
    CHAT_ASSIGN(node, parse_primary());
  }
  CHAT_ASSIGN(node, parse_postfix(node));
  return with_filters ? parse_filters(node) : Parsed(node);
}

Parsed ExpressionParser::parse_primary() {
  const Token& token = stream_.current();
  if (token.kind == TokenKind::kName) {
    Expr* node = make(is_constant_name(token.text) ? ExprKind::kLiteral : ExprKind::kName);
    node->name = token.text;
    if (token.text == "true" || token.text == "True") node->literal = Value(true);
    if (token.text == "false" || token.text == "False") node->literal = Value(false);
    stream_.next();
    return node;
  }
  if (token.kind == TokenKind::kString) {
    Expr* node = make(ExprKind::kLiteral);
    std::string text;
    for (; stream_.is(TokenKind::kString); stream_.next()) text += stream_.current().text;
    node->literal = Value::literal(text);
    return node;
  }
  if (token.kind == TokenKind::kInteger || token.kind == TokenKind::kFloat) {
    Expr* node = make(ExprKind::kLiteral);
    node->literal = token.kind == TokenKind::kInteger ? Value(Integer{token.integer})
                                                      : Value(Float{token.number});
    stream_.next();
    return node;
  }
  if (stream_.skip_op("(")) {
    CHAT_ASSIGN(const Expr* node, parse_tuple(true, {}, true));
    CHAT_TRY(stream_.expect_op(")"));
    return node;
  }
  if (stream_.is_op("[")) return parse_list();
  if (stream_.is_op("{")) return parse_dict();
  return stream_.unexpected("an expression");
}

bool ExpressionParser::is_tuple_end(std::string_view end_name) const {
  return stream_.is(TokenKind::kOutputEnd) || stream_.is(TokenKind::kBlockEnd) ||
         stream_.is_op(")") || (!end_name.empty() && stream_.is_name(end_name));
}

Parsed ExpressionParser::parse_tuple(bool with_conditional, std::string_view end_name,
                                     bool parenthesized) {
  std::vector<const Expr*> items;
  bool is_tuple = false;
  while (!is_tuple_end(end_name)) {
    CHAT_ASSIGN(const Expr* item, parse_expression(with_conditional));
    items.push_back(item);
    if (!stream_.skip_op(",")) break;
    is_tuple = true;
  }
  if (!is_tuple && !items.empty()) return items[0];
  if (!is_tuple && !parenthesized) return stream_.unexpected("an expression");
  Expr* node = make(ExprKind::kTuple);
  node->children = std::move(items);
  return node;
}

Parsed ExpressionParser::parse_list() {
  CHAT_TRY(stream_.expect_op("["));
  Expr* node = make(ExprKind::kList);
  while (!stream_.is_op("]")) {
    if (!node->children.empty()) {
      CHAT_TRY(stream_.expect_op(","));
      if (stream_.is_op("]")) break;
    }
    CHAT_ASSIGN(const Expr* item, parse_expression());
    node->children.push_back(item);
  }
  CHAT_TRY(stream_.expect_op("]"));
  return node;
}

Parsed ExpressionParser::parse_dict() {
  CHAT_TRY(stream_.expect_op("{"));
  Expr* node = make(ExprKind::kDict);
  while (!stream_.is_op("}")) {
    if (!node->children.empty()) {
      CHAT_TRY(stream_.expect_op(","));
      if (stream_.is_op("}")) break;
    }
    CHAT_ASSIGN(const Expr* key, parse_expression());
    CHAT_TRY(stream_.expect_op(":"));
    CHAT_ASSIGN(const Expr* value, parse_expression());
    node->children.push_back(key);
    node->children.push_back(value);
  }
  CHAT_TRY(stream_.expect_op("}"));
  return node;
}

Parsed ExpressionParser::parse_postfix(const Expr* node) {
  while (true) {
    if (stream_.is_op(".") || stream_.is_op("[")) {
      CHAT_ASSIGN(node, parse_subscript(node));
    } else if (stream_.is_op("(")) {
      Expr* call = make(ExprKind::kCall, {node});
      CHAT_ASSIGN(call->call, parse_arguments());
      node = call;
    } else {
      return node;
    }
  }
}

Parsed ExpressionParser::parse_filters(const Expr* node) {
  while (true) {
    if (stream_.skip_op("|")) {
      CHAT_ASSIGN(node, parse_filter(node));
    } else if (stream_.is_name("is")) {
      CHAT_ASSIGN(node, parse_test(node));
    } else if (stream_.is_op("(")) {
      Expr* call = make(ExprKind::kCall, {node});
      CHAT_ASSIGN(call->call, parse_arguments());
      node = call;
    } else {
      return node;
    }
  }
}

Parsed ExpressionParser::parse_subscript(const Expr* node) {
  if (stream_.skip_op(".")) {
    if (stream_.is(TokenKind::kName)) {
      Expr* attribute = make(ExprKind::kAttribute, {node});
      CHAT_ASSIGN(attribute->name, stream_.take_name());
      return attribute;
    }
    if (!stream_.is(TokenKind::kInteger)) return stream_.unexpected("a name or number after '.'");
    CHAT_ASSIGN(const Expr* index, parse_primary());
    return make(ExprKind::kItem, {node, index});
  }
  CHAT_TRY(stream_.expect_op("["));
  std::vector<const Expr*> items;
  while (!stream_.is_op("]")) {
    if (!items.empty()) CHAT_TRY(stream_.expect_op(","));
    CHAT_ASSIGN(const Expr* item, parse_slice_or_index());
    items.push_back(item);
  }
  CHAT_TRY(stream_.expect_op("]"));
  if (items.size() == 1) return make(ExprKind::kItem, {node, items[0]});
  Expr* tuple = make(ExprKind::kTuple);
  tuple->children = std::move(items);
  return make(ExprKind::kItem, {node, tuple});
}

Parsed ExpressionParser::parse_slice_or_index() {
  const Expr* parts[3] = {nullptr, nullptr, nullptr};
  const auto ends = [&] { return stream_.is_op("]") || stream_.is_op(","); };
  if (!stream_.is_op(":")) {
    CHAT_ASSIGN(parts[0], parse_expression());
    if (!stream_.is_op(":")) return parts[0];
  }
  stream_.next();
  if (!stream_.is_op(":") && !ends()) {
    CHAT_ASSIGN(parts[1], parse_expression());
  }
  if (stream_.skip_op(":") && !ends()) {
    CHAT_ASSIGN(parts[2], parse_expression());
  }
  return make(ExprKind::kSlice, {parts[0], parts[1], parts[2]});
}

Result<std::string> ExpressionParser::take_dotted_name() {
  CHAT_ASSIGN(std::string name, stream_.take_name());
  while (stream_.skip_op(".")) {
    CHAT_ASSIGN(const std::string part, stream_.take_name());
    name += "." + part;
  }
  return name;
}

Parsed ExpressionParser::parse_filter(const Expr* input) {
  Expr* filter = make(ExprKind::kFilter, {input});
  CHAT_ASSIGN(filter->name, take_dotted_name());
  if (!is_soft && !has_filter(filter->name)) {
    return stream_.error("there is no filter '" + filter->name + "'");
  }
  if (stream_.is_op("(")) {
    CHAT_ASSIGN(filter->call, parse_arguments());
  }
  return filter;
}

Parsed ExpressionParser::parse_test(const Expr* node) {
  CHAT_TRY(stream_.expect_name("is"));
  const bool is_negated = stream_.skip_name("not");
  Expr* test = make(ExprKind::kTest, {node});
  CHAT_ASSIGN(test->name, take_dotted_name());
  if (!is_soft && !has_predicate(test->name)) {
    return stream_.error("there is no test '" + test->name + "'");
  }
  if (stream_.is_op("(")) {
    CHAT_ASSIGN(test->call, parse_arguments());
  } else if (stream_.is(TokenKind::kName) || stream_.is(TokenKind::kString) ||
             stream_.is(TokenKind::kInteger) || stream_.is(TokenKind::kFloat) ||
             stream_.is_op("[") || stream_.is_op("{")) {
    if (stream_.is_name("is")) return stream_.error("tests cannot be chained with 'is'");
    if (!stream_.is_name("else") && !stream_.is_name("or") && !stream_.is_name("and")) {
      CHAT_ASSIGN(const Expr* operand, parse_primary());
      CHAT_ASSIGN(operand, parse_postfix(operand));
      test->call.positional.push_back(operand);
    }
  }
  return is_negated ? make(ExprKind::kNot, {test}) : test;
}

Result<CallArguments> ExpressionParser::parse_arguments() {
  CHAT_TRY(stream_.expect_op("("));
  CallArguments out;
  bool needs_comma = false;
  while (!stream_.is_op(")")) {
    if (needs_comma) {
      CHAT_TRY(stream_.expect_op(","));
      if (stream_.is_op(")")) break;
    }
    CHAT_TRY(parse_argument(&out));
    needs_comma = true;
  }
  CHAT_TRY(stream_.expect_op(")"));
  return out;
}

Status ExpressionParser::parse_argument(CallArguments* out) {
  const bool is_named = stream_.is(TokenKind::kName) &&
                        stream_.ahead().kind == TokenKind::kOperator && stream_.ahead().text == "=";
  const Error misplaced = stream_.error("this argument cannot stand here in a call");
  if (stream_.is_op("*") && out->star == nullptr && out->star_star == nullptr) {
    stream_.next();
    CHAT_ASSIGN(out->star, parse_expression());
  } else if (stream_.is_op("**") && out->star_star == nullptr) {
    stream_.next();
    CHAT_ASSIGN(out->star_star, parse_expression());
  } else if (stream_.is_op("*") || stream_.is_op("**")) {
    return misplaced;
  } else if (is_named) {
    if (out->star_star != nullptr) return misplaced;
    CHAT_ASSIGN(std::string name, stream_.take_name());
    for (const auto& [other, value] : out->named) {
      if (other == name) return stream_.error("argument '" + name + "' is given twice");
    }
    stream_.next();
    CHAT_ASSIGN(const Expr* value, parse_expression());
    out->named.emplace_back(std::move(name), value);
  } else {
    if (out->star != nullptr || out->star_star != nullptr || !out->named.empty()) return misplaced;
    CHAT_ASSIGN(const Expr* value, parse_expression());
    out->positional.push_back(value);
  }
  return Status();
}

Result<std::string> ExpressionParser::take_target_name() {
  CHAT_ASSIGN(std::string name, stream_.take_name());
  if (is_constant_name(name)) return stream_.error("cannot assign to '" + name + "'");
  return name;
}

Result<Target> ExpressionParser::parse_target_part(bool with_field) {
  Target part;
  if (stream_.skip_op("(")) {
    CHAT_TRY(stream_.enter());
    CHAT_ASSIGN(part, parse_target({}, with_field));
    stream_.leave();
    CHAT_TRY(stream_.expect_op(")"));
    return part;
  }
  CHAT_ASSIGN(part.name, take_target_name());
  if (with_field && stream_.skip_op(".")) {
    part.kind = Target::Kind::kField;
    CHAT_ASSIGN(part.field, stream_.take_name());
  }
  return part;
}

Result<Target> ExpressionParser::parse_target(std::string_view end_name, bool with_field) {
  Target tuple;
  tuple.kind = Target::Kind::kTuple;
  bool is_tuple = false;
  while (!is_tuple_end(end_name)) {
    CHAT_ASSIGN(Target part, parse_target_part(with_field));
    tuple.parts.push_back(std::move(part));
    if (!stream_.skip_op(",")) break;
    is_tuple = true;
  }
  if (tuple.parts.empty()) return stream_.unexpected("a name to assign to");
  if (!is_tuple) return std::move(tuple.parts[0]);
  return tuple;
}

Result<std::vector<Parameter>> ExpressionParser::parse_parameters() {
  CHAT_TRY(stream_.expect_op("("));
  std::vector<Parameter> out;
  while (!stream_.is_op(")")) {
    if (!out.empty()) CHAT_TRY(stream_.expect_op(","));
    Parameter parameter;
    CHAT_ASSIGN(parameter.name, take_target_name());
    if (stream_.skip_op("=")) {
      CHAT_ASSIGN(parameter.fallback, parse_expression());
    } else if (!out.empty() && out.back().fallback != nullptr) {
      return stream_.error("a parameter without a default follows one that has it");
    }
    for (const Parameter& other : out) {
      if (other.name == parameter.name) return stream_.error("parameter named twice");
    }
    out.push_back(std::move(parameter));
  }
  CHAT_TRY(stream_.expect_op(")"));
  return out;
}

}  // namespace lockstep::chat
