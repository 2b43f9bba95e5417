#include "text/jinja/ops.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "text/jinja/printf.h"
#include "text/jinja/unicode.h"

namespace weir::text::jinja {
namespace {

Error bad_operands(Runtime& rt, Op op, const Value& a, const Value& b) {
  return rt.fail("unsupported operand types for {}: '{}' and '{}'", op_text(op), type_name(a),
                 type_name(b));
}

Error overflow(Runtime& rt) { return rt.fail("an integer exceeds 64 bits"); }

Result<Value> integer_power(Runtime& rt, int64_t base, int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) return rt.fail("0 cannot be raised to a negative power");
    return Value::real(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  int64_t result = 1;
  while (exponent > 0) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) return overflow(rt);
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) return overflow(rt);
  }
  return Value::integer(result);
}

// Python's // and %: the remainder has the divisor's sign.
Result<Value> integer_divide(Runtime& rt, Op op, int64_t a, int64_t b) {
  if (b == 0) return rt.fail("division by zero");
  if (b == -1) {
    if (op == Op::kMod) return Value::integer(0);
    if (a == std::numeric_limits<int64_t>::min()) return overflow(rt);
    return Value::integer(-a);
  }
  int64_t quotient = a / b;
  int64_t remainder = a % b;
  if (remainder != 0 && (remainder < 0) != (b < 0)) {
    --quotient;
    remainder += b;
  }
  return Value::integer(op == Op::kMod ? remainder : quotient);
}

Result<Value> integer_arithmetic(Runtime& rt, Op op, int64_t a, int64_t b) {
  int64_t result = 0;
  bool bad = false;
  switch (op) {
    case Op::kAdd:
      bad = __builtin_add_overflow(a, b, &result);
      break;
    case Op::kSub:
      bad = __builtin_sub_overflow(a, b, &result);
      break;
    case Op::kMul:
      bad = __builtin_mul_overflow(a, b, &result);
      break;
    case Op::kDiv:
      if (b == 0) return rt.fail("division by zero");
      return Value::real(static_cast<double>(a) / static_cast<double>(b));
    case Op::kPow:
      return integer_power(rt, a, b);
    default:
      return integer_divide(rt, op, a, b);
  }
  if (bad) return overflow(rt);
  return Value::integer(result);
}

Result<Value> real_arithmetic(Runtime& rt, Op op, double a, double b) {
  if (b == 0 && (op == Op::kDiv || op == Op::kFloorDiv || op == Op::kMod)) {
    return rt.fail("division by zero");
  }
  switch (op) {
    case Op::kAdd:
      return Value::real(a + b);
    case Op::kSub:
      return Value::real(a - b);
    case Op::kMul:
      return Value::real(a * b);
    case Op::kDiv:
      return Value::real(a / b);
    case Op::kPow:
      return Value::real(std::pow(a, b));
    case Op::kFloorDiv:
      return Value::real(std::floor(a / b));
    default: {
      double remainder = std::fmod(a, b);
      if (remainder != 0 && (remainder < 0) != (b < 0)) remainder += b;
      return Value::real(remainder);
    }
  }
}

Result<Value> add_strings(Runtime& rt, const Value& a, const Value& b) {
  const bool markup = a.markup() || b.markup();
  WEIR_TRY(rt.check_text(a.text().size() + b.text().size()));
  Text sum = markup && !a.markup() ? escape_html(a.text()) : a.text();
  sum.append(markup && !b.markup() ? escape_html(b.text()) : b.text());
  return rt.text(std::move(sum), markup);
}

Result<Value> repeat(Runtime& rt, const Value& what, int64_t times) {
  const auto count = static_cast<size_t>(std::max<int64_t>(times, 0));
  const size_t unit = what.is_string() ? what.text().size() : what.items().size();
  if (unit == 0 || count == 0) {
    return what.is_string() ? rt.text(Text(), what.markup()) : rt.list({}, what.kind());
  }
  size_t total = 0;
  if (__builtin_mul_overflow(unit, count, &total)) {
    total = std::numeric_limits<size_t>::max();
  }
  if (what.is_string()) {
    WEIR_TRY(rt.check_text(total));
    WEIR_TRY(rt.charge_items(count));
    Text out;
    for (size_t i = 0; i < count; ++i) out.append(what.text());
    return rt.text(std::move(out), what.markup());
  }
  WEIR_TRY(rt.charge_items(total));
  std::vector<Value> items;
  for (size_t i = 0; i < count; ++i) {
    items.insert(items.end(), what.items().begin(), what.items().end());
  }
  return rt.list(std::move(items), what.kind());
}

bool repeatable(const Value& v) { return v.is_string() || v.is(Kind::kList) || v.is(Kind::kTuple); }

Result<Value> arithmetic(Runtime& rt, Op op, const Value& a, const Value& b) {
  if (a.is_undefined()) return rt.undefined_error(a);
  if (op == Op::kMod && a.is_string()) return printf_format(rt, a, b);
  if (b.is_undefined()) return rt.undefined_error(b);
  if (a.is_integral() && b.is_integral()) {
    return integer_arithmetic(rt, op, a.as_int(), b.as_int());
  }
  if (a.is_number() && b.is_number()) return real_arithmetic(rt, op, a.as_real(), b.as_real());
  if (op == Op::kAdd && a.is_string() && b.is_string()) return add_strings(rt, a, b);
  if (op == Op::kAdd && a.kind() == b.kind() && repeatable(a)) {
    std::vector<Value> items = a.items();
    items.insert(items.end(), b.items().begin(), b.items().end());
    return rt.list(std::move(items), a.kind());
  }
  if (op == Op::kMul && repeatable(a) && b.is_integral()) return repeat(rt, a, b.as_int());
  if (op == Op::kMul && repeatable(b) && a.is_integral()) return repeat(rt, b, a.as_int());
  return bad_operands(rt, op, a, b);
}

Result<bool> equal_items(Runtime& rt, const std::vector<Value>& a, const std::vector<Value>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    WEIR_ASSIGN(const bool same, equals(rt, a[i], b[i]));
    if (!same) return false;
  }
  return true;
}

Result<bool> equal_dicts(Runtime& rt, const Dict& a, const Dict& b) {
  if (a.entries.size() != b.entries.size()) return false;
  for (const auto& [key, value] : a.entries) {
    WEIR_ASSIGN(const Value* other, find_key(rt, b, key));
    if (other == nullptr) return false;
    WEIR_ASSIGN(const bool same, equals(rt, value, *other));
    if (!same) return false;
  }
  return true;
}

Result<bool> compare(Runtime& rt, Op op, const Value& a, const Value& b) {
  switch (op) {
    case Op::kEq:
      return equals(rt, a, b);
    case Op::kNe: {
      WEIR_ASSIGN(const bool same, equals(rt, a, b));
      return !same;
    }
    case Op::kLt:
      return less(rt, a, b);
    case Op::kGt:
      return less(rt, b, a);
    case Op::kIn:
      return contains(rt, a, b);
    case Op::kNotIn: {
      WEIR_ASSIGN(const bool in, contains(rt, a, b));
      return !in;
    }
    default: {  // <= and >=: not the negation, for NaN
      WEIR_ASSIGN(const bool before, op == Op::kLe ? less(rt, a, b) : less(rt, b, a));
      if (before) return true;
      return equals(rt, a, b);
    }
  }
}

}  // namespace

std::string_view op_text(Op op) {
  constexpr std::string_view kTexts[] = {
      "+", "-", "*", "/", "//", "%", "**", "==", "!=", "<", "<=", ">", ">=", "in", "not in"};
  return kTexts[static_cast<size_t>(op)];
}

bool truthy(const Value& v) {
  switch (v.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
    case Kind::kInt:
      return v.as_int() != 0;
    case Kind::kFloat:
      return v.as_real() != 0;
    case Kind::kString:
      return !v.text().empty();
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kView:
    case Kind::kRange:
      return !v.items().empty();
    case Kind::kDict:
      return !v.dict().entries.empty();
    default:
      return true;
  }
}

std::string_view type_name(const Value& v) {
  constexpr std::string_view kNames[] = {
      "Undefined", "NoneType",  "bool",        "int",    "float", "str",       "list",
      "tuple",     "dict_view", "generator",   "range",  "dict",  "Namespace", "Macro",
      "function",  "method",    "LoopContext", "Cycler", "Joiner"};
  return v.is_string() && v.markup() ? "Markup" : kNames[static_cast<size_t>(v.kind())];
}

bool is_markup(const Value& v) { return v.is_string() && v.markup(); }

Result<bool> equals(Runtime& rt, const Value& a, const Value& b) {
  const Runtime::Deeper deeper(rt);
  WEIR_TRY(deeper.check());
  WEIR_TRY(rt.charge(1));
  if (a.is_integral() && b.is_integral()) return a.as_int() == b.as_int();
  if (a.is_number() && b.is_number()) return a.as_real() == b.as_real();
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return true;
    case Kind::kString:
      WEIR_TRY(rt.charge_text(std::min(a.bytes().size(), b.bytes().size())));
      return a.bytes() == b.bytes();
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kRange:
      return equal_items(rt, a.items(), b.items());
    case Kind::kDict:
      return equal_dicts(rt, a.dict(), b.dict());
    case Kind::kBuiltin:
      return a.as_builtin() == b.as_builtin();
    default:
      return a.identity() == b.identity();
  }
}

Result<bool> less(Runtime& rt, const Value& a, const Value& b) {
  const Runtime::Deeper deeper(rt);
  WEIR_TRY(deeper.check());
  WEIR_TRY(rt.charge(1));
  if (a.is_undefined()) return rt.undefined_error(a);
  if (b.is_undefined()) return rt.undefined_error(b);
  if (a.is_integral() && b.is_integral()) return a.as_int() < b.as_int();
  if (a.is_number() && b.is_number()) return a.as_real() < b.as_real();
  // UTF-8 sorts by code point, as Python does.
  if (a.is_string() && b.is_string()) return a.bytes() < b.bytes();
  if (a.kind() == b.kind() && (a.is(Kind::kList) || a.is(Kind::kTuple))) {
    const std::vector<Value>& x = a.items();
    const std::vector<Value>& y = b.items();
    for (size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
      WEIR_ASSIGN(const bool same, equals(rt, x[i], y[i]));
      if (!same) return less(rt, x[i], y[i]);
    }
    return x.size() < y.size();
  }
  return bad_operands(rt, Op::kLt, a, b);
}

Result<bool> contains(Runtime& rt, const Value& needle, const Value& haystack) {
  if (haystack.is_undefined()) return false;
  if (haystack.is_string()) {
    if (needle.is_undefined()) return rt.undefined_error(needle);
    if (!needle.is_string()) {
      return rt.fail("'in' on a string needs a string to its left, not {}", type_name(needle));
    }
    WEIR_TRY(rt.charge_text(haystack.bytes().size()));
    return haystack.bytes().find(needle.bytes()) != std::string::npos;
  }
  if (haystack.is_dict()) {
    WEIR_ASSIGN(const Value* found, find_key(rt, haystack.dict(), needle));
    return found != nullptr;
  }
  if (!haystack.holds_list()) return rt.fail("{} cannot be searched by 'in'", type_name(haystack));
  WEIR_ASSIGN(const std::vector<Value> items, iterate(rt, haystack));
  for (const Value& item : items) {
    WEIR_ASSIGN(const bool same, equals(rt, item, needle));
    if (same) return true;
  }
  return false;
}

Result<Value> binary(Runtime& rt, Op op, const Value& a, const Value& b) {
  if (op < Op::kEq) return arithmetic(rt, op, a, b);
  WEIR_ASSIGN(const bool holds, compare(rt, op, a, b));
  return Value::boolean(holds);
}

Result<Value> negate(Runtime& rt, const Value& v) {
  if (v.is_undefined()) return rt.undefined_error(v);
  if (v.is(Kind::kFloat)) return Value::real(-v.as_real());
  if (!v.is_integral()) return rt.fail("{} has no negative", type_name(v));
  if (v.as_int() == std::numeric_limits<int64_t>::min()) return overflow(rt);
  return Value::integer(-v.as_int());
}

}  // namespace weir::text::jinja
