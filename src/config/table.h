// Keys bound to the fields of a struct of options: what is added here once is a flag, a WEIR_*
// variable, a key of the file, a row of `weir config show` and an assignment.
//
//   Table<Options> t;
//   t.add("limits.max_running", "--max-running", [](auto& o) -> auto& { return o.max_running; },
//         {.min = 1, .max = 4096, .help = "requests computed at once"});
//
// The type comes from the field, the default from a default-made struct.
#pragma once

#include <chrono>
#include <concepts>
#include <functional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "config/key.h"
#include "config/settings.h"

namespace weir::config {

inline Value to_value(bool v) { return v; }
inline Value to_value(const std::string& v) { return v; }
inline Value to_value(const std::vector<std::string>& v) { return v; }
template <typename T>
requires(std::integral<T> && !std::same_as<T, bool>) Value to_value(T v) {
  return static_cast<int64_t>(v);
}
template <std::floating_point T>
Value to_value(T v) {
  return static_cast<double>(v);
}
// Durations are integers of their own unit.
template <typename Rep, typename Period>
Value to_value(std::chrono::duration<Rep, Period> v) {
  return static_cast<int64_t>(v.count());
}

// The variant of `value` that fits the field; to_value's inverse.
template <typename T>
void assign(T& field, const Value& value) {
  if constexpr (std::is_same_v<T, bool>) {
    field = std::get<bool>(value);
  } else if constexpr (std::is_integral_v<T>) {
    field = static_cast<T>(std::get<int64_t>(value));
  } else if constexpr (std::is_floating_point_v<T>) {
    field = static_cast<T>(std::get<double>(value));
  } else if constexpr (std::is_same_v<T, std::string> ||
                       std::is_same_v<T, std::vector<std::string>>) {
    field = std::get<T>(value);
  } else {
    field = T(std::get<int64_t>(value));
  }
}

template <typename Options>
class Table {
 public:
  // field: from an Options& to the field, a reference. An integer's range has to fit its type.
  template <typename Field>
  void add(std::string path, std::string flag, Field field, Spec spec) {
    Options defaults;
    Key key;
    key.path = std::move(path);
    key.flag = std::move(flag);
    key.fallback = to_value(field(defaults));
    key.type = static_cast<Type>(key.fallback.index());
    key.spec = std::move(spec);
    keys_.push_back(std::move(key));
    assigns_.push_back([field](Options& o, const Value& v) { assign(field(o), v); });
  }

  const std::vector<Key>& keys() const { return keys_; }

  // The struct that the settings say. Precondition: they are resolved from keys().
  Options make(const Settings& settings) const {
    Options o;
    for (size_t i = 0; i < assigns_.size(); ++i) assigns_[i](o, settings.all()[i].value);
    return o;
  }

 private:
  std::vector<Key> keys_;
  std::vector<std::function<void(Options&, const Value&)>> assigns_;
};

}  // namespace weir::config
