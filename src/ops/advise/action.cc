#include "ops/advise/action.h"

#include <algorithm>
#include <array>

#include "ops/data/embedded.h"

namespace weir::ops {
namespace {

using config::Member;
using YamlNode = config::Node;

constexpr std::string_view kFolder = "src/ops/advise/actions/";
constexpr std::array<std::string_view, 7> kEases = {"queue", "prefill", "decode",      "memory",
                                                    "cost",  "quality", "availability"};
const std::vector<std::string> kKeys = {"title",    "eases",  "already", "needs",
                                        "steps",    "expect", "assumes", "try",
                                        "try_gguf", "proves", "rollback"};
const std::vector<std::string> kExpectKeys = {"what",  "value", "class",     "source",
                                              "claim", "file",  "comparable"};

class Reader {
 public:
  explicit Reader(std::string_view name) : name_(name) {}

  Result<Action> action(const Member& m) const {
    Action a;
    a.id = m.key;
    if (m.value.kind != YamlNode::Kind::kMap) return at(m.line, m.key + " must be a map");
    for (const Member& part : m.value.members) {
      if (std::find(kKeys.begin(), kKeys.end(), part.key) == kKeys.end()) {
        return at(part.line, fmt::format("unknown key \"{}\"; the nearest is \"{}\"", part.key,
                                         config::nearest(part.key, kKeys)));
      }
      const Status status = read_part(part, a);
      if (!status.ok()) return status.error();
    }
    for (const auto& [key, text] :
         {std::pair("title", &a.title), std::pair("try", &a.command),
          std::pair("proves", &a.proves), std::pair("rollback", &a.rollback)}) {
      if (text->empty()) return at(m.line, fmt::format("{} has no {}", a.id, key));
    }
    if (a.steps.empty()) return at(m.line, a.id + " has no steps");
    if (a.expect.empty()) return at(m.line, a.id + " says nothing of what to expect");
    if (m.value.find("eases") == nullptr) return at(m.line, a.id + " does not say what it eases");
    return a;
  }

  Error at(int line, std::string_view what) const {
    return make_error(ErrorCode::kCorrupt, "{}:{}: {}", name_, line, what);
  }

 private:
  Status read_part(const Member& m, Action& a) const {
    if (m.key == "title") a.title = m.value.text;
    if (m.key == "try") a.command = m.value.text;
    if (m.key == "try_gguf") a.command_gguf = m.value.text;
    if (m.key == "proves") a.proves = m.value.text;
    if (m.key == "rollback") a.rollback = m.value.text;
    if (m.key == "steps") return texts(m, a.steps);
    if (m.key == "assumes") return texts(m, a.assumes);
    if (m.key == "already") return condition(m, a.already);
    if (m.key == "needs") return condition(m, a.needs);
    if (m.key == "eases") {
      const auto* it = std::find(kEases.begin(), kEases.end(), m.value.text);
      if (it == kEases.end()) {
        return at(m.line, fmt::format("eases must be one of {}, not \"{}\"",
                                      fmt::join(kEases, ", "), m.value.text));
      }
      a.eases = static_cast<Eases>(it - kEases.begin());
    }
    if (m.key != "expect") return {};
    for (const YamlNode& item : m.value.items) {
      WEIR_ASSIGN(Expectation e, expectation(item));
      a.expect.push_back(std::move(e));
    }
    return {};
  }

  Status texts(const Member& m, std::vector<std::string>& out) const {
    if (m.value.kind != YamlNode::Kind::kList) return at(m.line, m.key + " must be a list");
    for (const YamlNode& item : m.value.items) out.push_back(item.text);
    return {};
  }

  Status condition(const Member& m, std::optional<Expression>& out) const {
    auto parsed = Expression::parse(m.value.text);
    if (!parsed.ok()) return at(m.line, parsed.error().message);
    out = std::move(*parsed);
    return {};
  }

  Result<Expectation> expectation(const YamlNode& node) const {
    Expectation e;
    for (const Member& m : node.members) {
      if (std::find(kExpectKeys.begin(), kExpectKeys.end(), m.key) == kExpectKeys.end())
        return at(m.line, fmt::format("unknown key \"{}\" of an expectation", m.key));
      for (const auto& [key, out] :
           {std::pair("what", &e.what), std::pair("value", &e.value), std::pair("class", &e.kind),
            std::pair("source", &e.source), std::pair("claim", &e.claim),
            std::pair("file", &e.file), std::pair("comparable", &e.comparable)}) {
        if (m.key == key) *out = m.value.text;
      }
    }
    if (e.what.empty() || e.value.empty())
      return at(node.line, "an expectation needs what and value");
    if (e.kind == "sourced") {
      if (e.source.empty() || e.claim.empty() || e.comparable.empty())
        return at(node.line, "what is sourced needs source, claim and comparable");
    } else if (e.kind == "measured") {
      if (e.file.empty()) return at(node.line, "what is measured needs its file");
    } else if (e.kind != "hypothesis") {
      return at(node.line,
                fmt::format("class must be sourced, measured or hypothesis, not \"{}\"", e.kind));
    }
    return e;
  }

  std::string_view name_;
};

}  // namespace

std::string_view eases_name(Eases eases) { return kEases[static_cast<size_t>(eases)]; }

Status parse_actions(std::string_view text, std::string_view name, Actions& out) {
  WEIR_ASSIGN(const YamlNode root, config::parse_yaml(text, name));
  const Reader reader(name);
  if (root.kind != YamlNode::Kind::kMap) return reader.at(root.line, "must be a map of actions");
  for (const Member& m : root.members) {
    WEIR_ASSIGN(Action action, reader.action(m));
    if (out.contains(action.id)) return reader.at(m.line, m.key + " stands twice");
    out.emplace(m.key, std::move(action));
  }
  return {};
}

Result<Actions> built_in_actions() {
  Actions out;
  for (const EmbeddedFile& file : embedded_files()) {
    if (file.name.starts_with(kFolder)) WEIR_TRY(parse_actions(file.text, file.name, out));
  }
  return out;
}

}  // namespace weir::ops
