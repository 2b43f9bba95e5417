// Length, iteration, subscripts, attributes and keys of values.
#include <algorithm>
#include <limits>

#include "text/jinja/methods.h"
#include "text/jinja/ops.h"
#include "text/jinja/unicode.h"

namespace weir::text::jinja {
namespace {

bool hashable(const Value& v) {
  if (v.is(Kind::kTuple)) return std::all_of(v.items().begin(), v.items().end(), hashable);
  return !v.is(Kind::kList) && !v.is_dict();
}

Value missing(Runtime& rt, const Value& v, const Value& index) {
  const std::string owner = v.is(Kind::kNone) ? "None" : fmt::format("{} object", type_name(v));
  if (index.is_string()) {
    return rt.undefined(fmt::format("'{}' has no attribute '{}'", owner, index.bytes()));
  }
  if (index.is_integral()) {
    return rt.undefined(fmt::format("{} has no element {}", owner, index.as_int()));
  }
  return rt.undefined(fmt::format("{} has no such element", owner));
}

// The position of index among count, or count when there is none.
size_t position(int64_t index, size_t count) {
  const auto n = static_cast<int64_t>(count);
  if (index < 0) index += n;
  return index < 0 || index >= n ? count : static_cast<size_t>(index);
}

Result<Value> char_at(Runtime& rt, const Value& v, int64_t index) {
  const std::string& s = v.bytes();
  WEIR_TRY(rt.charge_text(s.size()));
  const size_t count = index < 0 ? count_chars(s) : std::numeric_limits<int64_t>::max();
  const size_t at = position(index, count);
  const size_t begin = at == count ? s.size() : char_offset(s, at);
  if (begin >= s.size()) return missing(rt, v, Value::integer(index));
  const size_t length = char_offset(std::string_view(s).substr(begin), 1);
  return rt.text(v.text().sub(begin, begin + length), v.markup());
}

// The item of v at index, or nothing.
Result<const Value*> item_at(Runtime& rt, const Value& v, const Value& index) {
  if (v.is_dict()) return find_key(rt, v.dict(), index);
  if (!v.is_indexed() || !index.is_integral()) return nullptr;
  const size_t at = position(index.as_int(), v.items().size());
  return at < v.items().size() ? &v.items()[at] : nullptr;
}

const Value* attribute(const Namespace& ns, std::string_view name) {
  for (const auto& [key, value] : ns.attributes) {
    if (key == name) return &value;
  }
  return nullptr;
}

// Python's slice.indices for a sequence of n.
struct Span {
  int64_t start, stop, step;
};

Result<Span> resolve_slice(Runtime& rt, int64_t n, const Value& start, const Value& stop,
                           const Value& step) {
  for (const Value* v : {&start, &stop, &step}) {
    if (v->is_undefined()) return rt.undefined_error(*v);
    if (!v->is_integral() && !v->is(Kind::kNone)) {
      return rt.fail("slice indices must be integers or None, not {}", type_name(*v));
    }
  }
  Span s{0, 0, step.is(Kind::kNone) ? 1 : step.as_int()};
  if (s.step == 0) return rt.fail("slice step cannot be zero");
  const int64_t low = s.step < 0 ? -1 : 0;
  const int64_t high = s.step < 0 ? n - 1 : n;
  const auto clip = [&](const Value& v, int64_t otherwise) {
    if (v.is(Kind::kNone)) return otherwise;
    const int64_t i = v.as_int();
    return std::clamp(i < 0 ? i + n : i, low, high);
  };
  s.start = clip(start, s.step < 0 ? high : low);
  s.stop = clip(stop, s.step < 0 ? low : high);
  return s;
}

// Calls take(i) for each selected position.
template <typename Take>
void for_each_selected(const Span& s, Take take) {
  if (s.step > 0) {
    for (int64_t i = s.start; i < s.stop; i += std::min(s.step, s.stop - i)) {
      take(static_cast<size_t>(i));
    }
  } else {
    for (int64_t i = s.start; i > s.stop; i += std::max(s.step, s.stop - i)) {
      take(static_cast<size_t>(i));
    }
  }
}

Result<Value> slice_text(Runtime& rt, const Value& v, const Value& start, const Value& stop,
                         const Value& step) {
  const std::vector<size_t> offsets = char_offsets(v.bytes());
  WEIR_TRY(rt.charge_text(v.bytes().size() * 4));
  WEIR_ASSIGN(const Span s,
              resolve_slice(rt, static_cast<int64_t>(offsets.size()) - 1, start, stop, step));
  if (s.step == 1) {
    if (s.start >= s.stop) return rt.text(Text(), v.markup());
    return rt.text(
        v.text().sub(offsets[static_cast<size_t>(s.start)], offsets[static_cast<size_t>(s.stop)]),
        v.markup());
  }
  Text out;
  for_each_selected(s, [&](size_t i) { out.append(v.text(), offsets[i], offsets[i + 1]); });
  return rt.text(std::move(out), v.markup());
}

}  // namespace

Result<int64_t> length(Runtime& rt, const Value& v) {
  if (v.is_undefined()) return 0;
  if (v.is_string()) {
    WEIR_TRY(rt.charge_text(v.bytes().size()));
    return static_cast<int64_t>(count_chars(v.bytes()));
  }
  if (v.is_dict()) return static_cast<int64_t>(v.dict().entries.size());
  if (v.holds_list() && !v.is(Kind::kGenerator)) return static_cast<int64_t>(v.items().size());
  return rt.fail("{} has no length", type_name(v));
}

Result<std::vector<Value>> iterate(Runtime& rt, const Value& v) {
  std::vector<Value> out;
  if (v.is_undefined()) return out;
  if (v.is(Kind::kGenerator)) return std::exchange(v.as<List>().items, {});
  if (v.holds_list()) {
    WEIR_TRY(rt.charge_items(v.items().size()));
    return v.items();
  }
  if (v.is_dict()) {
    WEIR_TRY(rt.charge_items(v.dict().entries.size()));
    for (const auto& [key, value] : v.dict().entries) out.push_back(key);
    return out;
  }
  if (!v.is_string()) return rt.fail("{} cannot be iterated", type_name(v));
  const std::vector<size_t> offsets = char_offsets(v.bytes());
  WEIR_TRY(rt.charge(offsets.size()));
  for (size_t i = 0; i + 1 < offsets.size(); ++i) {
    WEIR_ASSIGN(Value c, rt.text(v.text().sub(offsets[i], offsets[i + 1]), v.markup()));
    out.push_back(std::move(c));
  }
  return out;
}

Result<Value> get_item(Runtime& rt, const Value& v, const Value& index) {
  if (v.is_undefined()) return rt.undefined_error(v);
  if (v.is_string() && index.is_integral()) return char_at(rt, v, index.as_int());
  WEIR_ASSIGN(const Value* found, item_at(rt, v, index));
  if (found != nullptr) return *found;
  if (!index.is_string()) return missing(rt, v, index);
  if (v.is(Kind::kNamespace)) {
    const Value* value = attribute(v.as<Namespace>(), index.bytes());
    return value != nullptr ? *value : missing(rt, v, index);
  }
  if (!has_method(v.kind(), index.bytes())) return missing(rt, v, index);
  return get_attribute(rt, v, index.bytes());
}

Result<Value> get_attribute(Runtime& rt, const Value& v, std::string_view name) {
  if (v.is_undefined()) return rt.undefined_error(v);
  if (has_method(v.kind(), name)) {
    auto* method = rt.make<Method>();
    method->self = v;
    method->name = std::string(name);
    return Value::object(Kind::kMethod, method);
  }
  const Value* found = nullptr;
  if (v.is_dict()) found = find_text_key(v.dict(), name);
  if (v.is(Kind::kNamespace)) found = attribute(v.as<Namespace>(), name);
  if (v.is(Kind::kCycler) && name == "current") {
    const auto& cycler = v.as<Cycler>();
    found = &cycler.items[cycler.at];
  }
  if (found != nullptr) return *found;
  WEIR_ASSIGN(const Value key, rt.text(std::string(name)));
  return missing(rt, v, key);
}

Result<Value> slice(Runtime& rt, const Value& v, const Value& start, const Value& stop,
                    const Value& step) {
  if (v.is_undefined()) return rt.undefined_error(v);
  if (v.is_string()) return slice_text(rt, v, start, stop, step);
  if (!v.is_indexed()) return rt.undefined(fmt::format("{} cannot be sliced", type_name(v)));
  WEIR_ASSIGN(const Span s,
              resolve_slice(rt, static_cast<int64_t>(v.items().size()), start, stop, step));
  std::vector<Value> out;
  WEIR_TRY(rt.charge_items(v.items().size()));
  for_each_selected(s, [&](size_t i) { out.push_back(v.items()[i]); });
  return rt.list(std::move(out), v.kind());
}

Result<const Value*> find_key(Runtime& rt, const Dict& dict, const Value& key) {
  if (!hashable(key)) return rt.fail("a {} cannot be a key", type_name(key));
  if (key.is_string()) {
    WEIR_TRY(rt.charge_items(dict.entries.size()));
    return find_text_key(dict, key.bytes());
  }
  for (const auto& [name, value] : dict.entries) {
    WEIR_ASSIGN(const bool same, equals(rt, name, key));
    if (same) return &value;
  }
  return nullptr;
}

const Value* find_text_key(const Dict& dict, std::string_view key) {
  for (const auto& [name, value] : dict.entries) {
    if (name.is_string() && name.bytes() == key) return &value;
  }
  return nullptr;
}

Status set_key(Runtime& rt, std::vector<std::pair<Value, Value>>& entries, Value key, Value value) {
  if (!hashable(key)) return rt.fail("a {} cannot be a key", type_name(key));
  for (auto& [name, held] : entries) {
    WEIR_ASSIGN(const bool same, equals(rt, name, key));
    if (!same) continue;
    held = std::move(value);
    return {};
  }
  WEIR_TRY(rt.charge(1));
  entries.emplace_back(std::move(key), std::move(value));
  return {};
}

}  // namespace weir::text::jinja
