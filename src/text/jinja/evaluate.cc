// Expressions.
#include "text/jinja/interpreter.h"
#include "text/jinja/methods.h"

namespace weir::text::jinja {

Result<Value> Interpreter::evaluate(const Expr& e) {
  const Runtime::Deeper deeper(rt_);
  WEIR_TRY(deeper.check());
  WEIR_TRY(rt_.charge(1));
  rt_.set_line(e.line);
  switch (e.kind) {
    case ExprKind::kNone:
      return Value::none();
    case ExprKind::kBool:
      return Value::boolean(e.integer != 0);
    case ExprKind::kInt:
      return Value::integer(e.integer);
    case ExprKind::kFloat:
      return Value::real(e.real);
    case ExprKind::kString:
      return rt_.text(e.text);
    case ExprKind::kName:
      return name(e);
    case ExprKind::kNsRef:
      return rt_.fail("an assignment target where a value belongs");
    case ExprKind::kAttribute:
      return attribute(e);
    case ExprKind::kItem: {
      WEIR_ASSIGN(const Value object, evaluate(*e.children[0]));
      WEIR_ASSIGN(const Value index, evaluate(*e.children[1]));
      rt_.set_line(e.line);
      return get_item(rt_, object, index);
    }
    case ExprKind::kSlice:
      return sliced(e);
    case ExprKind::kCall:
      return call(e);
    case ExprKind::kFilter:
      return filter(e);
    case ExprKind::kTest:
      return test(e);
    case ExprKind::kCaptured:
      return captured_;
    case ExprKind::kNot: {
      WEIR_ASSIGN(const Value v, evaluate(*e.children[0]));
      return Value::boolean(!truthy(v));
    }
    case ExprKind::kNegative: {
      WEIR_ASSIGN(const Value v, evaluate(*e.children[0]));
      return negate(rt_, v);
    }
    case ExprKind::kPositive: {
      WEIR_ASSIGN(const Value v, evaluate(*e.children[0]));
      if (v.is_undefined()) return rt_.undefined_error(v);
      if (!v.is_number()) return rt_.fail("{} has no sign", type_name(v));
      return v.is(Kind::kFloat) ? v : Value::integer(v.as_int());
    }
    case ExprKind::kBinary: {
      WEIR_ASSIGN(const Value left, evaluate(*e.children[0]));
      WEIR_ASSIGN(const Value right, evaluate(*e.children[1]));
      rt_.set_line(e.line);
      return binary(rt_, e.op, left, right);
    }
    case ExprKind::kAnd:
    case ExprKind::kOr: {
      WEIR_ASSIGN(Value left, evaluate(*e.children[0]));
      if (truthy(left) == (e.kind == ExprKind::kOr)) return left;
      return evaluate(*e.children[1]);
    }
    case ExprKind::kCompare:
      return comparison(e);
    case ExprKind::kConcat:
      return concatenation(e);
    case ExprKind::kCond:
      return conditional(e);
    case ExprKind::kList:
      return list(e, Kind::kList);
    case ExprKind::kTuple:
      return list(e, Kind::kTuple);
    case ExprKind::kDict:
      return dict(e);
  }
  return rt_.fail("an expression of an unknown kind");
}

Result<Value> Interpreter::name(const Expr& e) {
  const Value* found = scope_->find(e.text);
  if (found != nullptr) return *found;
  return rt_.undefined(fmt::format("'{}' is undefined", e.text));
}

Result<Value> Interpreter::attribute(const Expr& e) {
  WEIR_ASSIGN(const Value object, evaluate(*e.children[0]));
  rt_.set_line(e.line);
  if (object.is(Kind::kLoop)) return loop_attribute(object.as<Loop>(), e.text);
  return get_attribute(rt_, object, e.text);
}

Result<Value> Interpreter::sliced(const Expr& e) {
  WEIR_ASSIGN(const Value object, evaluate(*e.children[0]));
  Value bounds[3] = {Value::none(), Value::none(), Value::none()};
  for (size_t i = 0; i < 3; ++i) {
    if (!e.children[i + 1]) continue;
    WEIR_ASSIGN(bounds[i], evaluate(*e.children[i + 1]));
  }
  return slice(rt_, object, bounds[0], bounds[1], bounds[2]);
}

Result<Value> Interpreter::comparison(const Expr& e) {
  WEIR_ASSIGN(Value left, evaluate(*e.children[0]));
  Value holds = Value::boolean(true);
  for (size_t i = 0; i < e.ops.size(); ++i) {
    WEIR_ASSIGN(Value right, evaluate(*e.children[i + 1]));
    rt_.set_line(e.line);
    WEIR_ASSIGN(holds, binary(rt_, e.ops[i], left, right));
    if (!truthy(holds)) return holds;
    left = std::move(right);
  }
  return holds;
}

Result<Value> Interpreter::concatenation(const Expr& e) {
  Text out;
  for (const ExprPtr& child : e.children) {
    WEIR_ASSIGN(const Value v, evaluate(*child));
    WEIR_ASSIGN(const Text text, to_text(rt_, v));
    WEIR_TRY(rt_.check_text(out.size() + text.size()));
    out.append(text);
  }
  return rt_.text(std::move(out));
}

Result<Value> Interpreter::conditional(const Expr& e) {
  WEIR_ASSIGN(const Value condition, evaluate(*e.children[1]));
  if (truthy(condition)) return evaluate(*e.children[0]);
  if (e.children[2]) return evaluate(*e.children[2]);
  return rt_.undefined("the inline if-expression evaluated to false and no else was given");
}

Result<Value> Interpreter::list(const Expr& e, Kind kind) {
  std::vector<Value> items;
  items.reserve(e.children.size());
  for (const ExprPtr& child : e.children) {
    WEIR_ASSIGN(Value v, evaluate(*child));
    items.push_back(std::move(v));
  }
  return rt_.list(std::move(items), kind);
}

Result<Value> Interpreter::dict(const Expr& e) {
  std::vector<std::pair<Value, Value>> entries;
  for (size_t i = 0; i < e.children.size(); i += 2) {
    WEIR_ASSIGN(Value key, evaluate(*e.children[i]));
    WEIR_ASSIGN(Value value, evaluate(*e.children[i + 1]));
    WEIR_TRY(set_key(rt_, entries, std::move(key), std::move(value)));
  }
  return rt_.dict(std::move(entries));
}

Status Interpreter::arguments(const CallArgs& given, Args& out) {
  for (const ExprPtr& e : given.positional) {
    WEIR_ASSIGN(Value v, evaluate(*e));
    out.positional.push_back(std::move(v));
  }
  for (const auto& [key, e] : given.named) {
    WEIR_ASSIGN(Value v, evaluate(*e));
    out.named.emplace_back(key, std::move(v));
  }
  if (given.star) {
    WEIR_ASSIGN(const Value over, evaluate(*given.star));
    WEIR_ASSIGN(const std::vector<Value> items, iterate(rt_, over));
    out.positional.insert(out.positional.end(), items.begin(), items.end());
  }
  if (given.double_star) {
    WEIR_ASSIGN(const Value over, evaluate(*given.double_star));
    if (!over.is_dict()) return rt_.fail("arguments after ** must be a dict");
    for (const auto& [key, value] : over.dict().entries) {
      if (!key.is_string()) return rt_.fail("argument names must be strings");
      out.named.emplace_back(key.bytes(), value);
    }
  }
  return {};
}

Result<Value> Interpreter::filter(const Expr& e) {
  Args args;
  WEIR_ASSIGN(Value operand, evaluate(*e.children[0]));
  args.positional.push_back(std::move(operand));
  WEIR_TRY(arguments(e.args, args));
  rt_.set_line(e.line);
  return apply_filter(rt_, e.text, args);
}

Result<Value> Interpreter::test(const Expr& e) {
  Args args;
  WEIR_ASSIGN(Value operand, evaluate(*e.children[0]));
  args.positional.push_back(std::move(operand));
  WEIR_TRY(arguments(e.args, args));
  rt_.set_line(e.line);
  WEIR_ASSIGN(const bool holds, apply_test(rt_, e.text, args));
  return Value::boolean(holds);
}

Result<Value> Interpreter::call(const Expr& e, const Value* caller) {
  const Expr& callee = *e.children[0];
  if (callee.kind == ExprKind::kAttribute) {  // a method, without making a value of it
    WEIR_ASSIGN(const Value object, evaluate(*callee.children[0]));
    Method method;
    method.self = object;
    method.name = callee.text;
    Args args;
    if (object.is(Kind::kLoop) && (callee.text == "cycle" || callee.text == "changed")) {
      WEIR_TRY(arguments(e.args, args));
      return loop_method(object.as<Loop>(), callee.text, args);
    }
    if (has_method(object.kind(), callee.text)) {
      WEIR_TRY(arguments(e.args, args));
      rt_.set_line(e.line);
      return call_method(rt_, method, args);
    }
    rt_.set_line(e.line);
    WEIR_ASSIGN(const Value value, object.is(Kind::kLoop)
                                       ? loop_attribute(object.as<Loop>(), callee.text)
                                       : get_attribute(rt_, object, callee.text));
    WEIR_TRY(arguments(e.args, args));
    if (caller != nullptr) args.named.emplace_back("caller", *caller);
    rt_.set_line(e.line);
    return call_value(value, args);
  }
  WEIR_ASSIGN(const Value value, evaluate(callee));
  Args args;
  WEIR_TRY(arguments(e.args, args));
  if (caller != nullptr) args.named.emplace_back("caller", *caller);
  rt_.set_line(e.line);
  return call_value(value, args);
}

}  // namespace weir::text::jinja
