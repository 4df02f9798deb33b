// The expressions of the template language, with the precedences of Jinja: conditional, or, and,
// not, comparisons, + and -, ~, multiplication, **, sign, filters and tests, postfix.
#pragma once

#include <initializer_list>
#include <string_view>

#include "sharding/chat/ast.h"
#include "sharding/chat/token_stream.h"

namespace lockstep::chat {

class ExpressionParser {
 public:
  ExpressionParser(TokenStream* stream, Ast* ast) : stream_(*stream), ast_(*ast) {}

  using Parsed = Result<const Expr*>;

  Parsed parse_expression(bool with_conditional = true);
  // One expression or several with commas between; `end_name` is a name that ends the list.
  Parsed parse_tuple(bool with_conditional, std::string_view end_name = {},
                     bool parenthesized = false);
  // One filter with its arguments. Requires: the "|" has been read.
  Parsed parse_filter(const Expr* input);
  Result<Target> parse_target(std::string_view end_name, bool with_field);
  Result<std::vector<Parameter>> parse_parameters();

  // A name may be assigned to unless it is a constant.
  Result<std::string> take_target_name();

  // Inside `if` a name of a filter or test that does not exist is an error only when it is used.
  bool is_soft = false;

 private:
  Expr* make(ExprKind kind);
  Expr* make(ExprKind kind, std::initializer_list<const Expr*> children);

  Parsed parse_conditional();
  Parsed parse_or();
  Parsed parse_and();
  Parsed parse_not();
  Parsed parse_compare();
  Parsed parse_sum();
  Parsed parse_concatenation();
  Parsed parse_product();
  Parsed parse_power();
  Parsed parse_unary(bool with_filters);
  Parsed parse_primary();
  Parsed parse_list();
  Parsed parse_dict();
  Parsed parse_postfix(const Expr* node);
  Parsed parse_filters(const Expr* node);
  Parsed parse_subscript(const Expr* node);
  Parsed parse_slice_or_index();
  Parsed parse_test(const Expr* node);
  Result<CallArguments> parse_arguments();
  Status parse_argument(CallArguments* out);
  Result<std::string> take_dotted_name();
  Result<Target> parse_target_part(bool with_field);
  bool is_tuple_end(std::string_view end_name) const;
  Parsed fold(const Expr* left, Operator op, const Parsed& right);

  TokenStream& stream_;
  Ast& ast_;
};

}  // namespace lockstep::chat
