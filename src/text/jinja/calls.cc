// Calls of macros, loops and the global functions.
#include <algorithm>
#include <ctime>

#include "text/jinja/interpreter.h"
#include "text/jinja/methods.h"

namespace weir::text::jinja {

Result<Value> Interpreter::call_value(const Value& callee, Args& args) {
  const Runtime::Deeper deeper(rt_);
  WEIR_TRY(deeper.check());
  switch (callee.kind()) {
    case Kind::kUndefined:
      return rt_.undefined_error(callee);
    case Kind::kMacro:
      return call_macro(callee.as<Macro>(), args);
    case Kind::kMethod:
      return call_method(rt_, callee.as<Method>(), args);
    case Kind::kBuiltin:
      return call_builtin(callee.as_builtin(), args);
    case Kind::kLoop:
      return call_loop(callee.as<Loop>(), args);
    case Kind::kJoiner: {
      auto& joiner = callee.as<Joiner>();
      if (std::exchange(joiner.used, true)) return joiner.separator;
      return rt_.text(Text());
    }
    default:
      return rt_.fail("'{}' object is not callable", type_name(callee));
  }
}

Status Interpreter::bind(const Macro& macro, Args& args, Scope* scope) {
  const Signature& s = *macro.signature;
  std::vector<std::pair<std::string, Value>> extra;
  std::vector<bool> bound(s.parameters.size(), false);
  const size_t count = std::min(args.positional.size(), s.parameters.size());
  for (size_t i = 0; i < count; ++i) {
    scope->set(s.parameters[i], args.positional[i]);
    bound[i] = true;
  }
  bool has_caller = false;
  for (auto& [key, value] : args.named) {
    const auto at = std::find(s.parameters.begin(), s.parameters.end(), key);
    if (at != s.parameters.end()) {
      const auto i = static_cast<size_t>(at - s.parameters.begin());
      if (bound[i]) return rt_.fail("macro '{}' got two values for '{}'", s.name, key);
      bound[i] = true;
      scope->set(key, value);
    } else if (key == "caller" && s.uses_caller) {
      has_caller = true;
      scope->set(key, value);
    } else if (s.uses_kwargs) {
      extra.emplace_back(key, value);
    } else {
      return rt_.fail("macro '{}' takes no keyword argument '{}'", s.name, key);
    }
  }
  if (args.positional.size() > count && !s.uses_varargs) {
    return rt_.fail("macro '{}' takes not more than {} argument(s)", s.name, count);
  }
  if (s.uses_varargs) {
    WEIR_ASSIGN(Value rest, rt_.list({args.positional.begin() + static_cast<ptrdiff_t>(count),
                                      args.positional.end()},
                                     Kind::kTuple));
    scope->set("varargs", std::move(rest));
  }
  if (s.uses_kwargs) {
    std::vector<std::pair<Value, Value>> entries;
    for (auto& [key, value] : extra) {
      WEIR_ASSIGN(Value name, rt_.text(key));
      entries.emplace_back(std::move(name), std::move(value));
    }
    WEIR_ASSIGN(Value rest, rt_.dict(std::move(entries)));
    scope->set("kwargs", std::move(rest));
  }
  if (s.uses_caller && !has_caller) scope->set("caller", rt_.undefined("No caller defined"));
  const size_t plain = s.parameters.size() - s.defaults.size();
  for (size_t i = 0; i < s.parameters.size(); ++i) {
    if (bound[i]) continue;
    if (i < plain) {
      scope->set(s.parameters[i],
                 rt_.undefined(fmt::format("parameter '{}' was not provided", s.parameters[i])));
    } else {
      const Inside inside(*this, scope);
      WEIR_ASSIGN(Value value, evaluate(*s.defaults[i - plain]));
      scope->set(s.parameters[i], std::move(value));
    }
  }
  return {};
}

Result<Value> Interpreter::call_macro(const Macro& macro, Args& args) {
  Scope* scope = open_scope(macro.scope);
  WEIR_TRY(bind(macro, args, scope));
  const Inside inside(*this, scope);
  return capture(*macro.body);
}

Result<Value> Interpreter::call_loop(Loop& loop, const Args& args) {
  if (!loop.stmt->recursive) {
    return rt_.fail("the loop must have the 'recursive' marker to be called recursively");
  }
  if (args.positional.size() != 1) return rt_.fail("loop() needs one argument");
  WEIR_ASSIGN(std::vector<Value> items, iterate(rt_, args.positional[0]));
  Text outer = std::exchange(out_, Text());
  Status status = loop_over(*loop.stmt, std::move(items), loop.scope, loop.depth0 + 1);
  Text written = std::exchange(out_, std::move(outer));
  if (!status.ok()) return std::move(status).error();
  return rt_.text(std::move(written));
}

Result<int64_t> Interpreter::loop_length(Loop& loop) {
  if (loop.stmt->test && !loop.tested) {  // what is left must pass the test first
    WEIR_TRY(peek(loop));
    std::vector<Value> rest;
    while (true) {
      WEIR_ASSIGN(std::optional<Value> item, pull(loop));
      if (!item) break;
      rest.push_back(std::move(*item));
    }
    loop.items = std::move(rest);
    loop.at = 0;
    loop.tested = true;
  }
  return loop.index0 + 1 + (loop.after ? 1 : 0) + static_cast<int64_t>(loop.items.size() - loop.at);
}

Result<Value> Interpreter::loop_attribute(Loop& loop, std::string_view name) {
  if (name == "index0") return Value::integer(loop.index0);
  if (name == "index") return Value::integer(loop.index0 + 1);
  if (name == "first") return Value::boolean(loop.index0 == 0);
  if (name == "depth0") return Value::integer(loop.depth0);
  if (name == "depth") return Value::integer(loop.depth0 + 1);
  if (name == "previtem") {
    return loop.index0 == 0 ? rt_.undefined("there is no previous item") : loop.before;
  }
  if (name == "last" || name == "nextitem") {
    WEIR_TRY(peek(loop));
    if (name == "last") return Value::boolean(!loop.after);
    return loop.after ? *loop.after : rt_.undefined("there is no next item");
  }
  if (name == "length" || name == "revindex" || name == "revindex0") {
    WEIR_ASSIGN(const int64_t length, loop_length(loop));
    if (name == "length") return Value::integer(length);
    return Value::integer(length - loop.index0 - (name == "revindex0" ? 1 : 0));
  }
  return rt_.undefined(fmt::format("'LoopContext object' has no attribute '{}'", name));
}

Result<Value> Interpreter::loop_method(Loop& loop, std::string_view name, const Args& args) {
  if (name == "cycle") {
    if (args.positional.empty()) return rt_.fail("no items for cycling given");
    return args.positional[static_cast<size_t>(loop.index0) % args.positional.size()];
  }
  WEIR_ASSIGN(const Value now, rt_.list(args.positional, Kind::kTuple));
  bool same = false;
  if (loop.changed) {
    WEIR_ASSIGN(same, equals(rt_, *loop.changed, now));
  }
  loop.changed = now;
  return Value::boolean(!same);
}

Result<Value> Interpreter::range(const Args& args) {
  Arguments a(rt_, args, "range");
  WEIR_TRY(a.accept({"start", "stop", "step"}));
  if (a.get(0) == nullptr) return rt_.fail("range() needs 1 to 3 arguments");
  int64_t start = 0;
  WEIR_ASSIGN(int64_t stop, a.integer(0, 0));
  if (a.get(1) != nullptr) {
    start = stop;
    WEIR_ASSIGN(stop, a.integer(1, 0));
  }
  WEIR_ASSIGN(const int64_t step, a.integer(2, 1));
  if (step == 0) return rt_.fail("range() needs a step that is not zero");
  constexpr int64_t kMost = 100'000;  // as Jinja's sandbox
  std::vector<Value> items;
  for (int64_t i = start; step > 0 ? i < stop : i > stop;) {
    if (static_cast<int64_t>(items.size()) >= kMost) {
      return rt_.fail("range() is longer than {}", kMost);
    }
    items.push_back(Value::integer(i));
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  return rt_.list(std::move(items), Kind::kRange);
}

Result<Value> Interpreter::strftime_now(const Args& args) {
  Arguments a(rt_, args, "strftime_now");
  WEIR_TRY(a.accept({"format"}));
  WEIR_ASSIGN(const Value format, a.required(0, "format"));
  if (!format.is_string()) return rt_.fail("strftime_now() needs a string");
  if (rt_.clock() == nullptr) return rt_.fail("strftime_now() has no clock here");
  const std::time_t now = rt_.clock()->unix_s();
  std::tm tm{};
  gmtime_r(&now, &tm);
  if (format.bytes().empty()) return rt_.text(Text());
  if (format.bytes().size() > 1000) return rt_.fail("strftime_now() needs a shorter format");
  std::string out(format.bytes().size() * 32 + 64, '\0');
  out.resize(std::strftime(out.data(), out.size(), format.bytes().c_str(), &tm));
  return rt_.text(std::move(out));
}

namespace {

Result<Value> make_dict(Runtime& rt, const Args& args) {
  std::vector<std::pair<Value, Value>> entries;
  if (args.positional.size() > 1) return rt.fail("dict() takes at most one positional argument");
  if (!args.positional.empty()) {
    const Value& from = args.positional[0];
    if (from.is_dict()) {
      entries = from.dict().entries;
    } else {
      WEIR_ASSIGN(const std::vector<Value> pairs, iterate(rt, from));
      for (const Value& pair : pairs) {
        WEIR_ASSIGN(std::vector<Value> both, iterate(rt, pair));
        if (both.size() != 2) return rt.fail("dict() needs pairs of key and value");
        WEIR_TRY(set_key(rt, entries, std::move(both[0]), std::move(both[1])));
      }
    }
  }
  for (const auto& [name, value] : args.named) {
    WEIR_ASSIGN(Value key, rt.text(name));
    WEIR_TRY(set_key(rt, entries, std::move(key), value));
  }
  return rt.dict(std::move(entries));
}

Result<Value> make_namespace(Runtime& rt, const Args& args) {
  WEIR_ASSIGN(const Value from, make_dict(rt, args));
  auto* ns = rt.make<Namespace>();
  for (const auto& [key, value] : from.dict().entries) {
    if (!key.is_string()) return rt.fail("attribute names must be strings");
    ns->attributes.emplace_back(key.bytes(), value);
  }
  return Value::object(Kind::kNamespace, ns);
}

}  // namespace

Result<Value> Interpreter::call_builtin(Builtin which, const Args& args) {
  switch (which) {
    case Builtin::kRange:
      return range(args);
    case Builtin::kDict:
      return make_dict(rt_, args);
    case Builtin::kNamespace:
      return make_namespace(rt_, args);
    case Builtin::kCycler: {
      if (args.positional.empty()) return rt_.fail("at least one item has to be provided");
      auto* cycler = rt_.make<Cycler>();
      cycler->items = args.positional;
      return Value::object(Kind::kCycler, cycler);
    }
    case Builtin::kJoiner: {
      Arguments a(rt_, args, "joiner");
      WEIR_TRY(a.accept({"sep"}));
      auto* joiner = rt_.make<Joiner>();
      WEIR_ASSIGN(joiner->separator, rt_.text(std::string(", ")));
      if (a.get(0) != nullptr) joiner->separator = *a.get(0);
      return Value::object(Kind::kJoiner, joiner);
    }
    case Builtin::kRaiseException: {
      Arguments a(rt_, args, "raise_exception");
      WEIR_TRY(a.accept({"message"}));
      WEIR_ASSIGN(const Value message, a.required(0, "message"));
      WEIR_ASSIGN(const Text text, to_text(rt_, message));
      return make_error(ErrorCode::kInvalidValue, "{}", text.bytes());
    }
    case Builtin::kStrftimeNow:
      return strftime_now(args);
  }
  return rt_.fail("an unknown function");
}

}  // namespace weir::text::jinja
