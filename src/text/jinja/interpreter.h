// Runs a template's syntax tree.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "text/jinja/ast.h"
#include "text/jinja/filters.h"
#include "text/jinja/ops.h"
#include "text/jinja/runtime.h"

namespace weir::text::jinja {

// Variables, and the scope around it. In the arena, because macros keep the scopes they were
// defined in.
struct Scope final : Object {
  Scope* parent = nullptr;
  std::vector<std::pair<std::string, Value>> variables;
  bool captured = false;  // a macro holds it

  const Value* find(std::string_view name) const;
  void set(std::string_view name, Value value);
};

struct Macro final : Object {
  const Signature* signature = nullptr;
  const Body* body = nullptr;
  Scope* scope = nullptr;
};

// A running loop: what `loop` is.
struct Loop final : Object {
  std::vector<Value> items;
  size_t at = 0;  // the next item
  int64_t index0 = -1;
  int64_t depth0 = 0;
  Value current;
  Value before;
  std::optional<Value> after;  // taken early, for `last` and `nextitem`
  std::optional<Value> changed;
  bool tested = false;  // all of items passed the loop's test
  const Stmt* stmt = nullptr;
  Scope* scope = nullptr;  // around the loop
};

// One rendering. One thread.
class Interpreter {
 public:
  // globals: what the template sees from outside.
  Interpreter(Runtime& rt, Scope* globals) : rt_(rt), scope_(globals) {}

  Result<Text> run(const Body& body);

 private:
  enum class Flow : uint8_t { kNormal, kBreak, kContinue };

  // ---- statements (interpreter.cc)
  Result<Flow> body(const Body& body);
  Result<Flow> statement(const Stmt& s);
  Status output(const Stmt& s);
  Result<Flow> if_statement(const Stmt& s);
  Status for_statement(const Stmt& s);
  Status loop_over(const Stmt& s, std::vector<Value> items, Scope* around, int64_t depth0);
  Status set_block(const Stmt& s);
  Status filter_block(const Stmt& s);
  Status call_block(const Stmt& s);
  Result<Flow> with_statement(const Stmt& s);
  Value make_macro(const Signature& signature, const Body& body);
  Status assign(const Expr& target, const Value& value);
  Status assign_namespace(const Expr& target, const Value& value);
  Status unpack(const Expr& target, const Value& value);
  // The text that a body writes, in a scope of its own.
  Result<Value> capture(const Body& body);
  Status write(const Text& text);
  // The next item that passes the loop's test, or nothing.
  Result<std::optional<Value>> pull(Loop& loop);
  Status peek(Loop& loop);

  // ---- expressions (evaluate.cc)
  Result<Value> evaluate(const Expr& e);
  Result<Value> name(const Expr& e);
  Result<Value> attribute(const Expr& e);
  Result<Value> sliced(const Expr& e);
  Result<Value> comparison(const Expr& e);
  Result<Value> concatenation(const Expr& e);
  Result<Value> conditional(const Expr& e);
  Result<Value> list(const Expr& e, Kind kind);
  Result<Value> dict(const Expr& e);
  Result<Value> filter(const Expr& e);
  Result<Value> test(const Expr& e);
  Result<Value> call(const Expr& e, const Value* caller = nullptr);
  Status arguments(const CallArgs& given, Args& out);

  // ---- calls (calls.cc)
  Result<Value> call_value(const Value& callee, Args& args);
  Result<Value> call_macro(const Macro& macro, Args& args);
  Status bind(const Macro& macro, Args& args, Scope* scope);
  Result<Value> call_builtin(Builtin which, const Args& args);
  Result<Value> call_loop(Loop& loop, const Args& args);
  Result<Value> range(const Args& args);
  Result<Value> loop_attribute(Loop& loop, std::string_view name);
  Result<Value> loop_method(Loop& loop, std::string_view name, const Args& args);
  Result<int64_t> loop_length(Loop& loop);
  Result<Value> strftime_now(const Args& args);

  Scope* open_scope(Scope* parent);

  // Makes another scope the current one while it lives.
  class Inside {
   public:
    Inside(Interpreter& i, Scope* scope) : i_(i), outer_(std::exchange(i.scope_, scope)) {}
    ~Inside() { i_.scope_ = outer_; }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;

   private:
    Interpreter& i_;
    Scope* outer_;
  };

  Runtime& rt_;
  Scope* scope_;
  Text out_;        // of the innermost capture
  Value captured_;  // what kCaptured gives
};

}  // namespace weir::text::jinja
