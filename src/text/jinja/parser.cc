#include "text/jinja/parser.h"

#include <algorithm>
#include <initializer_list>

#include "text/jinja/expression_parser.h"

namespace weir::text::jinja {
namespace {

using Ends = std::initializer_list<std::string_view>;

class Parser {
 public:
  Parser(std::vector<Token> tokens, int nesting) : in_(std::move(tokens), nesting) {}

  Result<Body> run() {
    WEIR_ASSIGN(Body out, body({}));
    return out;
  }

 private:
  // Statements up to a tag named in `ends`, whose name is then at hand; with none, to the end.
  Result<Body> body(Ends ends);
  // "%}", a body, and the closing tag's name.
  Result<Body> block(Ends ends);
  Status statement(Body& out);
  Result<Stmt> dispatch(const std::string& tag, int line);
  Result<Stmt> if_statement(Stmt s);
  Result<Stmt> for_statement(Stmt s);
  Result<Stmt> set_statement(Stmt s);
  Result<Stmt> macro_statement(Stmt s);
  Result<Stmt> call_statement(Stmt s);
  Result<Stmt> filter_statement(Stmt s);
  Result<Stmt> with_statement(Stmt s);
  Result<Stmt> print_statement(Stmt s);
  Result<Stmt> block_statement(Stmt s);
  Result<Stmt> loop_control(Stmt s, StmtKind kind);
  // A tag without arguments around a body with variables of its own, or not.
  Result<Stmt> plain_body(Stmt s, StmtKind kind, std::string_view end);
  ExprPtr captured(int line) const;

  ExpressionParser in_;
  int loops_ = 0;
};

void note_special_names(const Expr& e, Signature& out);

void note_special_names(const ExprPtr& e, Signature& out) {
  if (e) note_special_names(*e, out);
}

void note_special_names(const Expr& e, Signature& out) {
  if (e.kind == ExprKind::kName) {
    out.uses_varargs |= e.text == "varargs";
    out.uses_kwargs |= e.text == "kwargs";
    out.uses_caller |= e.text == "caller";
  }
  for (const ExprPtr& child : e.children) note_special_names(child, out);
  for (const ExprPtr& child : e.args.positional) note_special_names(child, out);
  for (const auto& [name, child] : e.args.named) note_special_names(child, out);
  note_special_names(e.args.star, out);
  note_special_names(e.args.double_star, out);
}

// Which of varargs, kwargs and caller a macro's body reads.
void note_special_names(const Body& body, Signature& out) {
  for (const Stmt& s : body) {
    note_special_names(s.target, out);
    note_special_names(s.expr, out);
    note_special_names(s.test, out);
    for (const ExprPtr& e : s.exprs) note_special_names(e, out);
    for (const Body& inner : s.bodies) note_special_names(inner, out);
  }
}

Result<Body> Parser::body(Ends ends) {
  const ExpressionParser::Nested nested(in_);
  WEIR_TRY(nested.check());
  Body out;
  while (!in_.at(TokenKind::kEnd)) {
    if (in_.at(TokenKind::kData)) {
      Stmt s;
      s.line = in_.peek().line;
      s.text = in_.next().text;
      out.push_back(std::move(s));
    } else if (in_.at(TokenKind::kVariableBegin)) {
      Stmt s;
      s.kind = StmtKind::kOutput;
      s.line = in_.next().line;
      WEIR_ASSIGN(s.expr, in_.tuple(true));
      WEIR_TRY(in_.expect(TokenKind::kVariableEnd, "'}}'"));
      out.push_back(std::move(s));
    } else if (in_.at(TokenKind::kBlockBegin)) {
      in_.next();
      const auto ends_here = [&](std::string_view name) { return in_.at_name(name); };
      if (std::any_of(ends.begin(), ends.end(), ends_here)) return out;
      WEIR_TRY(statement(out));
    } else {
      return in_.unexpected("text or a tag");
    }
  }
  if (ends.size() == 0) return out;
  return in_.fail("the template ends before '{}'", *(ends.end() - 1));
}

Result<Body> Parser::block(Ends ends) {
  in_.skip_operator(":");
  WEIR_TRY(in_.expect(TokenKind::kBlockEnd, "'%}'"));
  return body(ends);
}

Status Parser::statement(Body& out) {
  const int line = in_.peek().line;
  WEIR_ASSIGN(const std::string tag, in_.name());
  WEIR_ASSIGN(Stmt s, dispatch(tag, line));
  WEIR_TRY(in_.expect(TokenKind::kBlockEnd, "'%}'"));
  out.push_back(std::move(s));
  return {};
}

Result<Stmt> Parser::dispatch(const std::string& tag, int line) {
  Stmt s;
  s.line = line;
  if (tag == "if") return if_statement(std::move(s));
  if (tag == "for") return for_statement(std::move(s));
  if (tag == "set") return set_statement(std::move(s));
  if (tag == "macro") return macro_statement(std::move(s));
  if (tag == "call") return call_statement(std::move(s));
  if (tag == "filter") return filter_statement(std::move(s));
  if (tag == "with") return with_statement(std::move(s));
  if (tag == "print") return print_statement(std::move(s));
  if (tag == "block") return block_statement(std::move(s));
  if (tag == "generation") return plain_body(std::move(s), StmtKind::kScope, "endgeneration");
  if (tag == "break") return loop_control(std::move(s), StmtKind::kBreak);
  if (tag == "continue") return loop_control(std::move(s), StmtKind::kContinue);
  if (tag == "include" || tag == "import" || tag == "from" || tag == "extends" ||
      tag == "autoescape" || tag == "trans" || tag == "do") {
    return in_.at_line(ErrorCode::kUnsupported, fmt::format("the tag '{}' is not supported", tag));
  }
  if (tag.rfind("end", 0) == 0 || tag == "else" || tag == "elif") {
    return in_.fail("'{}' closes nothing that is open here", tag);
  }
  return in_.at_line(ErrorCode::kUnsupported, fmt::format("unknown tag '{}'", tag));
}

Result<Stmt> Parser::if_statement(Stmt s) {
  const ExpressionParser::Conditional soft(in_);
  s.kind = StmtKind::kIf;
  while (true) {
    WEIR_ASSIGN(ExprPtr test, in_.tuple(false));
    s.exprs.push_back(std::move(test));
    WEIR_ASSIGN(Body then, block({"elif", "else", "endif"}));
    s.bodies.push_back(std::move(then));
    if (in_.skip_name("elif")) continue;
    if (in_.skip_name("else")) {
      WEIR_ASSIGN(Body otherwise, block({"endif"}));
      s.bodies.push_back(std::move(otherwise));
    }
    in_.next();
    return s;
  }
}

Result<Stmt> Parser::for_statement(Stmt s) {
  s.kind = StmtKind::kFor;
  WEIR_ASSIGN(s.target, in_.target(false, "in"));
  if (!in_.skip_name("in")) return in_.unexpected("'in'");
  WEIR_ASSIGN(s.expr, in_.tuple(false, {"recursive", "if"}));
  if (in_.skip_name("if")) {
    WEIR_ASSIGN(s.test, in_.expression());
  }
  s.recursive = in_.skip_name("recursive");
  ++loops_;
  WEIR_ASSIGN(Body body, block({"else", "endfor"}));
  --loops_;
  s.bodies.push_back(std::move(body));
  if (in_.skip_name("else")) {
    WEIR_ASSIGN(Body otherwise, block({"endfor"}));
    s.bodies.push_back(std::move(otherwise));
  }
  in_.next();
  return s;
}

ExprPtr Parser::captured(int line) const {
  auto e = std::make_unique<Expr>();
  e->kind = ExprKind::kCaptured;
  e->line = line;
  return e;
}

Result<Stmt> Parser::set_statement(Stmt s) {
  WEIR_ASSIGN(s.target, in_.target(true));
  if (in_.skip_operator("=")) {
    s.kind = StmtKind::kSet;
    WEIR_ASSIGN(s.expr, in_.tuple(true));
    return s;
  }
  s.kind = StmtKind::kSetBlock;
  WEIR_ASSIGN(s.expr, in_.filters(captured(s.line), false));
  WEIR_ASSIGN(Body body, block({"endset"}));
  s.bodies.push_back(std::move(body));
  in_.next();
  return s;
}

Result<Stmt> Parser::macro_statement(Stmt s) {
  s.kind = StmtKind::kMacro;
  s.macro = std::make_unique<Signature>();
  WEIR_ASSIGN(s.macro->name, in_.name());
  WEIR_TRY(in_.signature(*s.macro));
  const int outer_loops = std::exchange(loops_, 0);
  WEIR_ASSIGN(Body body, block({"endmacro"}));
  loops_ = outer_loops;
  note_special_names(body, *s.macro);
  s.bodies.push_back(std::move(body));
  in_.next();
  return s;
}

Result<Stmt> Parser::call_statement(Stmt s) {
  s.kind = StmtKind::kCallBlock;
  s.macro = std::make_unique<Signature>();
  s.macro->name = "caller";
  if (in_.at_operator("(")) WEIR_TRY(in_.signature(*s.macro));
  WEIR_ASSIGN(s.expr, in_.expression());
  if (s.expr->kind != ExprKind::kCall) return in_.fail("'call' needs a call");
  const int outer_loops = std::exchange(loops_, 0);
  WEIR_ASSIGN(Body body, block({"endcall"}));
  loops_ = outer_loops;
  note_special_names(body, *s.macro);
  s.bodies.push_back(std::move(body));
  in_.next();
  return s;
}

Result<Stmt> Parser::filter_statement(Stmt s) {
  s.kind = StmtKind::kFilterBlock;
  WEIR_ASSIGN(s.expr, in_.filters(captured(s.line), true));
  WEIR_ASSIGN(Body body, block({"endfilter"}));
  s.bodies.push_back(std::move(body));
  in_.next();
  return s;
}

Result<Stmt> Parser::with_statement(Stmt s) {
  s.kind = StmtKind::kWith;
  while (!in_.at(TokenKind::kBlockEnd)) {
    if (!s.exprs.empty()) WEIR_TRY(in_.expect_operator(","));
    WEIR_ASSIGN(ExprPtr target, in_.target(false));
    WEIR_TRY(in_.expect_operator("="));
    WEIR_ASSIGN(ExprPtr value, in_.expression());
    s.exprs.push_back(std::move(target));
    s.exprs.push_back(std::move(value));
  }
  WEIR_ASSIGN(Body body, block({"endwith"}));
  s.bodies.push_back(std::move(body));
  in_.next();
  return s;
}

Result<Stmt> Parser::print_statement(Stmt s) {
  s.kind = StmtKind::kOutput;
  WEIR_ASSIGN(s.expr, in_.expression());
  return s;
}

Result<Stmt> Parser::block_statement(Stmt s) {
  WEIR_ASSIGN(s.text, in_.name());
  in_.skip_name("scoped");
  in_.skip_name("required");
  const std::string name = s.text;
  WEIR_ASSIGN(s, plain_body(std::move(s), StmtKind::kBlock, "endblock"));
  in_.skip_name(name);
  return s;
}

Result<Stmt> Parser::loop_control(Stmt s, StmtKind kind) {
  if (loops_ == 0) return in_.fail("'break' and 'continue' need a loop around them");
  s.kind = kind;
  return s;
}

Result<Stmt> Parser::plain_body(Stmt s, StmtKind kind, std::string_view end) {
  s.kind = kind;
  WEIR_ASSIGN(Body body, block({end}));
  s.bodies.push_back(std::move(body));
  in_.next();
  return s;
}

}  // namespace

Result<Body> parse(std::string_view source, const Budgets& budgets) {
  if (source.size() > budgets.source_bytes) {
    return make_error(ErrorCode::kSchemaTooComplex,
                      "chat template: {} bytes of source, at most {} are read", source.size(),
                      budgets.source_bytes);
  }
  WEIR_ASSIGN(std::vector<Token> tokens, tokenize(source));
  return Parser(std::move(tokens), budgets.nesting).run();
}

}  // namespace weir::text::jinja
