// What gateway.yaml calls the values of its enums: read, listed and told by one table each.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>
#include <vector>

#include "gateway/cache/prompt_budget.h"
#include "gateway/config.h"

namespace weir::gateway {

using EnumNames = std::array<std::string_view, 3>;

// The names of all values of the enum, in their order.
constexpr EnumNames names_of(CacheMode /*any*/) { return {"off", "auto", "always"}; }
constexpr EnumNames names_of(LeakCheck /*any*/) { return {"off", "log", "block"}; }
constexpr EnumNames names_of(PromptAction /*any*/) { return {"refuse", "truncate", "compress"}; }

template <typename E>
constexpr std::string_view name_of(E value) {
  return names_of(value)[static_cast<size_t>(value)];
}

// Precondition: the text is one of choices_of<E>().
template <typename E>
constexpr E value_of(std::string_view text) {
  const EnumNames names = names_of(E{});
  return static_cast<E>(std::find(names.begin(), names.end(), text) - names.begin());
}

template <typename E>
std::vector<std::string_view> choices_of() {
  const EnumNames names = names_of(E{});
  return {names.begin(), names.end()};
}

// A value that is put in among the others moves these.
static_assert(name_of(CacheMode::kOff) == "off" && name_of(CacheMode::kAlways) == "always");
static_assert(name_of(LeakCheck::kOff) == "off" && name_of(LeakCheck::kBlock) == "block");
static_assert(name_of(PromptAction::kRefuse) == "refuse" &&
              name_of(PromptAction::kCompress) == "compress");

}  // namespace weir::gateway
