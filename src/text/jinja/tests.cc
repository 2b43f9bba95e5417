// Jinja's tests: what stands after `is`.
#include <algorithm>

#include "text/jinja/filters.h"
#include "text/jinja/names.h"
#include "text/jinja/ops.h"
#include "text/jinja/unicode.h"
#include "text/utf8.h"

namespace weir::text::jinja {
namespace {

struct Call {
  Runtime& rt;
  const Args& args;
  std::string_view name;

  const Value& operand() const { return args.positional[0]; }
  // The one argument.
  Result<Value> other() const {
    Arguments a(rt, args, name, 1);
    WEIR_TRY(a.accept({"other"}));
    return a.required(0, "other");
  }
};

template <Kind K>
Result<bool> is_kind(const Call& c) {
  return c.operand().is(K);
}

Result<bool> defined(const Call& c) { return !c.operand().is_undefined(); }
Result<bool> string(const Call& c) { return c.operand().is_string(); }
Result<bool> number(const Call& c) { return c.operand().is_number(); }
Result<bool> is_true(const Call& c) { return c.operand().is(Kind::kBool) && c.operand().as_bool(); }
Result<bool> is_false(const Call& c) {
  return c.operand().is(Kind::kBool) && !c.operand().as_bool();
}
Result<bool> sequence(const Call& c) {
  const Value& v = c.operand();
  return v.is_string() || v.is_dict() || v.is_indexed() || v.is_undefined();
}
Result<bool> iterable(const Call& c) {
  const Value& v = c.operand();
  return v.is_string() || v.is_dict() || v.holds_list() || v.is_undefined() || v.is(Kind::kLoop);
}
Result<bool> callable(const Call& c) {
  const Kind k = c.operand().kind();
  return k == Kind::kMacro || k == Kind::kBuiltin || k == Kind::kMethod || k == Kind::kLoop ||
         k == Kind::kJoiner;
}
Result<bool> escaped(const Call& c) { return is_markup(c.operand()); }

Result<int64_t> integer_operand(const Call& c) {
  const Value& v = c.operand();
  if (v.is_integral()) return v.as_int();
  if (v.is_undefined()) return c.rt.undefined_error(v);
  return c.rt.fail("the test '{}' needs an integer, not {}", c.name, type_name(v));
}
Result<bool> odd(const Call& c) {
  WEIR_ASSIGN(const int64_t i, integer_operand(c));
  return i % 2 != 0;
}
Result<bool> even(const Call& c) {
  WEIR_ASSIGN(const int64_t i, integer_operand(c));
  return i % 2 == 0;
}
Result<bool> divisibleby(const Call& c) {
  WEIR_ASSIGN(const int64_t i, integer_operand(c));
  WEIR_ASSIGN(const Value by, c.other());
  if (!by.is_integral() || by.as_int() == 0)
    return c.rt.fail("divisibleby() needs an integer but 0");
  return by.as_int() == -1 || i % by.as_int() == 0;
}

// islower, isupper.
Result<bool> all_of_case(const Call& c) {
  WEIR_ASSIGN(const Text text, to_text(c.rt, c.operand()));
  bool any = false;
  for (size_t at = 0; at < text.size();) {
    const Utf8Char u = decode_utf8(text.bytes(), at);
    if (u.valid && (c.name == "lower" ? is_upper(u.codepoint) : is_lower(u.codepoint)))
      return false;
    any |= u.valid && (is_upper(u.codepoint) || is_lower(u.codepoint));
    at += u.length;
  }
  return any;
}

Result<bool> sameas(const Call& c) {
  WEIR_ASSIGN(const Value other, c.other());
  const Value& v = c.operand();
  if (v.kind() != other.kind()) return false;
  if (v.is_string()) return v.string_ptr() == other.string_ptr();
  if (v.is(Kind::kFloat)) return v.as_real() == other.as_real();
  if (v.is_integral() || v.is(Kind::kBuiltin)) return v.as_int() == other.as_int();
  return v.is(Kind::kNone) || v.is_undefined() || v.identity() == other.identity();
}

Result<bool> in(const Call& c) {
  WEIR_ASSIGN(const Value other, c.other());
  return contains(c.rt, c.operand(), other);
}

template <Op O>
Result<bool> comparison(const Call& c) {
  WEIR_ASSIGN(const Value other, c.other());
  WEIR_ASSIGN(const Value holds, binary(c.rt, O, c.operand(), other));
  return holds.as_bool();
}

Result<bool> known_filter(const Call& c) {
  return c.operand().is_string() && is_filter(c.operand().bytes());
}
Result<bool> known_test(const Call& c) {
  return c.operand().is_string() && is_test(c.operand().bytes());
}
Result<bool> undefined(const Call& c) { return c.operand().is_undefined(); }

struct Entry {
  std::string_view name;
  Result<bool> (*test)(const Call&);
};

constexpr Entry kTests[] = {{"!=", comparison<Op::kNe>},
                            {"<", comparison<Op::kLt>},
                            {"<=", comparison<Op::kLe>},
                            {"==", comparison<Op::kEq>},
                            {">", comparison<Op::kGt>},
                            {">=", comparison<Op::kGe>},
                            {"boolean", is_kind<Kind::kBool>},
                            {"callable", callable},
                            {"defined", defined},
                            {"divisibleby", divisibleby},
                            {"eq", comparison<Op::kEq>},
                            {"equalto", comparison<Op::kEq>},
                            {"escaped", escaped},
                            {"even", even},
                            {"false", is_false},
                            {"filter", known_filter},
                            {"float", is_kind<Kind::kFloat>},
                            {"ge", comparison<Op::kGe>},
                            {"greaterthan", comparison<Op::kGt>},
                            {"gt", comparison<Op::kGt>},
                            {"in", in},
                            {"integer", is_kind<Kind::kInt>},
                            {"iterable", iterable},
                            {"le", comparison<Op::kLe>},
                            {"lessthan", comparison<Op::kLt>},
                            {"lower", all_of_case},
                            {"lt", comparison<Op::kLt>},
                            {"mapping", is_kind<Kind::kDict>},
                            {"ne", comparison<Op::kNe>},
                            {"none", is_kind<Kind::kNone>},
                            {"number", number},
                            {"odd", odd},
                            {"sameas", sameas},
                            {"sequence", sequence},
                            {"string", string},
                            {"test", known_test},
                            {"true", is_true},
                            {"undefined", undefined},
                            {"upper", all_of_case}};

const Entry* find_test(std::string_view name) {
  const auto* at = std::find_if(std::begin(kTests), std::end(kTests),
                                [&](const Entry& e) { return e.name == name; });
  return at == std::end(kTests) ? nullptr : at;
}

}  // namespace

bool is_test(std::string_view name) { return find_test(name) != nullptr; }

Result<bool> apply_test(Runtime& rt, std::string_view name, const Args& args) {
  WEIR_TRY(rt.charge(1));
  const Entry* entry = find_test(name);
  if (entry == nullptr) {
    return rt.at_line(ErrorCode::kUnsupported, fmt::format("unknown test '{}'", name));
  }
  return entry->test(Call{rt, args, name});
}

}  // namespace weir::text::jinja
