#include "ops/lint/flag_rules.h"

#include <fmt/format.h>

#include <algorithm>

#include "config/key.h"
#include "ops/engines/catalog.h"
#include "ops/engines/renames.h"

namespace weir::ops {
namespace {

// Flags whose value may be left out though their type has one.
bool value_optional(const EngineOption& o) {
  return o.type == OptionType::kList || o.name == "--hf-token";
}

class FlagCheck {
 public:
  FlagCheck(const CallView& call, const LintRules& rules) : call_(call), rules_(rules) {}

  std::vector<Finding> run() {
    for (const Setting& s : call_.settings->all) check(s);
    check_positional();
    return std::move(out_);
  }

 private:
  const EngineSnapshot& snapshot() const { return *call_.snapshot; }
  bool is_file() const { return call_.deployment->form == ConfigForm::kKeys; }

  FactSet words(const Setting& s) const {
    FactSet w;
    w.set("engine", snapshot().engine());
    w.set("version", snapshot().version());
    w.set("flag", s.written);
    std::string values;
    for (const Word& v : s.values) values += (values.empty() ? "" : " ") + v.text;
    w.set("value", values);
    return w;
  }

  void add(std::string_view rule, const Setting& s, const FactSet& w) {
    out_.push_back(rules_.make(rule, s.line, w));
  }

  void check(const Setting& s) {
    if (s.written == "--" || s.written.starts_with("-$")) return;
    if (s.option == nullptr) return unknown(s);
    FactSet w = words(s);
    if (s.abbreviated) {
      w.set("nearest", s.option->name);
      add("flag-abbreviated", s, w);
    }
    deprecated(s);
    if (is_file()) {
      check_file_value(s);
    } else {
      check_value(s);
    }
    check_twice(s);
  }

  // Not in this version: perhaps in another.
  void unknown(const Setting& s) {
    FactSet w = words(s);
    if (is_file() && !snapshot().keys().empty()) {
      w.set("nearest", std::string(snapshot().nearest_key(s.written)));
      return add("key-unknown", s, w);
    }
    const std::string flag = is_file() ? "--" + s.written : s.written;
    std::string before, after, name = flag;
    for (const EngineVersion& v : engine_versions()) {
      if (v.engine != snapshot().engine() || v.version == snapshot().version()) continue;
      const auto other = engine_snapshot(v.engine, v.version);
      const EngineOption* o = other.ok() ? other->find_flag(flag).option : nullptr;
      if (o == nullptr) continue;
      name = o->name;
      const bool older = compare_versions(v.version, snapshot().version()) < 0;
      (older ? before : after) = v.version;
    }
    const Rename* rename = find_rename(snapshot().engine(), name);
    if (!before.empty() || rename != nullptr) return removed(s, before, rename);
    w.set("nearest", std::string(snapshot().nearest_flag(flag)));
    w.set("other", after);
    add(after.empty() ? "flag-unknown" : "flag-too-new", s, w);
  }

  void removed(const Setting& s, const std::string& before, const Rename* rename) {
    FactSet w = words(s);
    const std::string instead = rename == nullptr    ? "drop it, or see the release notes"
                                : rename->to.empty() ? rename->instead
                                                     : "use " + rename->to;
    const std::string since = rename != nullptr && !rename->since.empty()
                                  ? fmt::format(", gone since {}", rename->since)
                                  : "";
    w.set("other", (before.empty() ? "an older version" : before) + since);
    w.set("instead", instead);
    w.set("detail", instead);
    add(rename != nullptr && rename->still_taken ? "flag-deprecated" : "flag-removed", s, w);
  }

  void deprecated(const Setting& s) {
    if (s.option->deprecated.empty()) return;
    // vLLM's --model: no harm where the image's program takes no positional word.
    if (s.option->name == "--model" && call_.settings->positional.empty() &&
        call_.deployment->form != ConfigForm::kCommand)
      return;
    FactSet w = words(s);
    const Rename* rename = find_rename(snapshot().engine(), s.option->name);
    w.set("detail", s.option->deprecated +
                        (rename != nullptr && !rename->to.empty() ? "; " + rename->to : ""));
    add("flag-deprecated", s, w);
  }

  void wrong_value(const Setting& s, const std::string& problem) {
    FactSet w = words(s);
    w.set("detail", problem);
    add("flag-value", s, w);
  }

  void check_value(const Setting& s) {
    FactSet w = words(s);
    const bool is_switch = s.json_key.empty() && (s.negated || s.option->type == OptionType::kBool);
    if (is_switch) {
      if (s.values.empty() || s.values[0].expands) return;
      if (s.option->negatable) w.set("detail", ", or its negation");
      return add("flag-takes-no-value", s, w);
    }
    if (s.values.empty()) {
      if (!value_optional(*s.option)) add("flag-no-value", s, w);
      return;
    }
    if (!s.json_key.empty()) return check_member(s);
    const bool human = snapshot().engine() == "vllm";
    for (const Word& v : s.values) {
      if (v.expands) continue;
      if (const std::string p = value_problem(*s.option, v.text, human); !p.empty())
        return wrong_value(s, p);
      check_known(s, v.text);
    }
  }

  // Of values that plugins may add to: those that the engine itself names. A path or the name of a
  // class is no such name.
  void check_known(const Setting& s, const std::string& value) {
    const std::vector<std::string>& known = s.option->known_values;
    if (known.empty() || value.find_first_of("./") != std::string::npos ||
        std::find(known.begin(), known.end(), value) != known.end())
      return;
    FactSet w = words(s);
    w.set("value", value);
    w.set("nearest", std::string(config::nearest(value, known)));
    add("value-not-named", s, w);
  }

  void check_member(const Setting& s) {
    const std::string member = s.json_key.substr(0, s.json_key.find('.'));
    const auto& known = s.option->json_keys;
    if (known.empty() || std::find(known.begin(), known.end(), member) != known.end()) return;
    FactSet w = words(s);
    w.set("nearest", fmt::format("{}.{}", s.option->name, config::nearest(member, known)));
    add("flag-unknown", s, w);
  }

  void check_file_value(const Setting& s) {
    if (s.values.empty() || s.values[0].expands) return;
    if (!s.json_key.empty()) return check_member(s);
    const bool human = snapshot().engine() == "vllm";
    if (const std::string p = value_problem(*s.option, s.values[0].text, human); !p.empty())
      return wrong_value(s, p);
    check_known(s, s.values[0].text);
  }

  void check_twice(const Setting& s) {
    if (is_file() || s.option->repeatable || s.option->type == OptionType::kList) return;
    const Setting* first = nullptr;
    for (const Setting& other : call_.settings->all) {
      if (&other == &s) break;
      if (other.option == s.option && other.json_key == s.json_key) first = &other;
    }
    if (first == nullptr) return;
    FactSet w = words(s);
    w.set("other", fmt::format("{}", first->line));
    add("flag-twice", s, w);
  }

  // The model is one word in front; of engines that take it as a flag there is none.
  void check_positional() {
    const std::string& engine = snapshot().engine();
    const bool takes_model = engine == "vllm" || engine == "tensorrt-llm" || engine == "lmdeploy";
    size_t allowed = takes_model ? 1 : 0;
    for (const Word& v : call_.settings->positional) {
      if (v.expands) continue;
      if (allowed > 0) {
        --allowed;
        continue;
      }
      FactSet w;
      w.set("value", v.text);
      out_.push_back(rules_.make("flag-stray", v.line, w));
    }
  }

  const CallView& call_;
  const LintRules& rules_;
  std::vector<Finding> out_;
};

}  // namespace

std::vector<Finding> check_flags(const CallView& call, const LintRules& rules) {
  return FlagCheck(call, rules).run();
}

}  // namespace weir::ops
