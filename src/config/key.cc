#include "config/key.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>

namespace weir::config {
namespace {

constexpr size_t kShownBytes = 60;      // of a wrong value, in an error
constexpr size_t kComparedBytes = 128;  // of a name, for its edit distance

std::string number_text(double v) {
  return v == std::floor(v) && std::abs(v) < 1e15 ? fmt::format("{}", static_cast<int64_t>(v))
                                                  : fmt::format("{}", v);
}

Error wrong(const Key& key, std::string_view text) {
  if (key.spec.secret) return make_error(ErrorCode::kUsage, "must be {}", describe(key));
  return make_error(ErrorCode::kUsage, "must be {}, not \"{}\"", describe(key),
                    text.substr(0, kShownBytes));
}

bool in_range(const Key& key, double v) { return v >= key.spec.min && v <= key.spec.max; }

template <typename T>
bool read_number(std::string_view text, T& value) {
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  return ec == std::errc() && end == text.data() + text.size();
}

std::string json_text(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  return out + '"';
}

bool is_empty(const Value& value) {
  const auto* text = std::get_if<std::string>(&value);
  const auto* list = std::get_if<std::vector<std::string>>(&value);
  return (text != nullptr && text->empty()) || (list != nullptr && list->empty());
}

}  // namespace

std::string environment_name(std::string_view path) {
  std::string name = "WEIR_";
  for (const char c : path)
    name += c == '.' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  return name;
}

namespace {
std::string listed(const std::vector<std::string_view>& choices) {
  std::string out;
  for (const std::string_view c : choices) {
    if (c.empty()) continue;  // "not given"
    out += out.empty() ? "" : ", ";
    out += c;
  }
  return out;
}
}  // namespace

std::string describe(const Key& key) {
  const Spec& s = key.spec;
  std::string range;
  if (std::isfinite(s.min) && std::isfinite(s.max)) {
    range = fmt::format(" from {} to {}", number_text(s.min), number_text(s.max));
  } else if (std::isfinite(s.min)) {
    range = fmt::format(" of at least {}", number_text(s.min));
  }
  if (!s.unit.empty()) range += fmt::format(" {}", s.unit);
  switch (key.type) {
    case Type::kBool:
      return "true or false";
    case Type::kInt:
      return "an integer" + range;
    case Type::kNumber:
      return "a number" + range;
    case Type::kText:
      return s.choices.empty() ? "a text" : "one of " + listed(s.choices);
    case Type::kList:
      return "a list of texts";
  }
  return "a text";
}

Result<Value> parse_value(const Key& key, std::string_view text) {
  switch (key.type) {
    case Type::kBool:
      if (text == "true") return Value(true);
      if (text == "false") return Value(false);
      return wrong(key, text);
    case Type::kInt: {
      int64_t v = 0;
      if (!read_number(text, v) || !in_range(key, static_cast<double>(v))) return wrong(key, text);
      return Value(v);
    }
    case Type::kNumber: {
      double v = 0;
      if (!read_number(text, v) || !std::isfinite(v) || !in_range(key, v)) return wrong(key, text);
      return Value(v);
    }
    case Type::kText: {
      const auto& choices = key.spec.choices;
      if (!choices.empty() && std::find(choices.begin(), choices.end(), text) == choices.end())
        return wrong(key, text);
      return Value(std::string(text));
    }
    case Type::kList:
      return Value(std::vector<std::string>{std::string(text)});
  }
  return wrong(key, text);
}

Result<Value> parse_value(const Key& key, const Node& node) {
  if (node.kind == Node::Kind::kScalar) return parse_value(key, node.text);
  if (node.kind != Node::Kind::kList || key.type != Type::kList)
    return make_error(ErrorCode::kUsage, "must be {}, not {}", describe(key), node.kind_name());
  std::vector<std::string> list;
  for (const Node& item : node.items) {
    if (item.kind != Node::Kind::kScalar)
      return make_error(ErrorCode::kUsage, "must be {}, and holds {}", describe(key),
                        item.kind_name());
    list.push_back(item.text);
  }
  return Value(std::move(list));
}

std::string show(const Key& key, const Value& value) {
  if (key.spec.secret) return is_empty(value) ? "" : "***";
  switch (key.type) {
    case Type::kBool:
      return std::get<bool>(value) ? "true" : "false";
    case Type::kInt:
      return std::to_string(std::get<int64_t>(value));
    case Type::kNumber:
      return number_text(std::get<double>(value));
    case Type::kText:
      return std::get<std::string>(value);
    case Type::kList:
      return fmt::format("{}", fmt::join(std::get<std::vector<std::string>>(value), ", "));
  }
  return "";
}

std::string show_json(const Key& key, const Value& value) {
  if (key.type == Type::kText || key.spec.secret) return json_text(show(key, value));
  if (key.type != Type::kList) return show(key, value);
  std::string out = "[";
  for (const std::string& item : std::get<std::vector<std::string>>(value))
    out += (out.size() > 1 ? "," : "") + json_text(item);
  return out + "]";
}

// Levenshtein: insertions, deletions and replacements between the two.
size_t edit_distance(std::string_view a, std::string_view b) {
  a = a.substr(0, kComparedBytes);
  b = b.substr(0, kComparedBytes);
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0]++;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

namespace {

constexpr size_t kLeastWord = 3;  // shorter ones are in too many names

std::string letters_and_digits(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c >= 'A' && c <= 'Z') out += static_cast<char>(c - 'A' + 'a');
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) out += c;
  }
  return out;
}

}  // namespace

// A name that holds the whole word ("h100", "llama3") is nearer than any that only looks like it.
std::string_view nearest(std::string_view name, std::span<const std::string> names) {
  std::string_view best;
  size_t best_distance = SIZE_MAX;
  const std::string word = letters_and_digits(name);
  for (const std::string& candidate : names) {
    const bool holds =
        word.size() >= kLeastWord && letters_and_digits(candidate).find(word) != std::string::npos;
    if (holds && (best.empty() || candidate.size() < best.size())) best = candidate;
  }
  if (!best.empty()) return best;
  for (const std::string& candidate : names) {
    const size_t d = edit_distance(name, candidate);
    if (d < best_distance) {
      best_distance = d;
      best = candidate;
    }
  }
  return best;
}

std::string_view nearest(std::string_view path, std::span<const Key> keys) {
  std::string_view best;
  size_t best_distance = SIZE_MAX;
  for (const Key& key : keys) {
    // A name without its section is a likely slip: "itl_ms" for "slo.itl_ms".
    const std::string_view name = std::string_view(key.path).substr(key.path.rfind('.') + 1);
    const size_t d = std::min(2 * edit_distance(path, key.path), 2 * edit_distance(path, name) + 1);
    if (d < best_distance) {
      best_distance = d;
      best = key.path;
    }
  }
  return best;
}

}  // namespace weir::config
