#include "text/jinja/runtime.h"

#include <algorithm>

#include "text/jinja/ops.h"

namespace weir::text::jinja {

Status Runtime::charge(uint64_t steps) {
  steps_ += steps;
  if (steps_ > budgets_.steps) {
    return at_line(ErrorCode::kSchemaTooComplex,
                   fmt::format("rendering takes more than {} steps", budgets_.steps));
  }
  if (meter_.live_bytes > budgets_.memory_bytes) {
    return at_line(ErrorCode::kSchemaTooComplex,
                   fmt::format("rendering holds more than {} bytes", budgets_.memory_bytes));
  }
  return {};
}

Status Runtime::check_text(size_t bytes) const {
  if (bytes <= budgets_.output_bytes) return {};
  return at_line(ErrorCode::kSchemaTooComplex,
                 fmt::format("a text is longer than {} bytes", budgets_.output_bytes));
}

Result<Value> Runtime::text(Text text, bool markup) {
  WEIR_TRY(check_text(text.size()));
  WEIR_TRY(charge_text(text.size()));
  return Value::string(std::make_shared<const String>(std::move(text), markup, &meter_));
}

Result<Value> Runtime::list(std::vector<Value> items, Kind kind) {
  WEIR_TRY(charge_items(items.size()));
  List* l = make<List>();
  meter_.live_bytes += items.size() * sizeof(Value);
  l->items = std::move(items);
  return Value::object(kind, l);
}

Result<Value> Runtime::dict(std::vector<std::pair<Value, Value>> entries) {
  WEIR_TRY(charge_items(entries.size()));
  Dict* d = make<Dict>();
  meter_.live_bytes += entries.size() * 2 * sizeof(Value);
  d->entries = std::move(entries);
  return Value::object(Kind::kDict, d);
}

Value Runtime::undefined(std::string why) {
  return Value::undefined(std::make_shared<const String>(Text(std::move(why)), false, &meter_));
}

Error Runtime::undefined_error(const Value& v) const {
  return fail("{}", v.string_ptr() ? v.bytes() : "the value is undefined");
}

Status Runtime::Deeper::check() const {
  if (rt_.depth_ <= rt_.budgets_.depth) return {};
  return rt_.at_line(ErrorCode::kSchemaTooComplex,
                     fmt::format("rendering nests deeper than {} levels", rt_.budgets_.depth));
}

Status Arguments::accept(std::initializer_list<std::string_view> names) {
  found_.assign(names.size(), nullptr);
  const size_t given = args_.positional.size() - std::min(first_, args_.positional.size());
  if (given > names.size()) {
    return rt_.fail("{}() takes at most {} arguments but {} were given", callee_, names.size(),
                    given);
  }
  for (size_t i = 0; i < given; ++i) found_[i] = &args_.positional[first_ + i];
  for (const auto& [name, value] : args_.named) {
    const auto at = std::find(names.begin(), names.end(), name);
    if (at == names.end()) {
      return rt_.fail("{}() got an unexpected keyword argument '{}'", callee_, name);
    }
    const Value*& slot = found_[static_cast<size_t>(at - names.begin())];
    if (slot != nullptr) {
      return rt_.fail("{}() got multiple values for argument '{}'", callee_, name);
    }
    slot = &value;
  }
  return {};
}

Result<int64_t> Arguments::integer(size_t i, int64_t fallback) const {
  const Value* v = get(i);
  if (v == nullptr) return fallback;
  if (v->is_integral()) return v->as_int();
  if (v->is_undefined()) return rt_.undefined_error(*v);
  return rt_.fail("{}() needs an integer, not {}", callee_, type_name(*v));
}

Result<bool> Arguments::boolean(size_t i, bool fallback) const {
  const Value* v = get(i);
  return v == nullptr ? fallback : truthy(*v);
}

Result<Value> Arguments::required(size_t i, std::string_view name) const {
  const Value* v = get(i);
  if (v == nullptr) return rt_.fail("{}() needs the argument '{}'", callee_, name);
  return *v;
}

}  // namespace weir::text::jinja
