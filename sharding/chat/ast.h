// The tree of a parsed template. All nodes belong to one Ast and point at each other, so that a
// long chain of them is freed without recursion.
#pragma once

#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "sharding/chat/value.h"

namespace lockstep::chat {

enum class ExprKind {
  kLiteral,      // literal
  kName,         // name
  kTuple,        // children
  kList,         // children
  kDict,         // children: key, value, key, value, ...
  kNegate,       // children[0]
  kPlus,         // children[0]
  kNot,          // children[0]
  kBinary,       // children[0] op children[1]
  kAnd,          // children[0], children[1]
  kOr,           // children[0], children[1]
  kCompare,      // children[0] ops[0] children[1] ops[1] children[2] ...
  kConditional,  // children[0] if children[1] else children[2] (which may be missing)
  kAttribute,    // children[0] . name
  kItem,         // children[0] [ children[1] ]
  kSlice,        // children[0..2], each may be null
  kCall,         // children[0] ( call )
  kFilter,       // children[0] | name ( call ); children[0] is null in filter blocks
  kTest,         // children[0] is name ( call )
};

enum class Operator {
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kFloorDivide,
  kModulo,
  kPower,
  kConcatenate,
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kIn,
  kNotIn,
};

struct Expr;

struct CallArguments {
  std::vector<const Expr*> positional;
  std::vector<std::pair<std::string, const Expr*>> named;
  const Expr* star = nullptr;       // *list
  const Expr* star_star = nullptr;  // **dict
};

struct Expr {
  ExprKind kind = ExprKind::kLiteral;
  int line = 1;
  std::string name;
  Value literal;
  std::vector<Operator> ops;
  std::vector<const Expr*> children;
  CallArguments call;
};

// What an assignment writes to.
struct Target {
  enum class Kind { kName, kField, kTuple } kind = Kind::kName;
  std::string name;
  std::string field;  // Of a namespace.
  std::vector<Target> parts;
};

struct Parameter {
  std::string name;
  const Expr* fallback = nullptr;
};

enum class StmtKind {
  kData,         // literal
  kOutput,       // value
  kFor,          // target in value if condition: body else other
  kIf,           // arms, other
  kSet,          // target = value
  kSetBlock,     // target = body | filters
  kMacro,        // name(parameters): body
  kCallBlock,    // call (parameters) value: body
  kFilterBlock,  // filters of body
  kWith,         // targets = values: body
  kScope,        // body
  kBreak,
  kContinue,
};

struct Stmt;
using Block = std::vector<const Stmt*>;

struct Stmt {
  StmtKind kind = StmtKind::kData;
  int line = 1;
  Value literal;
  std::string name;
  Target target;
  const Expr* value = nullptr;
  const Expr* condition = nullptr;
  bool is_recursive = false;
  Block body;
  Block other;
  std::vector<std::pair<const Expr*, Block>> arms;
  std::vector<std::pair<Target, const Expr*>> bindings;
  std::vector<Parameter> parameters;
  std::vector<const Expr*> filters;  // In the order of their use.
  // Of macros: whether the body mentions these names.
  bool uses_caller = false;
  bool uses_varargs = false;
  bool uses_kwargs = false;
};

struct Ast {
  std::deque<Expr> exprs;
  std::deque<Stmt> stmts;
  Block body;
};

}  // namespace lockstep::chat
