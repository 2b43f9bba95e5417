// The values of a template under evaluation, with Python's types and their behaviour. Text is
// immutable and counted; everything that holds other values lives in the Runtime's arena until the
// rendering ends, so that cycles (through namespaces) and deep nesting cost nothing to free.
// One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja/text.h"

namespace weir::text::jinja {

enum class Kind : uint8_t {
  kUndefined,
  kNone,
  kBool,
  kInt,
  kFloat,
  kString,
  kList,
  kTuple,
  kView,       // dict.items(), keys() and values(): no subscripts
  kGenerator,  // what the lazy filters give: iterated once, no length
  kRange,
  kDict,
  kNamespace,
  kMacro,
  kBuiltin,
  kMethod,
  kLoop,
  kCycler,
  kJoiner,
};

enum class Builtin : uint8_t {
  kRange,
  kDict,
  kNamespace,
  kCycler,
  kJoiner,
  kRaiseException,
  kStrftimeNow
};

// Bytes held by live values, against Budgets::memory_bytes.
struct Meter {
  size_t live_bytes = 0;
};

// An immutable string value.
class String {
 public:
  String(Text text, bool markup, Meter* meter)
      : text_(std::move(text)), markup_(markup), meter_(meter) {
    meter_->live_bytes += cost();
  }
  ~String() { meter_->live_bytes -= cost(); }
  String(const String&) = delete;
  String& operator=(const String&) = delete;

  const Text& text() const { return text_; }
  const std::string& bytes() const { return text_.bytes(); }
  bool markup() const { return markup_; }  // went through `safe`: adding to it escapes HTML

 private:
  size_t cost() const { return text_.size() + text_.runs().size() * sizeof(Text::Run) + 64; }
  Text text_;
  bool markup_;
  Meter* meter_;
};

// shared: the same string stands in variables, lists and results at once, all read-only.
using StringPtr = std::shared_ptr<const String>;

// What the arena owns; the Kind of the Value that points to it says which.
struct Object {
  Object() = default;
  virtual ~Object() = default;
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
};

struct List;
struct Dict;

class Value {
 public:
  Value() = default;  // undefined
  static Value none() { return Value(Kind::kNone); }
  static Value boolean(bool b) {
    Value v(Kind::kBool);
    v.scalar_.integer = b ? 1 : 0;
    return v;
  }
  static Value integer(int64_t i) {
    Value v(Kind::kInt);
    v.scalar_.integer = i;
    return v;
  }
  static Value real(double d) {
    Value v(Kind::kFloat);
    v.scalar_.real = d;
    return v;
  }
  static Value builtin(Builtin b) {
    Value v(Kind::kBuiltin);
    v.scalar_.integer = static_cast<int64_t>(b);
    return v;
  }
  static Value string(StringPtr s) {
    Value v(Kind::kString);
    v.string_ = std::move(s);
    return v;
  }
  // `why` is the error's text when the value is used as if it were defined.
  static Value undefined(StringPtr why) {
    Value v;
    v.string_ = std::move(why);
    return v;
  }
  static Value object(Kind kind, Object* o) {
    Value v(kind);
    v.scalar_.object = o;
    return v;
  }

  Kind kind() const { return kind_; }
  bool is(Kind k) const { return kind_ == k; }
  bool is_undefined() const { return is(Kind::kUndefined); }
  bool is_string() const { return is(Kind::kString); }
  bool is_integral() const { return is(Kind::kInt) || is(Kind::kBool); }
  bool is_number() const { return is_integral() || is(Kind::kFloat); }
  bool is_dict() const { return is(Kind::kDict); }
  // Kinds that hold a List.
  bool holds_list() const { return is_indexed() || is(Kind::kView) || is(Kind::kGenerator); }
  // Subscripts by position: list, tuple, range.
  bool is_indexed() const { return is(Kind::kList) || is(Kind::kTuple) || is(Kind::kRange); }

  // Preconditions: of that kind.
  bool as_bool() const { return scalar_.integer != 0; }
  int64_t as_int() const { return scalar_.integer; }
  double as_real() const {
    return is(Kind::kFloat) ? scalar_.real : static_cast<double>(scalar_.integer);
  }
  Builtin as_builtin() const { return static_cast<Builtin>(scalar_.integer); }
  const Text& text() const { return string_->text(); }
  const std::string& bytes() const { return string_->bytes(); }
  bool markup() const { return string_->markup(); }
  const StringPtr& string_ptr() const { return string_; }  // of an undefined: why, or null
  template <typename T>
  T& as() const {
    return static_cast<T&>(*scalar_.object);
  }
  const std::vector<Value>& items() const;
  const Dict& dict() const;
  const Object* identity() const { return scalar_.object; }

 private:
  explicit Value(Kind kind) : kind_(kind) {}

  Kind kind_ = Kind::kUndefined;
  union Scalar {
    int64_t integer;
    double real;
    Object* object;
  } scalar_{0};
  StringPtr string_;
};

struct List final : Object {
  std::vector<Value> items;
};

struct Dict final : Object {
  std::vector<std::pair<Value, Value>> entries;  // keys are hashable and unique
};

struct Namespace final : Object {
  std::vector<std::pair<std::string, Value>> attributes;
};

struct Method final : Object {
  Value self;
  std::string name;
};

struct Cycler final : Object {
  std::vector<Value> items;
  size_t at = 0;
};

struct Joiner final : Object {
  Value separator;
  bool used = false;
};

inline const std::vector<Value>& Value::items() const { return as<List>().items; }
inline const Dict& Value::dict() const { return as<Dict>(); }

// The arguments of a call. A filter's or a test's operand is positional[0].
struct Args {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

}  // namespace weir::text::jinja
