#include "text/jinja/interpreter.h"

namespace weir::text::jinja {

const Value* Scope::find(std::string_view name) const {
  for (const Scope* s = this; s != nullptr; s = s->parent) {
    for (const auto& [key, value] : s->variables) {
      if (key == name) return &value;
    }
  }
  return nullptr;
}

void Scope::set(std::string_view name, Value value) {
  for (auto& [key, held] : variables) {
    if (key != name) continue;
    held = std::move(value);
    return;
  }
  variables.emplace_back(std::string(name), std::move(value));
}

Scope* Interpreter::open_scope(Scope* parent) {
  Scope* scope = rt_.make<Scope>();
  scope->parent = parent;
  return scope;
}

Result<Text> Interpreter::run(const Body& body_statements) {
  const Inside inside(*this, open_scope(scope_));
  WEIR_ASSIGN([[maybe_unused]] const Flow flow, body(body_statements));
  return std::move(out_);
}

Status Interpreter::write(const Text& text) {
  WEIR_TRY(rt_.check_text(out_.size() + text.size()));
  WEIR_TRY(rt_.charge_text(text.size()));
  out_.append(text);
  return {};
}

Result<Interpreter::Flow> Interpreter::body(const Body& body) {
  for (const Stmt& s : body) {
    WEIR_ASSIGN(const Flow flow, statement(s));
    if (flow != Flow::kNormal) return flow;
  }
  return Flow::kNormal;
}

Result<Interpreter::Flow> Interpreter::statement(const Stmt& s) {
  const Runtime::Deeper deeper(rt_);
  WEIR_TRY(deeper.check());
  WEIR_TRY(rt_.charge(1));
  rt_.set_line(s.line);
  Status status;
  switch (s.kind) {
    case StmtKind::kData:
      status = write(Text(s.text));
      break;
    case StmtKind::kOutput:
      status = output(s);
      break;
    case StmtKind::kIf:
      return if_statement(s);
    case StmtKind::kFor:
      status = for_statement(s);
      break;
    case StmtKind::kSet: {
      WEIR_ASSIGN(const Value value, evaluate(*s.expr));
      status = assign(*s.target, value);
      break;
    }
    case StmtKind::kSetBlock:
      status = set_block(s);
      break;
    case StmtKind::kMacro:
      scope_->set(s.macro->name, make_macro(*s.macro, s.bodies[0]));
      break;
    case StmtKind::kCallBlock:
      status = call_block(s);
      break;
    case StmtKind::kFilterBlock:
      status = filter_block(s);
      break;
    case StmtKind::kWith:
      return with_statement(s);
    case StmtKind::kScope:
    case StmtKind::kBlock: {
      const Inside inside(*this, open_scope(scope_));
      return body(s.bodies[0]);
    }
    case StmtKind::kBreak:
      return Flow::kBreak;
    case StmtKind::kContinue:
      return Flow::kContinue;
  }
  if (!status.ok()) return std::move(status).error();
  return Flow::kNormal;
}

Status Interpreter::output(const Stmt& s) {
  WEIR_ASSIGN(const Value value, evaluate(*s.expr));
  WEIR_ASSIGN(const Text text, to_text(rt_, value));
  return write(text);
}

Result<Interpreter::Flow> Interpreter::if_statement(const Stmt& s) {
  for (size_t i = 0; i < s.exprs.size(); ++i) {
    WEIR_ASSIGN(const Value condition, evaluate(*s.exprs[i]));
    if (truthy(condition)) return body(s.bodies[i]);
  }
  if (s.bodies.size() > s.exprs.size()) return body(s.bodies.back());
  return Flow::kNormal;
}

Status Interpreter::for_statement(const Stmt& s) {
  WEIR_ASSIGN(const Value over, evaluate(*s.expr));
  WEIR_ASSIGN(std::vector<Value> items, iterate(rt_, over));
  return loop_over(s, std::move(items), scope_, 0);
}

Result<std::optional<Value>> Interpreter::pull(Loop& loop) {
  while (loop.at < loop.items.size()) {
    Value item = loop.items[loop.at++];
    if (!loop.stmt->test || loop.tested) return std::optional(std::move(item));
    const Inside inside(*this, open_scope(loop.scope));
    WEIR_TRY(assign(*loop.stmt->target, item));
    WEIR_ASSIGN(const Value holds, evaluate(*loop.stmt->test));
    if (truthy(holds)) return std::optional(std::move(item));
  }
  return std::optional<Value>();
}

Status Interpreter::peek(Loop& loop) {
  if (loop.after) return {};
  WEIR_ASSIGN(loop.after, pull(loop));
  return {};
}

Status Interpreter::loop_over(const Stmt& s, std::vector<Value> items, Scope* around,
                              int64_t depth0) {
  const Runtime::Deeper deeper(rt_);
  WEIR_TRY(deeper.check());
  Loop* loop = rt_.make<Loop>();
  loop->items = std::move(items);
  loop->depth0 = depth0;
  loop->stmt = &s;
  loop->scope = around;
  Scope* scope = nullptr;
  while (true) {
    std::optional<Value> item = std::exchange(loop->after, std::nullopt);
    if (!item) {
      WEIR_ASSIGN(item, pull(*loop));
    }
    if (!item) break;
    ++loop->index0;
    loop->before = std::exchange(loop->current, *item);
    if (scope == nullptr || scope->captured) scope = open_scope(around);
    scope->variables.clear();
    const Inside inside(*this, scope);
    scope->set("loop", Value::object(Kind::kLoop, loop));
    WEIR_TRY(assign(*s.target, *item));
    WEIR_ASSIGN(const Flow flow, body(s.bodies[0]));
    if (flow == Flow::kBreak) break;
  }
  if (loop->index0 >= 0 || s.bodies.size() < 2) return {};
  const Inside inside(*this, open_scope(around));
  WEIR_ASSIGN([[maybe_unused]] const Flow flow, body(s.bodies[1]));
  return {};
}

Result<Value> Interpreter::capture(const Body& statements) {
  Text outer = std::exchange(out_, Text());
  Result<Flow> flow = Flow::kNormal;
  {
    const Inside inside(*this, open_scope(scope_));
    flow = body(statements);
  }
  Text written = std::exchange(out_, std::move(outer));
  if (!flow.ok()) return std::move(flow).error();
  return rt_.text(std::move(written));
}

Status Interpreter::set_block(const Stmt& s) {
  WEIR_ASSIGN(captured_, capture(s.bodies[0]));
  WEIR_ASSIGN(const Value value, evaluate(*s.expr));
  return assign(*s.target, value);
}

Status Interpreter::filter_block(const Stmt& s) {
  WEIR_ASSIGN(captured_, capture(s.bodies[0]));
  WEIR_ASSIGN(const Value value, evaluate(*s.expr));
  WEIR_ASSIGN(const Text text, to_text(rt_, value));
  return write(text);
}

Value Interpreter::make_macro(const Signature& signature, const Body& body) {
  auto* macro = rt_.make<Macro>();
  macro->signature = &signature;
  macro->body = &body;
  macro->scope = scope_;
  for (Scope* s = scope_; s != nullptr && !s->captured; s = s->parent) s->captured = true;
  return Value::object(Kind::kMacro, macro);
}

Status Interpreter::call_block(const Stmt& s) {
  const Value caller = make_macro(*s.macro, s.bodies[0]);
  WEIR_ASSIGN(const Value value, call(*s.expr, &caller));
  WEIR_ASSIGN(const Text text, to_text(rt_, value));
  return write(text);
}

Result<Interpreter::Flow> Interpreter::with_statement(const Stmt& s) {
  Scope* scope = open_scope(scope_);
  for (size_t i = 0; i < s.exprs.size(); i += 2) {
    WEIR_ASSIGN(const Value value, evaluate(*s.exprs[i + 1]));
    const Inside inside(*this, scope);
    WEIR_TRY(assign(*s.exprs[i], value));
  }
  const Inside inside(*this, scope);
  return body(s.bodies[0]);
}

Status Interpreter::assign(const Expr& target, const Value& value) {
  if (target.kind == ExprKind::kTuple) return unpack(target, value);
  if (target.kind == ExprKind::kNsRef) return assign_namespace(target, value);
  scope_->set(target.text, value);
  return {};
}

Status Interpreter::assign_namespace(const Expr& target, const Value& value) {
  const Value* held = scope_->find(target.text);
  if (held == nullptr) return rt_.fail("'{}' is undefined", target.text);
  if (!held->is(Kind::kNamespace)) {
    return rt_.fail("cannot assign attribute on non-namespace object '{}'", target.text);
  }
  auto& attributes = held->as<Namespace>().attributes;
  for (auto& [key, old] : attributes) {
    if (key != target.attribute) continue;
    old = value;
    return {};
  }
  attributes.emplace_back(target.attribute, value);
  return {};
}

Status Interpreter::unpack(const Expr& target, const Value& value) {
  WEIR_ASSIGN(const std::vector<Value> items, iterate(rt_, value));
  if (items.size() != target.children.size()) {
    return rt_.fail("{} values to unpack, {} expected", items.size(), target.children.size());
  }
  for (size_t i = 0; i < items.size(); ++i) WEIR_TRY(assign(*target.children[i], items[i]));
  return {};
}

}  // namespace weir::text::jinja
