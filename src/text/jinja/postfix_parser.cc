// Subscripts, calls, filters and tests of the expression parser.
#include "text/jinja/expression_parser.h"
#include "text/jinja/names.h"

namespace weir::text::jinja {

Result<ExprPtr> ExpressionParser::postfix(ExprPtr e) {
  while (true) {
    if (at_operator(".") || at_operator("[")) {
      WEIR_ASSIGN(e, subscript(std::move(e)));
    } else if (at_operator("(")) {
      WEIR_ASSIGN(e, call(std::move(e)));
    } else {
      return e;
    }
  }
}

Result<ExprPtr> ExpressionParser::filters_and_tests(ExprPtr e) {
  while (true) {
    if (at_operator("|")) {
      WEIR_ASSIGN(e, filters(std::move(e), false));
    } else if (at_name("is")) {
      WEIR_ASSIGN(e, test(std::move(e)));
    } else if (at_operator("(")) {
      WEIR_ASSIGN(e, call(std::move(e)));
    } else {
      return e;
    }
  }
}

Result<ExprPtr> ExpressionParser::subscript(ExprPtr e) {
  const Nested nested(*this);
  WEIR_TRY(nested.check());
  const Token token = next();
  if (token.text == ".") {
    if (at(TokenKind::kName)) {
      ExprPtr attribute = make(ExprKind::kAttribute, token.line);
      attribute->text = next().text;
      attribute->children.push_back(std::move(e));
      return finish(std::move(attribute));
    }
    if (!at(TokenKind::kInt)) return unexpected("a name or a number after '.'");
    ExprPtr index = make(ExprKind::kInt, token.line);
    index->integer = next().integer;
    return pair(ExprKind::kItem, token.line, std::move(e), std::move(index));
  }
  WEIR_ASSIGN(ExprPtr first, subscribed());
  if (first->kind == ExprKind::kSlice && !first->children[0]) {  // still without its operand
    WEIR_TRY(expect_operator("]"));
    first->children[0] = std::move(e);
    return finish(std::move(first));
  }
  if (at_operator(",")) {
    ExprPtr key = make(ExprKind::kTuple, token.line);
    key->children.push_back(std::move(first));
    while (skip_operator(",")) {
      WEIR_ASSIGN(ExprPtr more, expression());
      key->children.push_back(std::move(more));
    }
    WEIR_ASSIGN(first, finish(std::move(key)));
  }
  WEIR_TRY(expect_operator("]"));
  return pair(ExprKind::kItem, token.line, std::move(e), std::move(first));
}

// An index, or a slice whose first child (the operand) is still null.
Result<ExprPtr> ExpressionParser::subscribed() {
  const int line = peek().line;
  ExprPtr start;
  if (!at_operator(":")) {
    WEIR_ASSIGN(start, expression());
    if (!at_operator(":")) return start;
  }
  next();
  ExprPtr e = make(ExprKind::kSlice, line);
  e->children.resize(4);
  e->children[1] = std::move(start);
  if (!at_operator(":") && !at_operator("]")) {
    WEIR_ASSIGN(e->children[2], expression());
  }
  if (skip_operator(":") && !at_operator("]")) {
    WEIR_ASSIGN(e->children[3], expression());
  }
  return e;
}

Result<ExprPtr> ExpressionParser::call(ExprPtr callee) {
  ExprPtr e = make(ExprKind::kCall, peek().line);
  e->children.push_back(std::move(callee));
  WEIR_TRY(call_args(e->args));
  return finish(std::move(e));
}

Status ExpressionParser::call_args(CallArgs& args) {
  const Nested nested(*this);
  WEIR_TRY(nested.check());
  WEIR_TRY(expect_operator("("));
  while (!at_operator(")")) {
    WEIR_TRY(call_arg(args));
    if (!skip_operator(",")) break;
  }
  return expect_operator(")");
}

Status ExpressionParser::call_arg(CallArgs& args) {
  const auto misplaced = [&] { return fail("arguments in the wrong order"); };
  if (skip_operator("*")) {
    if (args.star || args.double_star) return misplaced();
    WEIR_ASSIGN(args.star, expression());
    return {};
  }
  if (skip_operator("**")) {
    if (args.double_star) return misplaced();
    WEIR_ASSIGN(args.double_star, expression());
    return {};
  }
  if (at(TokenKind::kName) && peek(1).kind == TokenKind::kOperator && peek(1).text == "=") {
    if (args.double_star) return misplaced();
    std::string name = next().text;
    next();
    for (const auto& [other, value] : args.named) {
      if (other == name) return fail("the argument '{}' is there twice", name);
    }
    WEIR_ASSIGN(ExprPtr value, expression());
    args.named.emplace_back(std::move(name), std::move(value));
    return {};
  }
  if (args.star || args.double_star || !args.named.empty()) return misplaced();
  WEIR_ASSIGN(ExprPtr value, expression());
  args.positional.push_back(std::move(value));
  return {};
}

Result<std::string> ExpressionParser::dotted_name() {
  WEIR_ASSIGN(std::string text, name());
  while (skip_operator(".")) {
    WEIR_ASSIGN(const std::string more, name());
    text += '.';
    text += more;
  }
  return text;
}

Result<ExprPtr> ExpressionParser::filters(ExprPtr operand, bool inline_start) {
  while (inline_start || skip_operator("|")) {
    inline_start = false;
    WEIR_ASSIGN(operand, filter(std::move(operand)));
  }
  return operand;
}

Result<ExprPtr> ExpressionParser::filter(ExprPtr operand) {
  ExprPtr e = make(ExprKind::kFilter, peek().line);
  WEIR_ASSIGN(e->text, dotted_name());
  if (conditional_ == 0 && !is_filter(e->text)) {
    return at_line(ErrorCode::kUnsupported, fmt::format("unknown filter '{}'", e->text));
  }
  e->children.push_back(std::move(operand));
  if (at_operator("(")) WEIR_TRY(call_args(e->args));
  return finish(std::move(e));
}

Result<ExprPtr> ExpressionParser::test(ExprPtr operand) {
  const int line = next().line;
  const bool negated = skip_name("not");
  ExprPtr e = make(ExprKind::kTest, line);
  WEIR_ASSIGN(e->text, dotted_name());
  if (conditional_ == 0 && !is_test(e->text)) {
    return at_line(ErrorCode::kUnsupported, fmt::format("unknown test '{}'", e->text));
  }
  e->children.push_back(std::move(operand));
  const bool literal = at(TokenKind::kName) || at(TokenKind::kString) || at(TokenKind::kInt) ||
                       at(TokenKind::kFloat) || at_operator("[") || at_operator("{");
  if (at_operator("(")) {
    WEIR_TRY(call_args(e->args));
  } else if (literal && !at_name("else") && !at_name("or") && !at_name("and")) {
    if (at_name("is")) return fail("tests cannot be chained with 'is'");
    WEIR_ASSIGN(ExprPtr argument, primary());
    WEIR_ASSIGN(argument, postfix(std::move(argument)));
    e->args.positional.push_back(std::move(argument));
  }
  WEIR_ASSIGN(e, finish(std::move(e)));
  if (!negated) return e;
  ExprPtr negation = make(ExprKind::kNot, line);
  negation->children.push_back(std::move(e));
  return finish(std::move(negation));
}

}  // namespace weir::text::jinja
