// What every operation of a rendering shares: budgets, the arena, errors with their line. One
// Runtime serves one rendering on one thread.
#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "text/jinja/budgets.h"
#include "text/jinja/value.h"

namespace weir::text::jinja {

class Runtime {
 public:
  Runtime(const Budgets& budgets, const Clock* clock) : budgets_(budgets), clock_(clock) {}
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  // Spends steps; kSchemaTooComplex when steps or memory are spent.
  Status charge(uint64_t steps);
  Status charge_text(size_t bytes) { return charge(bytes / 1024); }
  Status charge_items(size_t items) { return charge(items / 16); }
  // kSchemaTooComplex when a text of so many bytes would pass the bound, before it is made.
  Status check_text(size_t bytes) const;

  // Result or error at the current line.
  Result<Value> text(Text text, bool markup = false);
  Result<Value> text(std::string bytes) { return text(Text(std::move(bytes))); }
  Result<Value> list(std::vector<Value> items, Kind kind = Kind::kList);
  Result<Value> dict(std::vector<std::pair<Value, Value>> entries);
  Value undefined(std::string why);
  template <typename T>
  T* make() {
    auto owned = std::make_unique<T>();
    T* object = owned.get();
    meter_.live_bytes += sizeof(T) + 2 * sizeof(void*);
    arena_.push_back(std::move(owned));
    return object;
  }

  // kInvalidValue with the current line.
  template <typename... A>
  [[nodiscard]] Error fail(fmt::format_string<A...> format, A&&... args) const {
    return at_line(ErrorCode::kInvalidValue, fmt::format(format, std::forward<A>(args)...));
  }
  [[nodiscard]] Error at_line(ErrorCode code, std::string_view what) const {
    return make_error(code, "chat template line {}: {}", line_, what);
  }
  // The error of using an undefined value.
  [[nodiscard]] Error undefined_error(const Value& v) const;

  void set_line(int line) { line_ = line; }
  int line() const { return line_; }
  const Clock* clock() const { return clock_; }
  const Budgets& budgets() const { return budgets_; }
  Meter* meter() { return &meter_; }

  // Counts one level of recursion while it lives.
  class Deeper {
   public:
    explicit Deeper(Runtime& rt) : rt_(rt) { ++rt_.depth_; }
    ~Deeper() { --rt_.depth_; }
    Deeper(const Deeper&) = delete;
    Deeper& operator=(const Deeper&) = delete;
    Status check() const;

   private:
    Runtime& rt_;
  };

 private:
  const Budgets budgets_;
  const Clock* clock_;
  Meter meter_;  // before the arena: values count themselves out of it
  std::vector<std::unique_ptr<Object>> arena_;
  uint64_t steps_ = 0;
  int depth_ = 0;
  int line_ = 1;
};

// Reads arguments by position or name, as Python binds them.
class Arguments {
 public:
  // `first`: how many leading positional values are operands rather than arguments.
  Arguments(Runtime& rt, const Args& args, std::string_view callee, size_t first = 0)
      : rt_(rt), args_(args), callee_(callee), first_(first) {}

  // Error when there are more arguments or other names than these, or one twice.
  Status accept(std::initializer_list<std::string_view> names);
  // The argument of that place in accept()'s list; nullptr when not given.
  const Value* get(size_t i) const { return found_[i]; }
  Result<int64_t> integer(size_t i, int64_t fallback) const;
  Result<bool> boolean(size_t i, bool fallback) const;
  // Error when not given.
  Result<Value> required(size_t i, std::string_view name) const;

 private:
  Runtime& rt_;
  const Args& args_;
  std::string_view callee_;
  size_t first_;
  std::vector<const Value*> found_;
};

}  // namespace weir::text::jinja
