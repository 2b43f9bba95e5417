#include "ops/engines/snapshot.h"

#include <algorithm>
#include <array>
#include <cstdlib>

#include "config/key.h"
#include "config/yaml.h"

namespace weir::ops {
namespace {

using config::Node;

constexpr config::YamlLimits kLimits{.max_bytes = 1 << 20, .max_depth = 8, .max_values = 50'000};

// How an engine's parser bends names.
struct Style {
  bool underscores = false;    // --max_model_len is --max-model-len
  bool abbreviations = false;  // argparse takes a beginning that is unique
  bool json_members = false;   // --flag.key sets a member
};

Style style_of(std::string_view engine) {
  if (engine == "vllm") return {true, true, true};
  if (engine == "llama.cpp") return {true, false, false};
  return {false, engine == "sglang" || engine == "dynamo" || engine == "lmdeploy", false};
}

std::optional<OptionType> type_of(std::string_view name) {
  constexpr std::array<std::pair<std::string_view, OptionType>, 7> kTypes{
      {{"int", OptionType::kInt},
       {"float", OptionType::kFloat},
       {"bool", OptionType::kBool},
       {"str", OptionType::kText},
       {"choice", OptionType::kChoice},
       {"list", OptionType::kList},
       {"json", OptionType::kJson}}};
  for (const auto& [text, type] : kTypes) {
    if (text == name) return type;
  }
  return std::nullopt;
}

std::string text_of(const Node* n) {
  return n != nullptr && n->kind == Node::Kind::kScalar ? n->text : "";
}

std::vector<std::string> texts_of(const Node* n) {
  std::vector<std::string> out;
  if (n == nullptr) return out;
  for (const Node& item : n->items) out.push_back(item.text);
  return out;
}

// A list as "[a, b]", a map as "{...}".
std::optional<std::string> fallback_of(const Node* n) {
  if (n == nullptr || n->kind == Node::Kind::kNull) return std::nullopt;
  if (n->kind == Node::Kind::kScalar) return n->text;
  if (n->kind == Node::Kind::kMap) return n->members.empty() ? "{}" : "{...}";
  std::string out = "[";
  for (const Node& item : n->items) {
    if (out.size() > 1) out += ", ";
    out += item.text;
  }
  return out + "]";
}

std::optional<double> number_of(const Node* n) {
  if (n == nullptr) return std::nullopt;
  char* end = nullptr;
  const double v = std::strtod(n->text.c_str(), &end);
  return end == n->text.c_str() ? std::nullopt : std::optional(v);
}

Result<EngineOption> option_of(const Node& n, std::string_view file) {
  EngineOption o;
  o.name = text_of(n.find("name"));
  const auto type = type_of(text_of(n.find("type")));
  if (o.name.empty() || !type) {
    return make_error(ErrorCode::kCorrupt, "{}:{}: an option needs a name and a type", file,
                      n.line);
  }
  o.type = *type;
  o.aliases = texts_of(n.find("aliases"));
  o.fallback = fallback_of(n.find("default"));
  o.fallback_note = text_of(n.find("default_note"));
  o.choices = texts_of(n.find("choices"));
  o.open_choices = n.find("choices_note") != nullptr;
  o.known_values = texts_of(n.find("known_values"));
  o.json_keys = texts_of(n.find("json_keys"));
  o.min = number_of(n.find("min"));
  o.above = number_of(n.find("above"));
  o.max = number_of(n.find("max"));
  o.below = number_of(n.find("below"));
  o.negated = texts_of(n.find("negated"));
  o.negatable = text_of(n.find("negatable")) == "true" || !o.negated.empty();
  o.repeatable = text_of(n.find("repeatable")) == "true";
  o.env = text_of(n.find("env"));
  o.group = text_of(n.find("group"));
  o.deprecated = text_of(n.find("deprecated"));
  return o;
}

Status read_options(const Node* list, std::string_view file, std::vector<EngineOption>& out) {
  if (list == nullptr) return {};
  for (const Node& n : list->items) {
    WEIR_ASSIGN(EngineOption o, option_of(n, file));
    out.push_back(std::move(o));
  }
  return {};
}

std::string dashes(std::string_view flag) {
  std::string out(flag);
  std::replace(out.begin(), out.end(), '_', '-');
  return out;
}

}  // namespace

Result<EngineSnapshot> EngineSnapshot::parse(std::string_view text, std::string_view name) {
  WEIR_ASSIGN(const Node root, config::parse_yaml(text, name, kLimits));
  EngineSnapshot s;
  s.engine_ = text_of(root.find("engine"));
  s.version_ = text_of(root.find("version"));
  if (s.engine_.empty() || s.version_.empty())
    return make_error(ErrorCode::kCorrupt, "{}:1: must say engine and version", name);
  WEIR_TRY(read_options(root.find("flags"), name, s.flags_));
  WEIR_TRY(read_options(root.find("keys"), name, s.keys_));
  s.index();
  return s;
}

// A name that stands twice (in groups of its own) is the first.
void EngineSnapshot::index() {
  for (size_t i = 0; i < flags_.size(); ++i) {
    const EngineOption& o = flags_[i];
    std::vector<std::string> names{o.name};
    names.insert(names.end(), o.aliases.begin(), o.aliases.end());
    for (const std::string& name : names) flag_names_.try_emplace(name, Entry{i, false});
    if (!o.negatable) continue;
    for (const std::string& name : o.negated) flag_names_.try_emplace(name, Entry{i, true});
    if (!o.negated.empty()) continue;
    for (const std::string& name : names) {
      if (name.starts_with("--")) flag_names_.try_emplace("--no-" + name.substr(2), Entry{i, true});
    }
  }
  for (size_t i = 0; i < keys_.size(); ++i) {
    key_names_.try_emplace(keys_[i].name, i);
    for (const std::string& alias : keys_[i].aliases) key_names_.try_emplace(alias, i);
  }
  for (const auto& [name, entry] : flag_names_) flag_spellings_.push_back(name);
  for (const auto& [name, entry] : key_names_) key_spellings_.push_back(name);
}

EngineSnapshot::Found EngineSnapshot::find_exact(std::string_view flag) const {
  const auto it = flag_names_.find(flag);
  if (it == flag_names_.end()) return {};
  return {&flags_[it->second.option], it->second.negated, false, ""};
}

EngineSnapshot::Found EngineSnapshot::find_abbreviation(std::string_view flag) const {
  Found found;
  for (auto it = flag_names_.lower_bound(flag);
       it != flag_names_.end() && it->first.starts_with(flag); ++it) {
    const EngineOption* option = &flags_[it->second.option];
    if (found.option != nullptr && (found.option != option || found.negated != it->second.negated))
      return {};
    found = {option, it->second.negated, true, ""};
  }
  return found;
}

EngineSnapshot::Found EngineSnapshot::find_flag(std::string_view flag) const {
  const Style style = style_of(engine_);
  if (Found f = find_exact(flag); f.option != nullptr) return f;
  const std::string bent =
      style.underscores && flag.starts_with("--") ? dashes(flag) : std::string(flag);
  if (Found f = find_exact(bent); f.option != nullptr) return f;
  const size_t point = flag.find('.');
  if (style.json_members && point != std::string_view::npos) {
    Found f = find_flag(flag.substr(0, point));
    if (f.option != nullptr && f.option->type == OptionType::kJson) {
      f.json_key = flag.substr(point + 1);
      return f;
    }
    return {};
  }
  if (style.abbreviations && bent.starts_with("--") && bent.size() > 3)
    return find_abbreviation(bent);
  return {};
}

const EngineOption* EngineSnapshot::find_key(std::string_view dotted) const {
  const auto it = key_names_.find(dotted);
  return it == key_names_.end() ? nullptr : &keys_[it->second];
}

std::string_view EngineSnapshot::nearest_flag(std::string_view flag) const {
  return config::nearest(dashes(flag), flag_spellings_);
}

std::string_view EngineSnapshot::nearest_key(std::string_view dotted) const {
  return config::nearest(dotted, key_spellings_);
}

}  // namespace weir::ops
