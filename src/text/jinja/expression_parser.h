// The expression half of the parser, by recursive descent with Jinja's precedences.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "text/jinja/ast.h"
#include "text/jinja/lexer.h"

namespace weir::text::jinja {

class ExpressionParser {
 public:
  // nesting: the greatest height of a tree, and of open brackets and blocks.
  ExpressionParser(std::vector<Token> tokens, int nesting)
      : tokens_(std::move(tokens)), nesting_(nesting) {}

  Result<ExprPtr> expression();
  // One expression, or a tuple without brackets. `conditional`: whether `a if b else c` may stand
  // at its top; `ends`: names that end the tuple.
  Result<ExprPtr> tuple(bool conditional, std::initializer_list<std::string_view> ends = {});
  // What may stand left of `=` or `in`; `namespaces`: whether `ns.attribute` may.
  Result<ExprPtr> target(bool namespaces, std::string_view end = {});
  // (a, b=default), with the brackets.
  Status signature(Signature& out);
  // `| filter` chain over `operand`; `inline_start`: the first has no `|`. Null when there is none.
  Result<ExprPtr> filters(ExprPtr operand, bool inline_start);

  const Token& peek(size_t ahead = 0) const;
  Token next();
  bool at(TokenKind kind) const { return peek().kind == kind; }
  bool at_name(std::string_view name) const { return at(TokenKind::kName) && peek().text == name; }
  bool at_operator(std::string_view op) const {
    return at(TokenKind::kOperator) && peek().text == op;
  }
  bool skip_name(std::string_view name);
  bool skip_operator(std::string_view op);
  Result<std::string> name();
  Status expect_operator(std::string_view op);
  Status expect(TokenKind kind, std::string_view what);

  template <typename... A>
  [[nodiscard]] Error fail(fmt::format_string<A...> format, A&&... args) const {
    return at_line(ErrorCode::kCorrupt, fmt::format(format, std::forward<A>(args)...));
  }
  [[nodiscard]] Error at_line(ErrorCode code, std::string_view what) const {
    return make_error(code, "chat template line {}: {}", peek().line, what);
  }
  [[nodiscard]] Error unexpected(std::string_view wanted) const;

  // Counts one open bracket or block while it lives.
  class Nested {
   public:
    explicit Nested(ExpressionParser& parser) : parser_(parser) { ++parser_.open_; }
    ~Nested() { --parser_.open_; }
    Nested(const Nested&) = delete;
    Nested& operator=(const Nested&) = delete;
    Status check() const;

   private:
    ExpressionParser& parser_;
  };
  // Code that may never run: unknown filters and tests there fail when reached, not before.
  class Conditional {
   public:
    explicit Conditional(ExpressionParser& parser) : parser_(parser) { ++parser_.conditional_; }
    ~Conditional() { --parser_.conditional_; }
    Conditional(const Conditional&) = delete;
    Conditional& operator=(const Conditional&) = delete;

   private:
    ExpressionParser& parser_;
  };

 private:
  ExprPtr make(ExprKind kind, int line) const;
  // Sets the height from the children, against the bound.
  Result<ExprPtr> finish(ExprPtr e) const;
  Result<ExprPtr> pair(ExprKind kind, int line, ExprPtr left, ExprPtr right) const;
  Result<ExprPtr> conditional();
  Result<ExprPtr> or_expression();
  Result<ExprPtr> and_expression();
  Result<ExprPtr> not_expression();
  Result<ExprPtr> comparison();
  Result<ExprPtr> sum();
  Result<ExprPtr> concatenation();
  Result<ExprPtr> product();
  Result<ExprPtr> power();
  Result<ExprPtr> unary(bool with_filters);
  Result<ExprPtr> primary();
  Result<ExprPtr> primary_name();
  Result<ExprPtr> bracketed();
  Result<ExprPtr> list();
  Result<ExprPtr> dict();
  Result<ExprPtr> postfix(ExprPtr e);
  Result<ExprPtr> subscript(ExprPtr e);
  Result<ExprPtr> subscribed();
  Result<ExprPtr> call(ExprPtr callee);
  Status call_args(CallArgs& args);
  Status call_arg(CallArgs& args);
  Result<ExprPtr> filters_and_tests(ExprPtr e);
  Result<ExprPtr> filter(ExprPtr operand);
  Result<ExprPtr> test(ExprPtr operand);
  Result<std::string> dotted_name();
  bool tuple_end(std::initializer_list<std::string_view> ends) const;
  // An operator of `ops` at hand, taken.
  bool take(std::initializer_list<std::pair<std::string_view, Op>> ops, Op& out);

  std::vector<Token> tokens_;
  size_t at_ = 0;
  int nesting_;
  int open_ = 0;
  int conditional_ = 0;
};

}  // namespace weir::text::jinja
