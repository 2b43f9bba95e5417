// Filters on lists, dicts and other sequences.
#include <algorithm>
#include <charconv>

#include "text/jinja/filters.h"
#include "text/jinja/methods.h"
#include "text/jinja/ops.h"
#include "text/jinja/unicode.h"

namespace weir::text::jinja {
namespace {

Result<std::vector<Value>> operand_items(const FilterCall& c) { return iterate(c.rt, c.operand()); }

// v.a.b.0 for the path "a.b.0"; a number is one step; none is v itself.
Result<Value> follow(Runtime& rt, Value v, const Value* path) {
  if (path == nullptr || path->is(Kind::kNone)) return v;
  if (!path->is_string()) return get_item(rt, v, *path);
  const std::string& s = path->bytes();
  for (size_t at = 0; at <= s.size();) {
    const size_t end = std::min(s.find('.', at), s.size());
    const std::string part = s.substr(at, end - at);
    int64_t number = 0;
    const auto [last, ec] = std::from_chars(part.data(), part.data() + part.size(), number);
    Value key = Value::integer(number);
    if (part.empty() || part[0] == '-' || ec != std::errc() || last != part.data() + part.size()) {
      WEIR_ASSIGN(key, rt.text(part));
    }
    WEIR_ASSIGN(v, get_item(rt, v, key));
    at = end + 1;
  }
  return v;
}

Result<Value> fold_case(Runtime& rt, Value v, bool case_sensitive) {
  if (case_sensitive || !v.is_string()) return v;
  return rt.text(lower(v.text()));
}

struct Keyed {
  Value key;
  Value value;
};

// Stable; the error of the first pair that cannot be compared.
Status sort_keyed(Runtime& rt, std::vector<Keyed>& items, bool reverse) {
  Status status;
  std::stable_sort(items.begin(), items.end(), [&](const Keyed& a, const Keyed& b) {
    if (!status.ok()) return false;
    const auto before = reverse ? less(rt, b.key, a.key) : less(rt, a.key, b.key);
    if (!before.ok()) status = before.error();
    return before.ok() && *before;
  });
  return status;
}

Result<Value> sorted_values(const FilterCall& c, std::vector<Keyed> items, bool reverse) {
  WEIR_TRY(sort_keyed(c.rt, items, reverse));
  std::vector<Value> out;
  out.reserve(items.size());
  for (Keyed& item : items) out.push_back(std::move(item.value));
  return c.rt.list(std::move(out));
}

// The key of "a,b.c": a list of each path's value.
Result<Value> sort_key(Runtime& rt, const Value& v, const Value* attribute, bool case_sensitive) {
  std::vector<Value> keys;
  if (attribute == nullptr || !attribute->is_string()) {
    WEIR_ASSIGN(Value key, follow(rt, v, attribute));
    return fold_case(rt, std::move(key), case_sensitive);
  }
  const std::string& s = attribute->bytes();
  for (size_t at = 0; at <= s.size();) {
    const size_t end = std::min(s.find(',', at), s.size());
    WEIR_ASSIGN(const Value path, rt.text(s.substr(at, end - at)));
    WEIR_ASSIGN(Value key, follow(rt, v, &path));
    WEIR_ASSIGN(key, fold_case(rt, std::move(key), case_sensitive));
    keys.push_back(std::move(key));
    at = end + 1;
  }
  return rt.list(std::move(keys));
}

Result<Value> sort(const FilterCall& c) {
  Arguments a = c.arguments();
  WEIR_TRY(a.accept({"reverse", "case_sensitive", "attribute"}));
  WEIR_ASSIGN(const bool reverse, a.boolean(0, false));
  WEIR_ASSIGN(const bool case_sensitive, a.boolean(1, false));
  WEIR_ASSIGN(const std::vector<Value> items, operand_items(c));
  std::vector<Keyed> keyed;
  for (const Value& v : items) {
    WEIR_ASSIGN(Value key, sort_key(c.rt, v, a.get(2), case_sensitive));
    keyed.push_back({std::move(key), v});
  }
  return sorted_values(c, std::move(keyed), reverse);
}

Result<Value> dictsort(const FilterCall& c) {
  Arguments a = c.arguments();
  WEIR_TRY(a.accept({"case_sensitive", "by", "reverse"}));
  WEIR_ASSIGN(const bool case_sensitive, a.boolean(0, false));
  WEIR_ASSIGN(const bool reverse, a.boolean(2, false));
  const bool by_value =
      a.get(1) != nullptr && a.get(1)->is_string() && a.get(1)->bytes() == "value";
  if (c.operand().is_undefined()) return c.rt.undefined_error(c.operand());
  if (!c.operand().is_dict()) {
    return c.rt.fail("dictsort() needs a dict, not {}", type_name(c.operand()));
  }
  std::vector<Keyed> keyed;
  for (const auto& [name, value] : c.operand().dict().entries) {
    WEIR_ASSIGN(Value both, c.rt.list({name, value}, Kind::kTuple));
    WEIR_ASSIGN(Value key, fold_case(c.rt, by_value ? value : name, case_sensitive));
    keyed.push_back({std::move(key), std::move(both)});
  }
  return sorted_values(c, std::move(keyed), reverse);
}

Result<Value> items(const FilterCall& c) {
  if (c.operand().is_undefined()) return c.rt.list({}, Kind::kGenerator);
  if (!c.operand().is_dict()) return c.rt.fail("items() can only get item pairs from a mapping");
  Method method;
  method.self = c.operand();
  method.name = "items";
  WEIR_ASSIGN(const Value view, call_method(c.rt, method, {}));
  return c.rt.list(view.items(), Kind::kGenerator);
}

Result<Value> join(const FilterCall& c) {
  Arguments a = c.arguments();
  WEIR_TRY(a.accept({"d", "attribute"}));
  Text separator;
  if (a.get(0) != nullptr) {
    WEIR_ASSIGN(separator, to_text(c.rt, *a.get(0)));
  }
  WEIR_ASSIGN(const std::vector<Value> list, operand_items(c));
  Text out;
  for (size_t i = 0; i < list.size(); ++i) {
    WEIR_ASSIGN(const Value v, follow(c.rt, list[i], a.get(1)));
    WEIR_ASSIGN(const Text text, to_text(c.rt, v));
    WEIR_TRY(c.rt.check_text(out.size() + separator.size() + text.size()));
    if (i > 0) out.append(separator);
    out.append(text);
  }
  return c.rt.text(std::move(out));
}

Result<Value> first(const FilterCall& c) {
  WEIR_ASSIGN(const std::vector<Value> list, operand_items(c));
  if (list.empty()) return c.rt.undefined("No first item, sequence was empty.");
  return list.front();
}

Result<Value> last(const FilterCall& c) {
  WEIR_ASSIGN(const std::vector<Value> list, operand_items(c));
  if (list.empty()) return c.rt.undefined("No last item, sequence was empty.");
  return list.back();
}

Result<Value> list_filter(const FilterCall& c) {
  WEIR_ASSIGN(std::vector<Value> list, operand_items(c));
  return c.rt.list(std::move(list));
}

Result<Value> length_filter(const FilterCall& c) {
  WEIR_ASSIGN(const int64_t n, length(c.rt, c.operand()));
  return Value::integer(n);
}

Result<Value> reverse(const FilterCall& c) {
  if (c.operand().is_string()) {
    return slice(c.rt, c.operand(), Value::none(), Value::none(), Value::integer(-1));
  }
  WEIR_ASSIGN(std::vector<Value> list, operand_items(c));
  std::reverse(list.begin(), list.end());
  return c.rt.list(std::move(list), Kind::kGenerator);
}

Result<Value> extreme(const FilterCall& c) {
  Arguments a = c.arguments();
  WEIR_TRY(a.accept({"case_sensitive", "attribute"}));
  WEIR_ASSIGN(const bool case_sensitive, a.boolean(0, false));
  WEIR_ASSIGN(const std::vector<Value> list, operand_items(c));
  if (list.empty()) return c.rt.undefined("No aggregated item, sequence was empty.");
  const Value* best = nullptr;
  Value best_key;
  for (const Value& v : list) {
    WEIR_ASSIGN(Value key, follow(c.rt, v, a.get(1)));
    WEIR_ASSIGN(key, fold_case(c.rt, std::move(key), case_sensitive));
    if (best != nullptr) {
      WEIR_ASSIGN(const bool better,
                  c.name == "min" ? less(c.rt, key, best_key) : less(c.rt, best_key, key));
      if (!better) continue;
    }
    best = &v;
    best_key = std::move(key);
  }
  return *best;
}

Result<Value> sum(const FilterCall& c) {
  Arguments a = c.arguments();
  WEIR_TRY(a.accept({"attribute", "start"}));
  Value total = a.get(1) != nullptr ? *a.get(1) : Value::integer(0);
  WEIR_ASSIGN(const std::vector<Value> list, operand_items(c));
  for (const Value& v : list) {
    WEIR_ASSIGN(const Value term, follow(c.rt, v, a.get(0)));
    WEIR_ASSIGN(total, binary(c.rt, Op::kAdd, total, term));
  }
  return total;
}

Result<Value> unique(const FilterCall& c) {
  Arguments a = c.arguments();
  WEIR_TRY(a.accept({"case_sensitive", "attribute"}));
  WEIR_ASSIGN(const bool case_sensitive, a.boolean(0, false));
  WEIR_ASSIGN(const std::vector<Value> list, operand_items(c));
  std::vector<Value> seen;
  std::vector<Value> out;
  for (const Value& v : list) {
    WEIR_ASSIGN(Value key, follow(c.rt, v, a.get(1)));
    WEIR_ASSIGN(key, fold_case(c.rt, std::move(key), case_sensitive));
    bool known = false;
    for (const Value& other : seen) {
      WEIR_ASSIGN(known, equals(c.rt, key, other));
      if (known) break;
    }
    if (known) continue;
    seen.push_back(std::move(key));
    out.push_back(v);
  }
  return c.rt.list(std::move(out), Kind::kGenerator);
}

Result<Value> batch(const FilterCall& c) {
  Arguments a = c.arguments();
  WEIR_TRY(a.accept({"linecount", "fill_with"}));
  WEIR_ASSIGN(const int64_t count, a.integer(0, 0));
  if (count < 1) return c.rt.fail("batch() needs a positive count");
  WEIR_ASSIGN(const std::vector<Value> list, operand_items(c));
  std::vector<Value> out;
  const auto step = static_cast<size_t>(count);
  for (size_t at = 0; at < list.size(); at += std::min(step, list.size() - at)) {
    const size_t end = at + std::min(step, list.size() - at);
    std::vector<Value> row(list.begin() + static_cast<ptrdiff_t>(at),
                           list.begin() + static_cast<ptrdiff_t>(end));
    if (a.get(1) != nullptr && !a.get(1)->is(Kind::kNone)) {
      WEIR_TRY(c.rt.charge_items(step - row.size()));
      row.resize(step, *a.get(1));
    }
    WEIR_ASSIGN(Value v, c.rt.list(std::move(row)));
    out.push_back(std::move(v));
  }
  return c.rt.list(std::move(out), Kind::kGenerator);
}

Result<Value> slice_filter(const FilterCall& c) {
  Arguments a = c.arguments();
  WEIR_TRY(a.accept({"slices", "fill_with"}));
  WEIR_ASSIGN(const int64_t wanted, a.integer(0, 0));
  if (wanted < 1) return c.rt.fail("slice() needs a positive number of slices");
  WEIR_TRY(c.rt.charge(static_cast<uint64_t>(wanted)));
  const auto slices = static_cast<size_t>(wanted);
  WEIR_ASSIGN(const std::vector<Value> list, operand_items(c));
  const size_t extra = list.size() % slices;
  std::vector<Value> out;
  size_t at = 0;
  for (size_t i = 0; i < slices; ++i) {
    const size_t n = list.size() / slices + (i < extra ? 1 : 0);
    std::vector<Value> row(list.begin() + static_cast<ptrdiff_t>(at),
                           list.begin() + static_cast<ptrdiff_t>(at + n));
    at += n;
    if (a.get(1) != nullptr && !a.get(1)->is(Kind::kNone) && i >= extra) row.push_back(*a.get(1));
    WEIR_ASSIGN(Value v, c.rt.list(std::move(row)));
    out.push_back(std::move(v));
  }
  return c.rt.list(std::move(out), Kind::kGenerator);
}

Result<Value> groupby(const FilterCall& c) {
  Arguments a = c.arguments();
  WEIR_TRY(a.accept({"attribute", "default", "case_sensitive"}));
  WEIR_ASSIGN(const bool case_sensitive, a.boolean(2, false));
  WEIR_ASSIGN(const std::vector<Value> list, operand_items(c));
  std::vector<Keyed> keyed;
  for (const Value& v : list) {
    WEIR_ASSIGN(Value key, follow(c.rt, v, a.get(0)));
    if (key.is_undefined() && a.get(1) != nullptr) key = *a.get(1);
    WEIR_ASSIGN(key, fold_case(c.rt, std::move(key), case_sensitive));
    keyed.push_back({std::move(key), v});
  }
  WEIR_TRY(sort_keyed(c.rt, keyed, false));
  std::vector<Value> groups;
  for (size_t at = 0; at < keyed.size();) {
    std::vector<Value> members;
    size_t end = at;
    for (; end < keyed.size(); ++end) {
      WEIR_ASSIGN(const bool same, equals(c.rt, keyed[end].key, keyed[at].key));
      if (!same) break;
      members.push_back(keyed[end].value);
    }
    WEIR_ASSIGN(const Value grouper, follow(c.rt, members.front(), a.get(0)));
    WEIR_ASSIGN(Value group, c.rt.list(std::move(members)));
    WEIR_ASSIGN(Value both, c.rt.list({case_sensitive ? grouper : keyed[at].key, std::move(group)},
                                      Kind::kTuple));
    groups.push_back(std::move(both));
    at = end;
  }
  return c.rt.list(std::move(groups));
}

// ---- map, select, reject

// As Jinja's: nothing for an operand that is false, such as none.
Result<std::vector<Value>> mapped_items(const FilterCall& c) {
  if (!truthy(c.operand())) return std::vector<Value>();
  return operand_items(c);
}

// args for the filter or test named at positional[at], to be applied to one item.
Result<Args> inner_args(const FilterCall& c, size_t at) {
  if (!c.args.positional[at].is_string()) {
    return c.rt.fail("{}() needs the name of a filter or test", c.name);
  }
  Args inner;
  inner.positional.emplace_back();
  inner.positional.insert(inner.positional.end(),
                          c.args.positional.begin() + static_cast<ptrdiff_t>(at) + 1,
                          c.args.positional.end());
  inner.named = c.args.named;
  return inner;
}

Result<Value> map_attribute(const FilterCall& c) {
  Arguments a = c.arguments();
  WEIR_TRY(a.accept({"attribute", "default"}));
  WEIR_ASSIGN(const std::vector<Value> list, mapped_items(c));
  std::vector<Value> out;
  for (const Value& item : list) {
    WEIR_ASSIGN(Value v, follow(c.rt, item, a.get(0)));
    if (v.is_undefined() && a.get(1) != nullptr) v = *a.get(1);
    out.push_back(std::move(v));
  }
  return c.rt.list(std::move(out), Kind::kGenerator);
}

Result<Value> map(const FilterCall& c) {
  if (c.args.positional.size() < 2) {
    for (const auto& [name, value] : c.args.named) {
      if (name == "attribute") return map_attribute(c);
    }
    return c.rt.fail("map() needs a filter or an attribute");
  }
  WEIR_ASSIGN(Args inner, inner_args(c, 1));
  WEIR_ASSIGN(const std::vector<Value> list, mapped_items(c));
  std::vector<Value> out;
  for (const Value& item : list) {
    inner.positional[0] = item;
    WEIR_ASSIGN(Value v, apply_filter(c.rt, c.args.positional[1].bytes(), inner));
    out.push_back(std::move(v));
  }
  return c.rt.list(std::move(out), Kind::kGenerator);
}

// select, reject, selectattr, rejectattr.
Result<Value> select(const FilterCall& c) {
  const bool by_attribute = c.name.ends_with("attr");
  const bool wanted = c.name.starts_with("select");
  const size_t at = by_attribute ? 2 : 1;
  if (by_attribute && c.args.positional.size() < 2) {
    return c.rt.fail("{}() needs the name of an attribute", c.name);
  }
  Args inner;
  const bool has_test = c.args.positional.size() > at;
  if (has_test) {
    WEIR_ASSIGN(inner, inner_args(c, at));
  }
  WEIR_ASSIGN(const std::vector<Value> list, mapped_items(c));
  std::vector<Value> out;
  for (const Value& item : list) {
    WEIR_TRY(c.rt.charge(1));
    Value v = item;
    if (by_attribute) {
      WEIR_ASSIGN(v, follow(c.rt, item, &c.args.positional[1]));
    }
    bool holds = truthy(v);
    if (has_test) {
      inner.positional[0] = v;
      WEIR_ASSIGN(holds, apply_test(c.rt, c.args.positional[at].bytes(), inner));
    }
    if (holds == wanted) out.push_back(item);
  }
  return c.rt.list(std::move(out), Kind::kGenerator);
}

constexpr FilterEntry kSequenceFilters[] = {{"batch", batch},
                                            {"count", length_filter},
                                            {"dictsort", dictsort},
                                            {"first", first},
                                            {"groupby", groupby},
                                            {"items", items},
                                            {"join", join},
                                            {"last", last},
                                            {"length", length_filter},
                                            {"list", list_filter},
                                            {"map", map},
                                            {"max", extreme},
                                            {"min", extreme},
                                            {"reject", select},
                                            {"rejectattr", select},
                                            {"reverse", reverse},
                                            {"select", select},
                                            {"selectattr", select},
                                            {"slice", slice_filter},
                                            {"sort", sort},
                                            {"sum", sum},
                                            {"unique", unique},
                                            {"", nullptr}};

}  // namespace

const FilterEntry* sequence_filters() { return kSequenceFilters; }

}  // namespace weir::text::jinja
