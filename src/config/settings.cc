#include "config/settings.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace weir::config {
namespace {

constexpr size_t kMaxProblems = 10;  // of a file: beyond, it is hardly one of these keys

std::string_view origin_name(Origin origin) {
  switch (origin) {
    case Origin::kDefault:
      return "default";
    case Origin::kFile:
      return "file";
    case Origin::kEnvironment:
      return "environment";
    case Origin::kFlag:
      return "flag";
  }
  return "default";
}

// What is wrong with flags and variables, a line each.
Status as_usage(const std::vector<std::string>& problems) {
  if (problems.empty()) return {};
  return Error{ErrorCode::kUsage, fmt::format("{}", fmt::join(problems, "\n")), {}, 0.0};
}

class FileReader {
 public:
  FileReader(std::span<const Key> schema, std::vector<Setting>& settings, Problems& problems)
      : schema_(schema),
        settings_(settings),
        problems_(problems),
        most_(problems.count() + kMaxProblems) {}

  void read(const Node& map, const std::string& section) {
    for (const Member& m : map.members) {
      if (problems_.count() >= most_) return;
      const std::string path = section.empty() ? m.key : section + "." + m.key;
      const auto key = std::find_if(schema_.begin(), schema_.end(),
                                    [&](const Key& k) { return k.path == path; });
      if (key != schema_.end()) {
        take(static_cast<size_t>(key - schema_.begin()), m);
      } else if (is_section(path)) {
        read_section(m, path);
      } else {
        problems_.add(m.line, fmt::format("unknown key \"{}\"; the nearest is \"{}\"",
                                          path.substr(0, 100), nearest(path, schema_)));
      }
    }
  }

 private:
  bool is_section(const std::string& path) const {
    return std::any_of(schema_.begin(), schema_.end(),
                       [&](const Key& k) { return k.path.starts_with(path + "."); });
  }

  void read_section(const Member& m, const std::string& path) {
    if (m.value.kind == Node::Kind::kMap) return read(m.value, path);
    if (m.value.kind == Node::Kind::kNull) return;  // a section without keys
    problems_.add(m.line,
                  fmt::format("{} must be a map of keys, not {}", path, m.value.kind_name()));
  }

  void take(size_t index, const Member& m) {
    Setting& s = settings_[index];
    if (s.origin == Origin::kFile) {
      problems_.add(m.line, s.key->path + " stands twice");
      return;
    }
    auto value = parse_value(*s.key, m.value);
    if (!value.ok()) {
      problems_.add(m.line, fmt::format("{} {}", s.key->path, value.error().message));
      return;
    }
    s.value = std::move(*value);
    s.origin = Origin::kFile;
    s.where = fmt::format("{}:{}", problems_.file(), m.line);
  }

  std::span<const Key> schema_;
  std::vector<Setting>& settings_;
  Problems& problems_;
  const size_t most_;
};

// Lists in the environment are separated by commas.
Result<Value> from_environment(const Key& key, std::string_view text) {
  if (key.type != Type::kList) return parse_value(key, text);
  std::vector<std::string> list;
  while (!text.empty()) {
    const std::string_view item = text.substr(0, text.find(','));
    if (!item.empty()) list.emplace_back(item);
    text.remove_prefix(std::min(text.size(), item.size() + 1));
  }
  return Value(std::move(list));
}

void read_environment(const Sources& sources, Setting& s, std::vector<std::string>& problems) {
  if (!sources.environment) return;
  const std::string name = environment_name(s.key->path);
  const std::optional<std::string> text = sources.environment(name);
  if (!text.has_value()) return;
  auto value = from_environment(*s.key, *text);
  if (!value.ok()) {
    // Kubernetes sets WEIR_PORT and others in every pod beside a Service that is called weir.
    const char* remedy = text->starts_with("tcp://")
                             ? " (from a Kubernetes Service called weir? set enableServiceLinks: "
                               "false, or give the flag)"
                             : "";
    problems.push_back(fmt::format("{} {}{}", name, value.error().message, remedy));
    return;
  }
  s.value = std::move(*value);
  s.origin = Origin::kEnvironment;
  s.where = name;
}

void read_flag(const Sources& sources, Setting& s, std::vector<std::string>& problems) {
  const auto given = sources.flags.find(s.key->path);
  if (given == sources.flags.end() || given->second.empty()) return;
  s.origin = Origin::kFlag;
  s.where = s.key->flag;
  if (s.key->type == Type::kList) {
    s.value = given->second;
    return;
  }
  auto value = parse_value(*s.key, given->second.back());
  if (value.ok()) {
    s.value = std::move(*value);
  } else {
    problems.push_back(fmt::format("{} {}", s.key->flag, value.error().message));
  }
}

}  // namespace

std::vector<std::pair<std::string, std::string>> misspelt_variables(
    std::span<const Key> schema, std::span<const std::string> names) {
  constexpr std::string_view kPrefix = "WEIR_";
  constexpr size_t kSlips = 3;  // WEIR_SLO_ITL for WEIR_SLO_ITL_MS
  std::vector<std::string> known;
  for (const Key& key : schema) known.push_back(environment_name(key.path));
  std::vector<std::pair<std::string, std::string>> found;
  for (const std::string& name : names) {
    if (!name.starts_with(kPrefix)) continue;
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    const std::string best(nearest(name, known));
    // Of a short name half of the letters make another word.
    const size_t slips = std::min(kSlips, (name.size() - kPrefix.size()) / 2);
    if (edit_distance(name, best) <= slips) found.emplace_back(name, best);
  }
  return found;
}

Settings Settings::from_file(std::span<const Key> schema, const Node& file, Problems& problems) {
  Settings result;
  for (const Key& key : schema)
    result.settings_.push_back({&key, key.fallback, Origin::kDefault, "default"});
  if (file.kind == Node::Kind::kMap) {
    FileReader(schema, result.settings_, problems).read(file, "");
  } else if (file.kind != Node::Kind::kNull) {
    problems.add(file.line, fmt::format("must be a map of keys, not {}", file.kind_name()));
  }
  return result;
}

Result<Settings> Settings::resolve(std::span<const Key> schema, const Sources& sources) {
  Problems in_file(sources.file_name);
  Settings result = from_file(schema, sources.file, in_file);
  if (!in_file.empty()) return in_file.error();
  std::vector<std::string> given;
  for (Setting& s : result.settings_) {
    // A flag hides what the environment says, also where that is wrong.
    const auto flag = sources.flags.find(s.key->path);
    if (flag == sources.flags.end()) read_environment(sources, s, given);
    read_flag(sources, s, given);
  }
  WEIR_TRY(as_usage(given));
  return result;
}

const Setting& Settings::at(std::string_view path) const {
  const auto found = std::find_if(settings_.begin(), settings_.end(),
                                  [&](const Setting& s) { return s.key->path == path; });
  assert(found != settings_.end());
  return *found;
}

void Settings::take_reloadable(const Settings& next) {
  for (size_t i = 0; i < settings_.size(); ++i) {
    if (settings_[i].key->spec.reloadable) settings_[i] = next.settings_[i];
  }
}

std::vector<std::string> changed(const Settings& before, const Settings& after) {
  std::vector<std::string> paths;
  for (size_t i = 0; i < before.all().size(); ++i) {
    if (before.all()[i].value != after.all()[i].value) paths.push_back(before.all()[i].key->path);
  }
  return paths;
}

std::vector<std::string> not_reloadable(const Settings& before, const Settings& after) {
  std::vector<std::string> paths = changed(before, after);
  std::erase_if(paths, [&](const std::string& p) { return before.at(p).key->spec.reloadable; });
  return paths;
}

std::string show_table(const Settings& settings) {
  size_t widest = 0;
  for (const Setting& s : settings.all()) widest = std::max(widest, s.key->path.size());
  std::string out;
  for (const Setting& s : settings.all()) {
    std::string value = show(*s.key, s.value);
    if (!s.key->spec.unit.empty()) value += fmt::format(" {}", s.key->spec.unit);
    if (s.origin == Origin::kDefault && !s.key->spec.unset.empty())
      value = std::string(s.key->spec.unset);
    out += fmt::format("{:<{}}  {:<28}  {}{}\n", s.key->path, widest, value, s.where,
                       s.key->spec.reloadable ? " (reloadable)" : "");
  }
  return out;
}

std::string show_json(const Settings& settings) {
  std::string out = "[";
  for (const Setting& s : settings.all()) {
    if (out.size() > 1) out += ",";
    out += fmt::format(
        R"({{"key":"{}","value":{},"origin":"{}","where":"{}","reloadable":{},"unit":"{}"}})",
        s.key->path, show_json(*s.key, s.value), origin_name(s.origin), s.where,
        s.key->spec.reloadable, s.key->spec.unit);
  }
  return out + "]";
}

}  // namespace weir::config
