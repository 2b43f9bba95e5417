#include "text/jinja/expression_parser.h"

#include <algorithm>

#include "text/jinja/names.h"

namespace weir::text::jinja {

const Token& ExpressionParser::peek(size_t ahead) const {
  return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
}

Token ExpressionParser::next() {
  Token token = peek();
  if (at_ + 1 < tokens_.size()) ++at_;
  return token;
}

bool ExpressionParser::skip_name(std::string_view name) {
  if (!at_name(name)) return false;
  next();
  return true;
}

bool ExpressionParser::skip_operator(std::string_view op) {
  if (!at_operator(op)) return false;
  next();
  return true;
}

Error ExpressionParser::unexpected(std::string_view wanted) const {
  const Token& t = peek();
  switch (t.kind) {
    case TokenKind::kEnd:
      return fail("expected {}, found the end of the template", wanted);
    case TokenKind::kData:
      return fail("expected {}, found text", wanted);
    case TokenKind::kVariableBegin:
    case TokenKind::kBlockBegin:
    case TokenKind::kVariableEnd:
    case TokenKind::kBlockEnd:
      return fail("expected {}, found the end of the tag", wanted);
    case TokenKind::kInt:
    case TokenKind::kFloat:
      return fail("expected {}, found a number", wanted);
    case TokenKind::kString:
      return fail("expected {}, found a string", wanted);
    default:
      return fail("expected {}, found '{}'", wanted, t.text);
  }
}

Result<std::string> ExpressionParser::name() {
  if (!at(TokenKind::kName)) return unexpected("a name");
  return next().text;
}

Status ExpressionParser::expect_operator(std::string_view op) {
  if (!skip_operator(op)) return unexpected(fmt::format("'{}'", op));
  return {};
}

Status ExpressionParser::expect(TokenKind kind, std::string_view what) {
  if (!at(kind)) return unexpected(what);
  next();
  return {};
}

Status ExpressionParser::Nested::check() const {
  if (parser_.open_ <= parser_.nesting_) return {};
  return parser_.at_line(ErrorCode::kSchemaTooComplex,
                         fmt::format("nests deeper than {} levels", parser_.nesting_));
}

ExprPtr ExpressionParser::make(ExprKind kind, int line) const {
  auto e = std::make_unique<Expr>();
  e->kind = kind;
  e->line = line;
  return e;
}

Result<ExprPtr> ExpressionParser::finish(ExprPtr e) const {
  int height = 0;
  const auto see = [&](const ExprPtr& child) {
    if (child) height = std::max(height, child->height);
  };
  for (const ExprPtr& child : e->children) see(child);
  for (const ExprPtr& child : e->args.positional) see(child);
  for (const auto& [name, child] : e->args.named) see(child);
  see(e->args.star);
  see(e->args.double_star);
  e->height = height + 1;
  if (e->height > nesting_) {
    return at_line(ErrorCode::kSchemaTooComplex,
                   fmt::format("an expression nests deeper than {} levels", nesting_));
  }
  return e;
}

Result<ExprPtr> ExpressionParser::pair(ExprKind kind, int line, ExprPtr left, ExprPtr right) const {
  ExprPtr e = make(kind, line);
  e->children.push_back(std::move(left));
  e->children.push_back(std::move(right));
  return finish(std::move(e));
}

bool ExpressionParser::take(std::initializer_list<std::pair<std::string_view, Op>> ops, Op& out) {
  for (const auto& [text, op] : ops) {
    if (!skip_operator(text)) continue;
    out = op;
    return true;
  }
  return false;
}

Result<ExprPtr> ExpressionParser::expression() {
  const Nested nested(*this);
  WEIR_TRY(nested.check());
  return conditional();
}

Result<ExprPtr> ExpressionParser::conditional() {
  WEIR_ASSIGN(ExprPtr e, or_expression());
  while (at_name("if")) {
    const Conditional soft(*this);
    const int line = next().line;
    WEIR_ASSIGN(ExprPtr condition, or_expression());
    ExprPtr otherwise;
    if (skip_name("else")) {
      WEIR_ASSIGN(otherwise, expression());
    }
    ExprPtr cond = make(ExprKind::kCond, line);
    cond->children.push_back(std::move(e));
    cond->children.push_back(std::move(condition));
    cond->children.push_back(std::move(otherwise));
    WEIR_ASSIGN(e, finish(std::move(cond)));
  }
  return e;
}

Result<ExprPtr> ExpressionParser::or_expression() {
  WEIR_ASSIGN(ExprPtr e, and_expression());
  while (at_name("or")) {
    const int line = next().line;
    WEIR_ASSIGN(ExprPtr right, and_expression());
    WEIR_ASSIGN(e, pair(ExprKind::kOr, line, std::move(e), std::move(right)));
  }
  return e;
}

Result<ExprPtr> ExpressionParser::and_expression() {
  WEIR_ASSIGN(ExprPtr e, not_expression());
  while (at_name("and")) {
    const int line = next().line;
    WEIR_ASSIGN(ExprPtr right, not_expression());
    WEIR_ASSIGN(e, pair(ExprKind::kAnd, line, std::move(e), std::move(right)));
  }
  return e;
}

Result<ExprPtr> ExpressionParser::not_expression() {
  if (!at_name("not")) return comparison();
  const Nested nested(*this);
  WEIR_TRY(nested.check());
  ExprPtr e = make(ExprKind::kNot, next().line);
  WEIR_ASSIGN(ExprPtr operand, not_expression());
  e->children.push_back(std::move(operand));
  return finish(std::move(e));
}

Result<ExprPtr> ExpressionParser::comparison() {
  const int line = peek().line;
  WEIR_ASSIGN(ExprPtr first, sum());
  ExprPtr e;
  while (true) {
    Op op = Op::kEq;
    if (skip_name("in")) {
      op = Op::kIn;
    } else if (at_name("not") && peek(1).kind == TokenKind::kName && peek(1).text == "in") {
      next();
      next();
      op = Op::kNotIn;
    } else if (!take({{"==", Op::kEq},
                      {"!=", Op::kNe},
                      {"<=", Op::kLe},
                      {">=", Op::kGe},
                      {"<", Op::kLt},
                      {">", Op::kGt}},
                     op)) {
      break;
    }
    if (!e) {
      e = make(ExprKind::kCompare, line);
      e->children.push_back(std::move(first));
    }
    e->ops.push_back(op);
    WEIR_ASSIGN(ExprPtr right, sum());
    e->children.push_back(std::move(right));
  }
  return e ? finish(std::move(e)) : Result<ExprPtr>(std::move(first));
}

Result<ExprPtr> ExpressionParser::sum() {
  WEIR_ASSIGN(ExprPtr e, concatenation());
  for (Op op = Op::kAdd; take({{"+", Op::kAdd}, {"-", Op::kSub}}, op);) {
    const int line = peek().line;
    WEIR_ASSIGN(ExprPtr right, concatenation());
    WEIR_ASSIGN(e, pair(ExprKind::kBinary, line, std::move(e), std::move(right)));
    e->op = op;
  }
  return e;
}

Result<ExprPtr> ExpressionParser::concatenation() {
  WEIR_ASSIGN(ExprPtr first, product());
  if (!at_operator("~")) return first;
  ExprPtr e = make(ExprKind::kConcat, peek().line);
  e->children.push_back(std::move(first));
  while (skip_operator("~")) {
    WEIR_ASSIGN(ExprPtr right, product());
    e->children.push_back(std::move(right));
  }
  return finish(std::move(e));
}

Result<ExprPtr> ExpressionParser::product() {
  WEIR_ASSIGN(ExprPtr e, power());
  for (Op op = Op::kMul;
       take({{"*", Op::kMul}, {"//", Op::kFloorDiv}, {"/", Op::kDiv}, {"%", Op::kMod}}, op);) {
    const int line = peek().line;
    WEIR_ASSIGN(ExprPtr right, power());
    WEIR_ASSIGN(e, pair(ExprKind::kBinary, line, std::move(e), std::move(right)));
    e->op = op;
  }
  return e;
}

Result<ExprPtr> ExpressionParser::power() {
  WEIR_ASSIGN(ExprPtr e, unary(true));
  while (skip_operator("**")) {
    const int line = peek().line;
    WEIR_ASSIGN(ExprPtr right, unary(true));
    WEIR_ASSIGN(e, pair(ExprKind::kBinary, line, std::move(e), std::move(right)));
    e->op = Op::kPow;
  }
  return e;
}

Result<ExprPtr> ExpressionParser::unary(bool with_filters) {
  const Nested nested(*this);
  WEIR_TRY(nested.check());
  ExprPtr e;
  if (at_operator("-") || at_operator("+")) {
    const Token sign = next();
    ExprPtr operation =
        make(sign.text == "-" ? ExprKind::kNegative : ExprKind::kPositive, sign.line);
    WEIR_ASSIGN(ExprPtr operand, unary(false));
    operation->children.push_back(std::move(operand));
    WEIR_ASSIGN(e, finish(std::move(operation)));
  } else {
    WEIR_ASSIGN(e, primary());
  }
  WEIR_ASSIGN(e, postfix(std::move(e)));
  if (!with_filters) return e;
  return filters_and_tests(std::move(e));
}

Result<ExprPtr> ExpressionParser::primary() {
  const Token& token = peek();
  switch (token.kind) {
    case TokenKind::kName:
      return primary_name();
    case TokenKind::kString: {
      ExprPtr e = make(ExprKind::kString, token.line);
      while (at(TokenKind::kString)) e->text += next().text;
      return e;
    }
    case TokenKind::kInt: {
      ExprPtr e = make(ExprKind::kInt, token.line);
      e->integer = next().integer;
      return e;
    }
    case TokenKind::kFloat: {
      ExprPtr e = make(ExprKind::kFloat, token.line);
      e->real = next().real;
      return e;
    }
    default:
      break;
  }
  if (at_operator("(")) return bracketed();
  if (at_operator("[")) return list();
  if (at_operator("{")) return dict();
  return unexpected("an expression");
}

Result<ExprPtr> ExpressionParser::primary_name() {
  const Token token = next();
  if (token.text == "true" || token.text == "True" || token.text == "false" ||
      token.text == "False") {
    ExprPtr e = make(ExprKind::kBool, token.line);
    e->integer = token.text == "true" || token.text == "True" ? 1 : 0;
    return e;
  }
  if (token.text == "none" || token.text == "None") return make(ExprKind::kNone, token.line);
  ExprPtr e = make(ExprKind::kName, token.line);
  e->text = token.text;
  return e;
}

Result<ExprPtr> ExpressionParser::bracketed() {
  const Nested nested(*this);
  WEIR_TRY(nested.check());
  const int line = next().line;
  if (skip_operator(")")) return make(ExprKind::kTuple, line);
  WEIR_ASSIGN(ExprPtr e, tuple(true));
  WEIR_TRY(expect_operator(")"));
  return e;
}

Result<ExprPtr> ExpressionParser::list() {
  const Nested nested(*this);
  WEIR_TRY(nested.check());
  ExprPtr e = make(ExprKind::kList, next().line);
  while (!at_operator("]")) {
    WEIR_ASSIGN(ExprPtr item, expression());
    e->children.push_back(std::move(item));
    if (!skip_operator(",")) break;
  }
  WEIR_TRY(expect_operator("]"));
  return finish(std::move(e));
}

Result<ExprPtr> ExpressionParser::dict() {
  const Nested nested(*this);
  WEIR_TRY(nested.check());
  ExprPtr e = make(ExprKind::kDict, next().line);
  while (!at_operator("}")) {
    WEIR_ASSIGN(ExprPtr key, expression());
    WEIR_TRY(expect_operator(":"));
    WEIR_ASSIGN(ExprPtr value, expression());
    e->children.push_back(std::move(key));
    e->children.push_back(std::move(value));
    if (!skip_operator(",")) break;
  }
  WEIR_TRY(expect_operator("}"));
  return finish(std::move(e));
}

bool ExpressionParser::tuple_end(std::initializer_list<std::string_view> ends) const {
  if (at(TokenKind::kVariableEnd) || at(TokenKind::kBlockEnd) || at_operator(")")) return true;
  return std::any_of(ends.begin(), ends.end(), [&](std::string_view n) { return at_name(n); });
}

Result<ExprPtr> ExpressionParser::tuple(bool may_be_conditional,
                                        std::initializer_list<std::string_view> ends) {
  const int line = peek().line;
  const auto item = [&] { return may_be_conditional ? expression() : or_expression(); };
  if (tuple_end(ends)) return unexpected("an expression");
  WEIR_ASSIGN(ExprPtr first, item());
  if (!at_operator(",")) return first;
  ExprPtr e = make(ExprKind::kTuple, line);
  e->children.push_back(std::move(first));
  while (skip_operator(",")) {
    if (tuple_end(ends)) break;
    WEIR_ASSIGN(ExprPtr more, item());
    e->children.push_back(std::move(more));
  }
  return finish(std::move(e));
}

Result<ExprPtr> ExpressionParser::target(bool namespaces, std::string_view end) {
  const Nested nested(*this);
  WEIR_TRY(nested.check());
  const auto one = [&]() -> Result<ExprPtr> {
    if (at_operator("(")) {
      next();
      WEIR_ASSIGN(ExprPtr inner, target(namespaces));
      WEIR_TRY(expect_operator(")"));
      return inner;
    }
    const int line = peek().line;
    if (!at(TokenKind::kName)) return unexpected("a name to assign to");
    WEIR_ASSIGN(ExprPtr e, primary_name());
    if (e->kind != ExprKind::kName) {
      return at_line(ErrorCode::kCorrupt, "cannot assign to a constant");
    }
    if (namespaces && skip_operator(".")) {
      e->kind = ExprKind::kNsRef;
      e->line = line;
      WEIR_ASSIGN(e->attribute, name());
    }
    return e;
  };
  const int line = peek().line;
  WEIR_ASSIGN(ExprPtr first, one());
  if (!at_operator(",")) return first;
  ExprPtr e = make(ExprKind::kTuple, line);
  e->children.push_back(std::move(first));
  while (skip_operator(",")) {
    if (at(TokenKind::kBlockEnd) || at_operator(")") || at_operator("=") ||
        (!end.empty() && at_name(end))) {
      break;
    }
    WEIR_ASSIGN(ExprPtr more, one());
    e->children.push_back(std::move(more));
  }
  return finish(std::move(e));
}

Status ExpressionParser::signature(Signature& out) {
  WEIR_TRY(expect_operator("("));
  while (!at_operator(")")) {
    if (!out.parameters.empty()) WEIR_TRY(expect_operator(","));
    WEIR_ASSIGN(std::string parameter, name());
    if (std::find(out.parameters.begin(), out.parameters.end(), parameter) !=
        out.parameters.end()) {
      return fail("the parameter '{}' is there twice", parameter);
    }
    out.parameters.push_back(std::move(parameter));
    if (skip_operator("=")) {
      WEIR_ASSIGN(ExprPtr value, expression());
      out.defaults.push_back(std::move(value));
    } else if (!out.defaults.empty()) {
      return fail("a parameter without a default follows one with a default");
    }
  }
  return expect_operator(")");
}

}  // namespace weir::text::jinja
