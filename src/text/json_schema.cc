#include "text/json_schema.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <unordered_set>
#include <utility>
#include <vector>

#include "text/pattern.h"
#include "text/utf8.h"

namespace weir::text {
namespace {

constexpr int kMaxDepth = 64;           // of schemas within schemas and $refs behind $refs
constexpr int64_t kMaxSteps = 200'000;  // of schemas held against one answer
constexpr std::string_view kGaveUp = "takes too many steps to check";

const std::set<std::string_view> kAnnotations = {
    "$comment", "$defs",           "definitions", "title",    "description",
    "default",  "examples",        "deprecated",  "readOnly", "writeOnly",
    "format",   "contentEncoding", "$anchor",     "nullable", "strict"};
const std::set<std::string_view> kTypes = {"null",   "boolean", "integer", "number",
                                           "string", "array",   "object"};
// By what their value is.
const std::set<std::string_view> kSchemas = {
    "additionalProperties", "propertyNames", "items", "contains", "not", "if", "then", "else"};
const std::set<std::string_view> kSchemaLists = {"allOf", "anyOf", "oneOf", "prefixItems"};
const std::set<std::string_view> kSchemaMaps = {"properties", "patternProperties", "$defs",
                                                "definitions"};
const std::set<std::string_view> kCounts = {"minProperties", "maxProperties", "minItems",
                                            "maxItems",      "minLength",     "maxLength",
                                            "minContains",   "maxContains"};
const std::set<std::string_view> kNumbers = {"minimum", "maximum", "exclusiveMinimum",
                                             "exclusiveMaximum", "multipleOf"};

// JSON's equality: 1 and 1.0 are the same number, members have no order.
bool same(const Json& a, const Json& b) {
  if (a.is_number() && b.is_number()) return a.as_double() == b.as_double();
  if (a.is_array() && b.is_array()) {
    return std::equal(a.items().begin(), a.items().end(), b.items().begin(), b.items().end(), same);
  }
  if (a.is_object() && b.is_object()) {
    return a.size() == b.size() &&
           std::all_of(a.members().begin(), a.members().end(), [&b](const auto& member) {
             const Json* other = b.find(member.first);
             return other != nullptr && same(member.second, *other);
           });
  }
  return a == b;
}

bool is_integer(const Json& v) {
  return v.is_int() || (v.is_double() && std::floor(v.as_double()) == v.as_double());
}

bool is_type(const Json& v, std::string_view type) {
  if (type == "integer") return is_integer(v);
  if (type == "number") return v.is_number();
  return v.type_name() == type;
}

// "~1" and "~0" of a JSON pointer (RFC 6901 section 4).
std::string unescaped(std::string_view token) {
  std::string out;
  for (size_t i = 0; i < token.size(); ++i) {
    const bool escaped = token[i] == '~' && i + 1 < token.size();
    if (escaped) ++i;
    out += !escaped ? token[i] : token[i] == '1' ? '/' : '~';
  }
  return out;
}

// What "#/$defs/a" names in root; nullptr: nothing.
const Json* referred(const Json& root, std::string_view pointer) {
  if (!pointer.starts_with('#')) return nullptr;
  pointer.remove_prefix(1);
  const Json* at = &root;
  while (at != nullptr && !pointer.empty()) {
    if (pointer.front() != '/') return nullptr;
    pointer.remove_prefix(1);
    const size_t end = std::min(pointer.find('/'), pointer.size());
    const std::string token = unescaped(pointer.substr(0, end));
    pointer.remove_prefix(end);
    if (!at->is_array()) {
      at = at->find(token);
      continue;
    }
    size_t index = 0;
    const auto [stop, error] = std::from_chars(token.data(), token.data() + token.size(), index);
    const bool good = error == std::errc() && stop == token.data() + token.size();
    at = good && index < at->size() ? &at->items()[index] : nullptr;
  }
  return at;
}

class Checker {
 public:
  explicit Checker(const Json& root) : root_(root) {}

  Status check(const Json& schema, const std::string& place, int depth) {
    if (depth > kMaxDepth) return wrong(place, fmt::format("nests over {} deep", kMaxDepth));
    if (schema.is_bool()) return {};
    if (!schema.is_object()) return wrong(place, "must be an object, true or false");
    for (const auto& [key, value] : schema.members()) {
      WEIR_TRY(keyword(key, value, fmt::format("{}/{}", place, key), depth));
    }
    return {};
  }

 private:
  static Error wrong(const std::string& place, std::string_view what) {
    return make_error(ErrorCode::kInvalidValue, "schema{} {}", place.empty() ? "" : " " + place,
                      what);
  }

  Status keyword(const std::string& key, const Json& value, const std::string& place, int depth) {
    if (kSchemas.count(key) > 0) return check(value, place, depth + 1);
    if (kSchemaLists.count(key) > 0) return list(value, place, depth);
    if (kSchemaMaps.count(key) > 0) return map(key, value, place, depth);
    if (kCounts.count(key) > 0) {
      if (!is_integer(value) || value.as_double() < 0) return wrong(place, "must be a count");
    } else if (kNumbers.count(key) > 0) {
      if (!value.is_number()) return wrong(place, "must be a number");
      if (key == "multipleOf" && value.as_double() <= 0) return wrong(place, "must be above 0");
    } else if (key == "type") {
      return type(value, place);
    } else if (key == "required") {
      if (!texts(value)) return wrong(place, "must be a list of texts");
    } else if (key == "enum") {
      if (!value.is_array()) return wrong(place, "must be a list");
    } else if (key == "uniqueItems") {
      if (!value.is_bool()) return wrong(place, "must be true or false");
    } else if (key == "pattern") {
      return pattern(value, place);
    } else if (key == "$ref") {
      return reference(value, place, depth);
    } else if (key == "$id" || key == "$schema") {
      return identity(key, value, place, depth);
    } else if (key != "const" && kAnnotations.count(key) == 0) {
      return make_error(ErrorCode::kUnsupported, "schema {}: the keyword {} is not supported",
                        place, key);
    }
    return {};
  }

  // What it names may stand where no keyword looks.
  Status reference(const Json& value, const std::string& place, int depth) {
    const Json* target = value.is_string() ? referred(root_, value.as_string()) : nullptr;
    if (target == nullptr)
      return wrong(place, "must name a place in the schema itself, as \"#/$defs/a\" does");
    return referred_.insert(target).second ? check(*target, place, depth + 1) : Status();
  }

  // An $id below the root would move what "#" means; another $schema, what keywords do.
  static Status identity(const std::string& key, const Json& value, const std::string& place,
                         int depth) {
    const bool known =
        value.is_string() &&
        (key == "$id" || value.as_string().find("://json-schema.org/") != std::string::npos);
    if (depth == 0 && known) return {};
    return make_error(ErrorCode::kUnsupported, "schema {}: {} {}", place, key,
                      depth == 0 ? "must be one of json-schema.org" : "below the root is not read");
  }

  Status list(const Json& value, const std::string& place, int depth) {
    if (!value.is_array() || value.size() == 0) return wrong(place, "must be a list of schemas");
    for (size_t i = 0; i < value.size(); ++i) {
      WEIR_TRY(check(value.items()[i], fmt::format("{}/{}", place, i), depth + 1));
    }
    return {};
  }

  Status map(const std::string& key, const Json& value, const std::string& place, int depth) {
    if (!value.is_object()) return wrong(place, "must be an object of schemas");
    for (const auto& [name, schema] : value.members()) {
      const std::string inner = fmt::format("{}/{}", place, name);
      if (key == "patternProperties") WEIR_TRY(pattern(Json(name), inner));
      WEIR_TRY(check(schema, inner, depth + 1));
    }
    return {};
  }

  static bool texts(const Json& value) {
    return value.is_array() && std::all_of(value.items().begin(), value.items().end(),
                                           [](const Json& v) { return v.is_string(); });
  }

  static Status type(const Json& value, const std::string& place) {
    const auto known = [](const Json& v) {
      return v.is_string() && kTypes.count(v.as_string()) > 0;
    };
    if (known(value)) return {};
    if (value.is_array() && std::all_of(value.items().begin(), value.items().end(), known))
      return {};
    return wrong(place,
                 fmt::format("must be one of {}, or a list of them", fmt::join(kTypes, ", ")));
  }

  static Status pattern(const Json& value, const std::string& place) {
    if (!value.is_string()) return wrong(place, "must be a pattern");
    if (value.as_string().empty()) return {};
    const auto made = Pattern::make(value.as_string(), false);
    if (!made.ok()) return wrong(place, "breaks: " + made.error().message);
    return {};
  }

  const Json& root_;
  std::set<const Json*> referred_;
};

// The same text for values that same() holds for equal.
void append_canonical(const Json& v, std::string& out) {
  if (v.is_number()) {
    out += fmt::format("{}", v.as_double() + 0.0);  // -0 is 0
  } else if (v.is_array()) {
    out += '[';
    for (const Json& item : v.items()) {
      append_canonical(item, out);
      out += ',';
    }
    out += ']';
  } else if (v.is_object()) {
    std::map<std::string_view, const Json*> sorted;
    for (const auto& [name, value] : v.members()) sorted.emplace(name, &value);
    out += '{';
    for (const auto& [name, value] : sorted) {
      out += json_quote(name) + ":";
      append_canonical(*value, out);
      out += ',';
    }
    out += '}';
  } else {
    out += v.dump();
  }
}

bool has_equals(const Json& array) {
  std::unordered_set<std::string> seen;
  return std::any_of(array.items().begin(), array.items().end(), [&](const Json& item) {
    std::string text;
    append_canonical(item, text);
    return !seen.insert(std::move(text)).second;
  });
}

std::string at(const std::string& place, std::string_view what) {
  return fmt::format("{} {}", place.empty() ? "the value" : place, what);
}

class Validator {
 public:
  explicit Validator(const Json& root) : root_(root) {}

  std::string violation(const Json& schema, const Json& v, const std::string& place, int depth) {
    if (schema.is_bool()) return schema.as_bool() ? "" : at(place, "is not allowed");
    // For good: inside of "not" or "if" a violation would otherwise become its opposite.
    gave_up_ = gave_up_ || depth > kMaxDepth || ++steps_ > kMaxSteps;
    if (gave_up_) return at(place, kGaveUp);
    std::string wrong = of_any_type(schema, v, place);
    if (wrong.empty() && v.is_number()) wrong = of_number(schema, v.as_double(), place);
    if (wrong.empty() && v.is_string()) wrong = of_text(schema, v.as_string(), place);
    if (wrong.empty() && v.is_array()) wrong = of_array(schema, v, place, depth + 1);
    if (wrong.empty() && v.is_object()) wrong = of_object(schema, v, place, depth + 1);
    if (wrong.empty()) wrong = of_others(schema, v, place, depth + 1);
    return wrong;
  }

  // Whether a bound of steps or depth, or a pattern's, was met: nothing is known of the value then.
  bool gave_up() const { return gave_up_; }

 private:
  bool pattern_found(const std::string& pattern, const std::string& text) {
    if (pattern.empty()) return true;
    const auto made = Pattern::make(pattern, false);
    if (!made.ok()) return false;
    const Pattern::Found found = made->first_in(text);
    gave_up_ = gave_up_ || found.gave_up;
    return found.matches;
  }
  static std::optional<double> number(const Json& schema, std::string_view key) {
    const Json* v = schema.find(key);
    return v == nullptr ? std::nullopt : std::optional<double>(v->as_double());
  }
  // "": the size lies within schema[min] and schema[max].
  static std::string sized(const Json& schema, std::string_view min, std::string_view max,
                           size_t size, const std::string& place) {
    const auto n = static_cast<double>(size);
    if (const auto low = number(schema, min); low && n < *low)
      return at(place, fmt::format("is below {} {}", min, *low));
    if (const auto high = number(schema, max); high && n > *high)
      return at(place, fmt::format("is above {} {}", max, *high));
    return "";
  }

  static std::string of_any_type(const Json& schema, const Json& v, const std::string& place) {
    if (const Json* type = schema.find("type"); type != nullptr) {
      const bool good = type->is_string()
                            ? is_type(v, type->as_string())
                            : std::any_of(type->items().begin(), type->items().end(),
                                          [&](const Json& t) { return is_type(v, t.as_string()); });
      if (!good) return at(place, "must be of type " + type->dump());
    }
    if (const Json* one = schema.find("const"); one != nullptr && !same(*one, v))
      return at(place, "must be " + one->dump());
    if (const Json* some = schema.find("enum"); some != nullptr) {
      if (std::none_of(some->items().begin(), some->items().end(),
                       [&](const Json& one) { return same(one, v); }))
        return at(place, "must be one of " + some->dump());
    }
    return "";
  }

  static std::string of_number(const Json& schema, double v, const std::string& place) {
    if (const auto min = number(schema, "minimum"); min && v < *min)
      return at(place, fmt::format("is below minimum {}", *min));
    if (const auto max = number(schema, "maximum"); max && v > *max)
      return at(place, fmt::format("is above maximum {}", *max));
    if (const auto min = number(schema, "exclusiveMinimum"); min && v <= *min)
      return at(place, fmt::format("is not above {}", *min));
    if (const auto max = number(schema, "exclusiveMaximum"); max && v >= *max)
      return at(place, fmt::format("is not below {}", *max));
    if (const auto of = number(schema, "multipleOf"); of) {
      const double ratio = v / *of;
      if (!(std::abs(ratio - std::round(ratio)) <= 1e-9 * std::max(1.0, std::abs(ratio))))
        return at(place, fmt::format("is no multiple of {}", *of));
    }
    return "";
  }

  std::string of_text(const Json& schema, const std::string& v, const std::string& place) {
    if (std::string wrong = sized(schema, "minLength", "maxLength", count_characters(v), place);
        !wrong.empty())
      return wrong;
    const Json* pattern = schema.find("pattern");
    if (pattern != nullptr && !pattern_found(pattern->as_string(), v))
      return at(place, "does not match the pattern " + pattern->dump());
    return "";
  }

  std::string of_array(const Json& schema, const Json& v, const std::string& place, int depth) {
    if (std::string wrong = sized(schema, "minItems", "maxItems", v.size(), place); !wrong.empty())
      return wrong;
    const Json* first = schema.find("prefixItems");
    const Json* rest = schema.find("items");
    for (size_t i = 0; i < v.size(); ++i) {
      const bool prefixed = first != nullptr && i < first->size();
      const Json* own = prefixed ? &first->items()[i] : rest;
      if (own == nullptr) continue;
      std::string wrong = violation(*own, v.items()[i], fmt::format("{}/{}", place, i), depth);
      if (!wrong.empty()) return wrong;
    }
    const Json* unique = schema.find("uniqueItems");
    if (unique != nullptr && unique->as_bool()) {
      steps_ += static_cast<int64_t>(v.size());
      if (has_equals(v)) return at(place, "holds an item twice");
    }
    return contains(schema, v, place, depth);
  }

  std::string contains(const Json& schema, const Json& v, const std::string& place, int depth) {
    const Json* wanted = schema.find("contains");
    if (wanted == nullptr) return "";
    const auto count = static_cast<double>(std::count_if(
        v.items().begin(), v.items().end(),
        [&](const Json& item) { return violation(*wanted, item, place, depth).empty(); }));
    if (count < number(schema, "minContains").value_or(1))
      return at(place, "holds too few items that \"contains\" asks for");
    if (const auto max = number(schema, "maxContains"); max && count > *max)
      return at(place, "holds too many items that \"contains\" counts");
    return "";
  }

  std::string of_object(const Json& schema, const Json& v, const std::string& place, int depth) {
    if (std::string wrong = sized(schema, "minProperties", "maxProperties", v.size(), place);
        !wrong.empty())
      return wrong;
    if (const Json* required = schema.find("required"); required != nullptr) {
      for (const Json& name : required->items()) {
        if (v.find(name.as_string()) == nullptr)
          return at(place, fmt::format("lacks {}", name.dump()));
      }
    }
    for (const auto& [name, value] : v.members()) {
      std::string wrong = member(schema, name, value, fmt::format("{}/{}", place, name), depth);
      if (!wrong.empty()) return wrong;
    }
    return "";
  }

  std::string member(const Json& schema, const std::string& name, const Json& value,
                     const std::string& place, int depth) {
    std::vector<const Json*> apply;
    const Json* properties = schema.find("properties");
    const Json* own = properties == nullptr ? nullptr : properties->find(name);
    if (own != nullptr) apply.push_back(own);
    if (const Json* patterns = schema.find("patternProperties"); patterns != nullptr) {
      for (const auto& [pattern, inner] : patterns->members()) {
        if (pattern_found(pattern, name)) apply.push_back(&inner);
      }
    }
    const Json* others = schema.find("additionalProperties");
    if (apply.empty() && others != nullptr) apply.push_back(others);
    for (const Json* inner : apply) {
      std::string wrong = violation(*inner, value, place, depth);
      if (!wrong.empty()) return wrong;
    }
    const Json* names = schema.find("propertyNames");
    return names == nullptr ? "" : violation(*names, Json(name), place, depth);
  }

  // What refers to other schemas for the same value.
  std::string of_others(const Json& schema, const Json& v, const std::string& place, int depth) {
    if (const Json* ref = schema.find("$ref"); ref != nullptr) {
      std::string wrong = violation(*referred(root_, ref->as_string()), v, place, depth);
      if (!wrong.empty()) return wrong;
    }
    if (const Json* all = schema.find("allOf"); all != nullptr) {
      for (const Json& one : all->items()) {
        std::string wrong = violation(one, v, place, depth);
        if (!wrong.empty()) return wrong;
      }
    }
    const auto fitting = [&](const Json& list) {
      return std::count_if(list.items().begin(), list.items().end(), [&](const Json& one) {
        return violation(one, v, place, depth).empty();
      });
    };
    if (const Json* any = schema.find("anyOf"); any != nullptr && fitting(*any) == 0)
      return at(place, "fits none of anyOf");
    if (const Json* one = schema.find("oneOf"); one != nullptr && fitting(*one) != 1)
      return at(place, fmt::format("fits {} of oneOf", fitting(*one)));
    if (const Json* no = schema.find("not");
        no != nullptr && violation(*no, v, place, depth).empty())
      return at(place, "fits what \"not\" excludes");
    return conditional(schema, v, place, depth);
  }

  std::string conditional(const Json& schema, const Json& v, const std::string& place, int depth) {
    const Json* condition = schema.find("if");
    if (condition == nullptr) return "";
    const bool holds = violation(*condition, v, place, depth).empty();
    const Json* branch = schema.find(holds ? "then" : "else");
    return branch == nullptr ? "" : violation(*branch, v, place, depth);
  }

  const Json& root_;
  int64_t steps_ = 0;
  bool gave_up_ = false;
};

}  // namespace

Status check_schema(const Json& schema) { return Checker(schema).check(schema, "", 0); }

SchemaVerdict judge_by_schema(const Json& schema, const Json& value) {
  Validator validator(schema);
  std::string violation = validator.violation(schema, value, "", 0);
  if (validator.gave_up()) return {at("", kGaveUp), true};
  return {std::move(violation), false};
}

}  // namespace weir::text
