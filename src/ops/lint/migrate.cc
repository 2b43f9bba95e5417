#include "ops/lint/migrate.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>

#include "ops/deploy/arguments.h"
#include "ops/deploy/read.h"
#include "ops/engines/catalog.h"
#include "ops/engines/engine_facts.h"
#include "ops/engines/renames.h"
#include "ops/lint/line_edit.h"

namespace weir::ops {
namespace {

using Kind = MigrationNote::Kind;

// "vllm.core.scheduler.Scheduler": code of the version that it was the default of.
bool names_code(std::string_view value) {
  return std::count(value.begin(), value.end(), '.') >= 2 &&
         value.find('/') == std::string_view::npos &&
         std::all_of(value.begin(), value.end(),
                     [](char c) {
                       return c == '.' || c == '_' ||
                              std::isalnum(static_cast<unsigned char>(c)) != 0;
                     }) &&
         std::isalpha(static_cast<unsigned char>(value.front())) != 0;
}

// Only what the newer version takes: a default that moved because the old one went is no choice.
std::string pin_of(const EngineOption& option, const EngineOption& now, bool human_units) {
  if (!option.fallback) return "";
  const std::string& value = *option.fallback;
  if (names_code(value)) return "";
  if (now.type == OptionType::kBool) {
    if (value == "true") return now.name;
    if (!now.negatable) return "";
    return now.negated.empty() ? "--no-" + now.name.substr(2) : now.negated[0];
  }
  if (value.empty() || value.starts_with('[') || value.starts_with('{')) return "";
  const bool taken =
      value_problem(now, value, human_units).empty() &&
      (now.known_values.empty() || std::find(now.known_values.begin(), now.known_values.end(),
                                             value) != now.known_values.end());
  return taken ? now.name + "=" + value : "";
}

class Migrator {
 public:
  Migrator(const EngineSnapshot& from, const EngineSnapshot& to, bool pin, LineEdit& edit,
           Migration& out)
      : from_(from), to_(to), pin_(pin), edit_(edit), out_(out) {}

  void run(const EngineCall& call) {
    words_ = call.arguments;
    const Settings settings = read_arguments(call.arguments, from_);
    for (const Setting& s : settings.all) setting(s);
    defaults(settings);
    std::string line;
    const EngineProgram* program = engine_facts().find_engine(call.engine);
    if (program != nullptr && !program->programs.empty())
      line = fmt::format("{}", fmt::join(program->programs[0], " "));
    for (const Word& w : words_) line += " " + (w.expands ? w.text : shell_quote(w.text));
    out_.commands.push_back(std::move(line));
  }

 private:
  void note(Kind kind, int line, std::string text, std::string source = "") {
    out_.notes.push_back({kind, line, std::move(text), std::move(source)});
  }

  void setting(const Setting& s) {
    const EngineSnapshot::Found now = to_.find_flag(s.written);
    const std::string name = s.option != nullptr ? s.option->name : s.written;
    const Rename* r = find_rename(to_.engine(), name);
    if (now.option != nullptr && (r == nullptr || now.option->deprecated.empty()))
      return kept(s, now);
    if (r != nullptr && !r->to.empty() && to_.find_flag(r->to).option != nullptr)
      return rename(s, *r);
    if (now.option != nullptr) return kept(s, now);
    if (s.option == nullptr && r == nullptr) {
      return note(Kind::kUnknown, s.line,
                  fmt::format("{} is in neither version; the nearest is {}", s.written,
                              to_.nearest_flag(s.written)));
    }
    remove(s, r);
  }

  void kept(const Setting& s, const EngineSnapshot::Found& now) {
    if (!now.option->deprecated.empty())
      note(Kind::kDeprecated, s.line, fmt::format("{}: {}", s.written, now.option->deprecated));
    const bool is_switch = now.negated || now.option->type == OptionType::kBool;
    if (is_switch || !s.json_key.empty()) return;
    for (const Word& v : s.values) {
      if (v.expands) continue;
      const std::string p = value_problem(*now.option, v.text, to_.engine() == "vllm");
      if (!p.empty()) note(Kind::kValue, v.line, fmt::format("{} {}: {}", s.written, v.text, p));
    }
  }

  void rename(const Setting& s, const Rename& r) {
    note(Kind::kRenamed, s.line, fmt::format("{} is {}", s.written, r.to), r.source);
    if (!edit_.replace(s.line, s.written, r.to)) by_hand(s);
    for (Word& w : words_) {
      if (w.line == s.line && w.text == s.written) w.text = r.to;
      if (w.line == s.line && w.text.starts_with(s.written + "="))
        w.text = r.to + w.text.substr(s.written.size());
    }
  }

  // What may go without loss goes; a setting that must be said in another way stays where it is, so
  // that the new version refuses it rather than serve without it.
  void remove(const Setting& s, const Rename* r) {
    const bool lossless = r != nullptr && r->instead.starts_with("drop it");
    note(Kind::kRemoved, s.line,
         fmt::format("{} is gone: {}{}", s.written,
                     r != nullptr ? r->instead : "nothing is known to take its place",
                     lossless ? "" : "; left in the file, which must be settled first"),
         r != nullptr ? r->source : "");
    if (!lossless) return;
    std::vector<Word> gone;
    if (s.glued) {
      gone.push_back({s.written + "=" + s.values[0].text, s.line, false});
    } else {
      gone.push_back({s.written, s.line, false});
      gone.insert(gone.end(), s.values.begin(), s.values.end());
    }
    bool all = true;
    for (const Word& w : gone) {
      all = edit_.remove(w.line, w.text) && all;
      const auto it = std::find_if(words_.begin(), words_.end(), [&](const Word& word) {
        return word.line == w.line && word.text == w.text;
      });
      if (it != words_.end()) words_.erase(it);
    }
    if (!all) by_hand(s);
  }

  void by_hand(const Setting& s) {
    note(Kind::kByHand, s.line,
         fmt::format("{} could not be changed in the file; see the new command line", s.written));
  }

  void defaults(const Settings& settings) {
    for (const EngineOption& before : from_.flags()) {
      const EngineOption* now = to_.find_flag(before.name).option;
      if (now == nullptr || settings.find(&before) != nullptr || !now->deprecated.empty()) continue;
      if (before.fallback == now->fallback) continue;
      // What is settled at run time is no default to compare with.
      if (!before.fallback_note.empty() || !now->fallback_note.empty()) continue;
      DefaultChange c{before.name, before.fallback.value_or("none"), now->fallback.value_or("none"),
                      pin_of(before, *now, to_.engine() == "vllm")};
      if (pin_ && !c.pin.empty()) add_pin(c);
      if (std::none_of(out_.defaults.begin(), out_.defaults.end(),
                       [&](const DefaultChange& d) { return d.flag == c.flag; }))
        out_.defaults.push_back(std::move(c));
    }
  }

  void add_pin(const DefaultChange& c) {
    if (!words_.empty()) {
      const Word& last = words_.back();
      const bool edited = edit_.is_list_item(last.line)
                              ? (edit_.insert_after(last.line, "- " + c.pin), true)
                              : edit_.append(last.line, last.text, " " + c.pin);
      if (!edited) note(Kind::kByHand, last.line, "add " + c.pin);
    }
    words_.push_back({c.pin, words_.empty() ? 0 : words_.back().line, false});
  }

  const EngineSnapshot& from_;
  const EngineSnapshot& to_;
  const bool pin_;
  LineEdit& edit_;
  Migration& out_;
  std::vector<Word> words_;
};

}  // namespace

std::string_view note_name(Kind kind) {
  switch (kind) {
    case Kind::kRenamed:
      return "renamed";
    case Kind::kRemoved:
      return "removed";
    case Kind::kDeprecated:
      return "deprecated";
    case Kind::kValue:
      return "value";
    case Kind::kUnknown:
      return "unknown";
    case Kind::kByHand:
      return "by hand";
  }
  return "";
}

Result<EngineRelease> parse_release(std::string_view text) {
  std::vector<std::string> all;
  for (const EngineVersion& v : engine_versions()) {
    all.push_back(fmt::format("{}-{}", v.engine, v.version));
    if (all.back() == text) return EngineRelease{std::string(v.engine), std::string(v.version)};
  }
  return make_error(ErrorCode::kUsage, "{}: no snapshot that is known; there are {}", text,
                    fmt::join(all, ", "));
}

bool Migration::needs_a_person() const {
  return std::any_of(notes.begin(), notes.end(), [](const MigrationNote& n) {
    return n.kind != Kind::kRenamed && n.kind != Kind::kDeprecated;
  });
}

Result<Migration> migrate_text(std::string_view text, std::string_view name,
                               const EngineRelease& from, const EngineRelease& to, bool pin) {
  WEIR_ASSIGN(const Deployment deployment, read_deployment(text, name, from.engine));
  if (deployment.form == ConfigForm::kKeys) {
    return make_error(ErrorCode::kUnsupported,
                      "{}: command lines, Compose files and manifests are migrated; weir config "
                      "check {} --engine-version {} finds what a file of keys needs",
                      name, from.engine, to.version);
  }
  WEIR_ASSIGN(const EngineSnapshot before, engine_snapshot(from.engine, from.version));
  WEIR_ASSIGN(const EngineSnapshot after, engine_snapshot(to.engine, to.version));
  Migration out;
  LineEdit edit(text);
  Migrator migrator(before, after, pin, edit, out);
  for (const WorkloadSpec& w : deployment.workloads) {
    for (const ContainerSpec& c : w.containers) {
      if (c.call && c.call->engine == from.engine) migrator.run(*c.call);
    }
  }
  if (out.commands.empty())
    return make_error(ErrorCode::kUsage, "{}: starts no {}", name, from.engine);
  out.text = edit.text();
  out.diff = edit.diff(name);
  return out;
}

}  // namespace weir::ops
