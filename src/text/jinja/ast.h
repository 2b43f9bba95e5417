// The syntax tree of a template. Built by the parser, immutable afterwards, shared by renderings.
// Its height is bounded by the parser, so walking it recursively is safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "text/jinja/ops.h"

namespace weir::text::jinja {

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

struct CallArgs {
  std::vector<ExprPtr> positional;
  std::vector<std::pair<std::string, ExprPtr>> named;
  ExprPtr star;         // *args, or null
  ExprPtr double_star;  // **kwargs, or null
};

enum class ExprKind : uint8_t {
  kNone,
  kBool,
  kInt,
  kFloat,
  kString,
  kName,       // text
  kNsRef,      // text.attribute as an assignment target
  kAttribute,  // children[0].text
  kItem,       // children[0][children[1]]
  kSlice,      // children[0][children[1]:children[2]:children[3]], each of the last three or null
  kCall,       // children[0](args)
  kFilter,     // children[0] | text(args)
  kTest,       // children[0] is text(args)
  kCaptured,   // the text that a set or filter block captured
  kNot,
  kNegative,
  kPositive,
  kBinary,   // children[0] op children[1]
  kAnd,      // also kOr: children[0], children[1]
  kOr,       //
  kCompare,  // children[0] ops[0] children[1] ops[1] children[2] ...
  kConcat,   // all children
  kCond,     // children[0] if children[1] else children[2] (or null)
  kList,
  kTuple,
  kDict,  // key, value, key, value, ...
};

struct Expr {
  ExprKind kind = ExprKind::kNone;
  int line = 1;
  int height = 1;
  std::string text;
  std::string attribute;
  int64_t integer = 0;
  double real = 0;
  Op op = Op::kAdd;
  std::vector<Op> ops;
  std::vector<ExprPtr> children;
  CallArgs args;
};

struct Stmt;
using Body = std::vector<Stmt>;

enum class StmtKind : uint8_t {
  kData,         // text
  kOutput,       // expr
  kIf,           // bodies[i] where exprs[i] holds; one more body is the else
  kFor,          // target in expr, if test: bodies[0], else bodies[1]
  kSet,          // target = expr
  kSetBlock,     // target = bodies[0] through expr (filters of kCaptured)
  kMacro,        // macro
  kCallBlock,    // expr (a call) with caller = macro
  kFilterBlock,  // bodies[0] through expr
  kWith,         // exprs: target, value, ...; bodies[0]
  kScope,        // bodies[0] with variables of its own
  kBlock,        // bodies[0]
  kBreak,
  kContinue
};

struct Signature {
  std::string name;
  std::vector<std::string> parameters;
  std::vector<ExprPtr> defaults;  // of the last parameters
  bool uses_varargs = false;
  bool uses_kwargs = false;
  bool uses_caller = false;
};

struct Stmt {
  StmtKind kind = StmtKind::kData;
  int line = 1;
  std::string text;
  ExprPtr target;
  ExprPtr expr;
  ExprPtr test;
  bool recursive = false;
  std::vector<ExprPtr> exprs;
  std::vector<Body> bodies;
  std::unique_ptr<Signature> macro;  // its body is bodies[0]
};

}  // namespace weir::text::jinja
