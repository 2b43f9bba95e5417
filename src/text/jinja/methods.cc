#include "text/jinja/methods.h"

#include <algorithm>

#include "text/jinja/ops.h"

namespace weir::text::jinja {
namespace {

struct Call {
  Runtime& rt;
  const Value& self;
  const Args& args;
  std::string_view name;

  Arguments arguments() const { return {rt, args, name}; }
  std::vector<Value>& items() const { return self.as<List>().items; }
  std::vector<std::pair<Value, Value>>& entries() const { return self.as<Dict>().entries; }
};

Result<Value> none(Status status) {
  if (!status.ok()) return std::move(status).error();
  return Value::none();
}

// ---- lists

Result<Value> append(const Call& c) {
  Arguments a = c.arguments();
  WEIR_TRY(a.accept({"object"}));
  WEIR_ASSIGN(Value v, a.required(0, "object"));
  c.rt.meter()->live_bytes += sizeof(Value);
  c.items().push_back(std::move(v));
  return none(c.rt.charge(1));
}

Result<Value> extend(const Call& c) {
  Arguments a = c.arguments();
  WEIR_TRY(a.accept({"iterable"}));
  WEIR_ASSIGN(const Value over, a.required(0, "iterable"));
  WEIR_ASSIGN(const std::vector<Value> more, iterate(c.rt, over));
  c.rt.meter()->live_bytes += more.size() * sizeof(Value);
  c.items().insert(c.items().end(), more.begin(), more.end());
  return none(c.rt.charge(1));
}

Result<Value> insert(const Call& c) {
  Arguments a = c.arguments();
  WEIR_TRY(a.accept({"index", "object"}));
  WEIR_ASSIGN(int64_t at, a.integer(0, 0));
  WEIR_ASSIGN(Value v, a.required(1, "object"));
  const auto n = static_cast<int64_t>(c.items().size());
  at = std::clamp<int64_t>(at < 0 ? at + n : at, 0, n);
  WEIR_TRY(c.rt.charge_items(c.items().size()));
  c.rt.meter()->live_bytes += sizeof(Value);
  c.items().insert(c.items().begin() + at, std::move(v));
  return Value::none();
}

Result<Value> list_pop(const Call& c) {
  Arguments a = c.arguments();
  WEIR_TRY(a.accept({"index"}));
  WEIR_ASSIGN(int64_t at, a.integer(0, -1));
  const auto n = static_cast<int64_t>(c.items().size());
  if (n == 0) return c.rt.fail("pop from empty list");
  if (at < 0) at += n;
  if (at < 0 || at >= n) return c.rt.fail("pop index out of range");
  WEIR_TRY(c.rt.charge_items(c.items().size()));
  Value v = c.items()[static_cast<size_t>(at)];
  c.items().erase(c.items().begin() + at);
  return v;
}

// The first position of the argument, or the number of items.
Result<size_t> position(const Call& c) {
  Arguments a = c.arguments();
  WEIR_TRY(a.accept({"value"}));
  WEIR_ASSIGN(const Value wanted, a.required(0, "value"));
  size_t i = 0;
  for (; i < c.items().size(); ++i) {
    WEIR_ASSIGN(const bool same, equals(c.rt, c.items()[i], wanted));
    if (same) break;
  }
  return i;
}

Result<Value> index(const Call& c) {
  WEIR_ASSIGN(const size_t at, position(c));
  if (at == c.items().size()) return c.rt.fail("the value is not in the list");
  return Value::integer(static_cast<int64_t>(at));
}

Result<Value> remove(const Call& c) {
  WEIR_ASSIGN(const size_t at, position(c));
  if (at == c.items().size()) return c.rt.fail("the value is not in the list");
  c.items().erase(c.items().begin() + static_cast<ptrdiff_t>(at));
  return Value::none();
}

Result<Value> count(const Call& c) {
  Arguments a = c.arguments();
  WEIR_TRY(a.accept({"value"}));
  WEIR_ASSIGN(const Value wanted, a.required(0, "value"));
  int64_t n = 0;
  for (const Value& v : c.items()) {
    WEIR_ASSIGN(const bool same, equals(c.rt, v, wanted));
    n += same ? 1 : 0;
  }
  return Value::integer(n);
}

Result<Value> list_copy(const Call& c) { return c.rt.list(c.items()); }
Result<Value> reverse(const Call& c) {
  std::reverse(c.items().begin(), c.items().end());
  return none(c.rt.charge_items(c.items().size()));
}
Result<Value> list_clear(const Call& c) {
  c.items().clear();
  return Value::none();
}

// ---- dicts

Result<Value> get(const Call& c) {
  Arguments a = c.arguments();
  WEIR_TRY(a.accept({"key", "default"}));
  WEIR_ASSIGN(const Value key, a.required(0, "key"));
  WEIR_ASSIGN(const Value* found, find_key(c.rt, c.self.dict(), key));
  if (found != nullptr) return *found;
  return a.get(1) != nullptr ? *a.get(1) : Value::none();
}

enum class Part : uint8_t { kKey, kValue, kBoth };

template <Part What>
Result<Value> view(const Call& c) {
  Arguments a = c.arguments();
  WEIR_TRY(a.accept({}));
  std::vector<Value> out;
  for (const auto& [key, value] : c.self.dict().entries) {
    if (What != Part::kBoth) {
      out.push_back(What == Part::kKey ? key : value);
      continue;
    }
    WEIR_ASSIGN(Value both, c.rt.list({key, value}, Kind::kTuple));
    out.push_back(std::move(both));
  }
  return c.rt.list(std::move(out), Kind::kView);
}

Result<Value> dict_copy(const Call& c) { return c.rt.dict(c.self.dict().entries); }

Result<Value> dict_pop(const Call& c) {
  Arguments a = c.arguments();
  WEIR_TRY(a.accept({"key", "default"}));
  WEIR_ASSIGN(const Value key, a.required(0, "key"));
  for (auto at = c.entries().begin(); at != c.entries().end(); ++at) {
    WEIR_ASSIGN(const bool same, equals(c.rt, at->first, key));
    if (!same) continue;
    Value v = at->second;
    c.entries().erase(at);
    return v;
  }
  if (a.get(1) != nullptr) return *a.get(1);
  return c.rt.fail("pop() of a key that is not there");
}

Result<Value> setdefault(const Call& c) {
  Arguments a = c.arguments();
  WEIR_TRY(a.accept({"key", "default"}));
  WEIR_ASSIGN(const Value key, a.required(0, "key"));
  WEIR_ASSIGN(const Value* found, find_key(c.rt, c.self.dict(), key));
  if (found != nullptr) return *found;
  const Value fallback = a.get(1) != nullptr ? *a.get(1) : Value::none();
  WEIR_TRY(set_key(c.rt, c.entries(), key, fallback));
  return fallback;
}

Result<Value> update(const Call& c) {
  const size_t before = c.entries().size();
  for (const Value& v : c.args.positional) {
    if (!v.is_dict()) return c.rt.fail("update() needs a dict, not {}", type_name(v));
    const std::vector<std::pair<Value, Value>> more = v.dict().entries;
    for (const auto& [key, value] : more) WEIR_TRY(set_key(c.rt, c.entries(), key, value));
  }
  for (const auto& [name, value] : c.args.named) {
    WEIR_ASSIGN(Value key, c.rt.text(name));
    WEIR_TRY(set_key(c.rt, c.entries(), std::move(key), value));
  }
  c.rt.meter()->live_bytes += (c.entries().size() - before) * 2 * sizeof(Value);
  return Value::none();
}

Result<Value> dict_clear(const Call& c) {
  c.entries().clear();
  return Value::none();
}

// ---- cyclers

Result<Value> cycler_next(const Call& c) {
  auto& cycler = c.self.as<Cycler>();
  Value v = cycler.items[cycler.at];
  cycler.at = (cycler.at + 1) % cycler.items.size();
  return v;
}

Result<Value> cycler_reset(const Call& c) {
  c.self.as<Cycler>().at = 0;
  return Value::none();
}

struct Entry {
  Kind kind;
  std::string_view name;
  Result<Value> (*call)(const Call&);
};

constexpr Entry kMethods[] = {
    {Kind::kList, "append", append},
    {Kind::kList, "clear", list_clear},
    {Kind::kList, "copy", list_copy},
    {Kind::kList, "count", count},
    {Kind::kList, "extend", extend},
    {Kind::kList, "index", index},
    {Kind::kList, "insert", insert},
    {Kind::kList, "pop", list_pop},
    {Kind::kList, "remove", remove},
    {Kind::kList, "reverse", reverse},
    {Kind::kTuple, "count", count},
    {Kind::kTuple, "index", index},
    {Kind::kDict, "clear", dict_clear},
    {Kind::kDict, "copy", dict_copy},
    {Kind::kDict, "get", get},
    {Kind::kDict, "items", view<Part::kBoth>},
    {Kind::kDict, "keys", view<Part::kKey>},
    {Kind::kDict, "pop", dict_pop},
    {Kind::kDict, "setdefault", setdefault},
    {Kind::kDict, "update", update},
    {Kind::kDict, "values", view<Part::kValue>},
    {Kind::kCycler, "next", cycler_next},
    {Kind::kCycler, "reset", cycler_reset},
};

const Entry* find_method(Kind kind, std::string_view name) {
  const auto* at = std::find_if(std::begin(kMethods), std::end(kMethods),
                                [&](const Entry& e) { return e.kind == kind && e.name == name; });
  return at == std::end(kMethods) ? nullptr : at;
}

}  // namespace

bool has_method(Kind kind, std::string_view name) {
  return kind == Kind::kString ? has_string_method(name) : find_method(kind, name) != nullptr;
}

Result<Value> call_method(Runtime& rt, const Method& method, const Args& args) {
  if (method.self.is_string()) return call_string_method(rt, method.self, method.name, args);
  return find_method(method.self.kind(), method.name)
      ->call(Call{rt, method.self, args, method.name});
}

}  // namespace weir::text::jinja
