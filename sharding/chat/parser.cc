#include "sharding/chat/parser.h"

#include <algorithm>
#include <array>

#include "sharding/chat/expression_parser.h"
#include "sharding/chat/filters.h"
#include "sharding/chat/token_stream.h"

namespace lockstep::chat {
namespace {

class Parser {
 public:
  Parser(std::vector<Token> tokens, int max_depth)
      : stream_(std::move(tokens), max_depth), expressions_(&stream_, &ast_) {}

  Result<Ast> run();

 private:
  using EndNames = std::initializer_list<std::string_view>;

  Stmt* make(StmtKind kind);
  // Statements up to a tag with one of these names, whose name becomes the current token. With no
  // names, up to the end of the template.
  Result<Block> parse_block(EndNames ends);
  // A block that ends with `end`, which is read too.
  Result<Block> parse_body(std::string_view end);
  Result<const Stmt*> parse_statement();
  Result<const Stmt*> parse_for();
  Result<const Stmt*> parse_if();
  Result<const Stmt*> parse_set();
  Result<const Stmt*> parse_macro();
  Result<const Stmt*> parse_call();
  Result<const Stmt*> parse_filter();
  Result<const Stmt*> parse_with();
  Result<const Stmt*> parse_print();
  Result<const Stmt*> parse_jump(StmtKind kind);
  // The body of something that becomes a function of its own: no loop outside can be left from
  // there.
  Status parse_function_body(Stmt* stmt, std::string_view end);

  TokenStream stream_;
  Ast ast_;
  ExpressionParser expressions_;
  int loops_ = 0;
};

bool mentions(const Ast& ast, std::size_t first, std::string_view name) {
  return std::any_of(
      ast.exprs.begin() + static_cast<std::ptrdiff_t>(first), ast.exprs.end(),
      [&](const Expr& expr) { return expr.kind == ExprKind::kName && expr.name == name; });
}

bool writes_to(const Target& target, std::string_view name) {
  if (target.kind == Target::Kind::kTuple) {
    return std::any_of(target.parts.begin(), target.parts.end(),
                       [&](const Target& part) { return writes_to(part, name); });
  }
  return target.kind == Target::Kind::kName && target.name == name;
}

Result<Ast> Parser::run() {
  CHAT_ASSIGN(ast_.body, parse_block({}));
  return std::move(ast_);
}

Stmt* Parser::make(StmtKind kind) {
  Stmt& stmt = ast_.stmts.emplace_back();
  stmt.kind = kind;
  stmt.line = stream_.current().line;
  return &stmt;
}

Result<Block> Parser::parse_block(EndNames ends) {
  CHAT_TRY(stream_.enter());
  Block out;
  while (!stream_.is(TokenKind::kEnd)) {
    if (stream_.is(TokenKind::kData)) {
      Stmt* stmt = make(StmtKind::kData);
      stmt->literal = Value::literal(stream_.current().text);
      stream_.next();
      out.push_back(stmt);
      continue;
    }
    if (stream_.is(TokenKind::kOutputBegin)) {
      Stmt* stmt = make(StmtKind::kOutput);
      stream_.next();
      CHAT_ASSIGN(stmt->value, expressions_.parse_tuple(true));
      CHAT_TRY(stream_.expect(TokenKind::kOutputEnd, "'}}'"));
      out.push_back(stmt);
      continue;
    }
    CHAT_TRY(stream_.expect(TokenKind::kBlockBegin, "a tag"));
    for (const std::string_view end : ends) {
      if (!stream_.is_name(end)) continue;
      stream_.leave();
      return out;
    }
    CHAT_ASSIGN(const Stmt* stmt, parse_statement());
    CHAT_TRY(stream_.expect(TokenKind::kBlockEnd, "'%}'"));
    out.push_back(stmt);
  }
  stream_.leave();
  if (ends.size() == 0) return out;
  return stream_.error("the template ends inside a block; '" + std::string(*(ends.end() - 1)) +
                       "' is missing");
}

Result<Block> Parser::parse_body(std::string_view end) {
  CHAT_TRY(stream_.expect(TokenKind::kBlockEnd, "'%}'"));
  CHAT_ASSIGN(Block body, parse_block({end}));
  CHAT_TRY(stream_.expect_name(end));
  return body;
}

Result<const Stmt*> Parser::parse_statement() {
  struct Entry {
    std::string_view name;
    Result<const Stmt*> (Parser::*parse)();
  };
  static constexpr std::array<Entry, 8> kEntries = {{{"for", &Parser::parse_for},
                                                     {"if", &Parser::parse_if},
                                                     {"set", &Parser::parse_set},
                                                     {"macro", &Parser::parse_macro},
                                                     {"call", &Parser::parse_call},
                                                     {"filter", &Parser::parse_filter},
                                                     {"with", &Parser::parse_with},
                                                     {"print", &Parser::parse_print}}};
  if (!stream_.is(TokenKind::kName)) return stream_.unexpected("the name of a tag");
  if (stream_.is_name("break")) return parse_jump(StmtKind::kBreak);
  if (stream_.is_name("continue")) return parse_jump(StmtKind::kContinue);
  if (stream_.is_name("generation")) {
    Stmt* stmt = make(StmtKind::kScope);
    stream_.next();
    CHAT_TRY(parse_function_body(stmt, "endgeneration"));
    return stmt;
  }
  for (const Entry& entry : kEntries) {
    if (stream_.is_name(entry.name)) return (this->*entry.parse)();
  }
  return stream_.error("the tag '" + stream_.current().text +
                       "' is unknown here, or not supported in chat templates");
}

Result<const Stmt*> Parser::parse_for() {
  Stmt* stmt = make(StmtKind::kFor);
  stream_.next();
  const bool was_soft = expressions_.is_soft;
  expressions_.is_soft = false;
  CHAT_ASSIGN(stmt->target, expressions_.parse_target("in", false));
  CHAT_TRY(stream_.expect_name("in"));
  CHAT_ASSIGN(stmt->value, expressions_.parse_tuple(false, "recursive"));
  if (stream_.skip_name("if")) {
    CHAT_ASSIGN(stmt->condition, expressions_.parse_expression());
  }
  stmt->is_recursive = stream_.skip_name("recursive");
  CHAT_TRY(stream_.expect(TokenKind::kBlockEnd, "'%}'"));
  const std::size_t first = ast_.stmts.size();
  ++loops_;
  CHAT_ASSIGN(stmt->body, parse_block({"else", "endfor"}));
  --loops_;
  if (stream_.skip_name("else")) {
    CHAT_ASSIGN(stmt->other, parse_body("endfor"));
  } else {
    stream_.next();
  }
  expressions_.is_soft = was_soft;
  bool writes_loop = writes_to(stmt->target, "loop");
  for (std::size_t i = first; i < ast_.stmts.size(); ++i) {
    const Stmt& inner = ast_.stmts[i];
    writes_loop = writes_loop || writes_to(inner.target, "loop");
  }
  if (writes_loop) return stream_.error("'loop' cannot be assigned to inside a for loop");
  return stmt;
}

Result<const Stmt*> Parser::parse_if() {
  Stmt* stmt = make(StmtKind::kIf);
  const bool was_soft = expressions_.is_soft;
  expressions_.is_soft = true;
  do {
    stream_.next();  // `if` or `elif`
    CHAT_ASSIGN(const Expr* condition, expressions_.parse_tuple(false));
    CHAT_TRY(stream_.expect(TokenKind::kBlockEnd, "'%}'"));
    CHAT_ASSIGN(Block body, parse_block({"elif", "else", "endif"}));
    stmt->arms.emplace_back(condition, std::move(body));
  } while (stream_.is_name("elif"));
  if (stream_.skip_name("else")) {
    CHAT_ASSIGN(stmt->other, parse_body("endif"));
  } else {
    stream_.next();
  }
  expressions_.is_soft = was_soft;
  return stmt;
}

Result<const Stmt*> Parser::parse_set() {
  Stmt* stmt = make(StmtKind::kSet);
  stream_.next();
  CHAT_ASSIGN(stmt->target, expressions_.parse_target({}, true));
  if (stream_.skip_op("=")) {
    CHAT_ASSIGN(stmt->value, expressions_.parse_tuple(true));
    return stmt;
  }
  stmt->kind = StmtKind::kSetBlock;
  const bool was_soft = expressions_.is_soft;
  expressions_.is_soft = false;
  while (stream_.skip_op("|")) {
    CHAT_ASSIGN(const Expr* filter, expressions_.parse_filter(nullptr));
    stmt->filters.push_back(filter);
  }
  CHAT_ASSIGN(stmt->body, parse_body("endset"));
  expressions_.is_soft = was_soft;
  return stmt;
}

Status Parser::parse_function_body(Stmt* stmt, std::string_view end) {
  const bool was_soft = expressions_.is_soft;
  const int outer_loops = loops_;
  expressions_.is_soft = false;
  loops_ = 0;
  const std::size_t first = ast_.exprs.size();
  CHAT_ASSIGN(stmt->body, parse_body(end));
  stmt->uses_caller = mentions(ast_, first, "caller");
  stmt->uses_varargs = mentions(ast_, first, "varargs");
  stmt->uses_kwargs = mentions(ast_, first, "kwargs");
  loops_ = outer_loops;
  expressions_.is_soft = was_soft;
  return Status();
}

Result<const Stmt*> Parser::parse_macro() {
  Stmt* stmt = make(StmtKind::kMacro);
  stream_.next();
  CHAT_ASSIGN(stmt->name, expressions_.take_target_name());
  CHAT_ASSIGN(stmt->parameters, expressions_.parse_parameters());
  CHAT_TRY(parse_function_body(stmt, "endmacro"));
  return stmt;
}

Result<const Stmt*> Parser::parse_call() {
  Stmt* stmt = make(StmtKind::kCallBlock);
  stream_.next();
  stmt->name = "caller";
  if (stream_.is_op("(")) {
    CHAT_ASSIGN(stmt->parameters, expressions_.parse_parameters());
  }
  CHAT_ASSIGN(stmt->value, expressions_.parse_expression());
  if (stmt->value->kind != ExprKind::kCall) return stream_.error("`call` needs a call");
  CHAT_TRY(parse_function_body(stmt, "endcall"));
  return stmt;
}

Result<const Stmt*> Parser::parse_filter() {
  Stmt* stmt = make(StmtKind::kFilterBlock);
  const bool was_soft = expressions_.is_soft;
  expressions_.is_soft = false;
  do {
    stream_.next();  // `filter` or "|"
    CHAT_ASSIGN(const Expr* filter, expressions_.parse_filter(nullptr));
    stmt->filters.push_back(filter);
  } while (stream_.is_op("|"));
  CHAT_ASSIGN(stmt->body, parse_body("endfilter"));
  expressions_.is_soft = was_soft;
  return stmt;
}

Result<const Stmt*> Parser::parse_with() {
  Stmt* stmt = make(StmtKind::kWith);
  const bool was_soft = expressions_.is_soft;
  expressions_.is_soft = false;
  stream_.next();
  while (!stream_.is(TokenKind::kBlockEnd)) {
    if (!stmt->bindings.empty()) CHAT_TRY(stream_.expect_op(","));
    CHAT_ASSIGN(Target target, expressions_.parse_target({}, false));
    CHAT_TRY(stream_.expect_op("="));
    CHAT_ASSIGN(const Expr* value, expressions_.parse_expression());
    stmt->bindings.emplace_back(std::move(target), value);
  }
  CHAT_ASSIGN(stmt->body, parse_body("endwith"));
  expressions_.is_soft = was_soft;
  return stmt;
}

Result<const Stmt*> Parser::parse_print() {
  Stmt* stmt = make(StmtKind::kScope);
  stream_.next();
  while (!stream_.is(TokenKind::kBlockEnd)) {
    if (!stmt->body.empty()) CHAT_TRY(stream_.expect_op(","));
    Stmt* output = make(StmtKind::kOutput);
    CHAT_ASSIGN(output->value, expressions_.parse_expression());
    stmt->body.push_back(output);
  }
  return stmt;
}

Result<const Stmt*> Parser::parse_jump(StmtKind kind) {
  if (loops_ == 0) return stream_.error("'" + stream_.current().text + "' outside a loop");
  stream_.next();
  return make(kind);
}

}  // namespace

Result<Ast> parse_template(std::string_view source, int max_depth) {
  CHAT_ASSIGN(std::vector<Token> tokens, tokenize(source));
  return Parser(std::move(tokens), max_depth).run();
}

}  // namespace lockstep::chat
