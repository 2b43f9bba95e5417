#include "ops/engines/engine_facts.h"

#include <algorithm>
#include <cassert>
#include <charconv>

#include "config/yaml.h"
#include "ops/data/embedded.h"

namespace weir::ops {
namespace {

using config::Node;

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    if (end > 0) out.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

std::string text_of(const Node* n) { return n == nullptr ? "" : n->text; }

EngineProgram program_of(const Node& n) {
  EngineProgram e;
  e.engine = text_of(n.find("engine"));
  if (const Node* list = n.find("programs")) {
    for (const Node& item : list->items) e.programs.push_back(words_of(item.text));
  }
  if (const Node* list = n.find("images")) {
    for (const Node& item : list->items) e.images.push_back(item.text);
  }
  e.listens_to_all = text_of(n.find("listens")) == "all";
  e.key_env = text_of(n.find("key_env"));
  return e;
}

FactName name_of(std::string_view text) {
  FactName f;
  if (text.starts_with('!')) {
    f.inverted = true;
    text.remove_prefix(1);
  }
  if (const size_t equals = text.find('='); equals != std::string_view::npos) {
    f.means = text.substr(0, equals);
    text.remove_prefix(equals + 1);
  }
  const size_t point = text.find('.');
  if (text.starts_with("--") && point != std::string_view::npos) {
    f.member = text.substr(point + 1);
    text = text.substr(0, point);
  }
  f.option = text;
  return f;
}

Result<FactKind> fact_of(const Node& n, std::string_view file) {
  FactKind f;
  for (const config::Member& m : n.members) {
    if (m.key == "name") {
      f.name = m.value.text;
    } else if (m.key == "type") {
      f.type = m.value.text;
    } else if (m.key == "intake") {
      f.intake = m.value.text;
    } else if (m.key == "values") {
      for (const config::Member& v : m.value.members) f.values[v.key] = v.value.text;
    } else if (m.value.kind == Node::Kind::kList) {
      for (const Node& item : m.value.items) f.engines[m.key].push_back(name_of(item.text));
    } else {
      f.engines[m.key].push_back(name_of(m.value.text));
    }
  }
  if (f.name.empty() || f.type.empty())
    return make_error(ErrorCode::kCorrupt, "{}:{}: a fact needs a name and a type", file, n.line);
  return f;
}

Status read_quantizations(const Node& n, std::string_view file, EngineFacts& out) {
  QuantizationName q;
  q.engine = text_of(n.find("engine"));
  q.experts_only = text_of(n.find("part")) == "experts";
  const std::string bits = text_of(n.find("bits"));
  const auto [end, problem] = std::from_chars(bits.data(), bits.data() + bits.size(), q.bits);
  const bool number = problem == std::errc() && end == bits.data() + bits.size();
  const Node* names = n.find("names");
  if (names == nullptr || names->items.empty() || (!bits.empty() && (!number || !(q.bits > 0)))) {
    return make_error(ErrorCode::kCorrupt,
                      "{}:{}: a quantization needs a list of names, and bits above 0 or none", file,
                      n.line);
  }
  for (const Node& name : names->items) {
    q.name = name.text;
    out.quantizations.push_back(q);
  }
  return {};
}

EngineFacts read_embedded() {
  constexpr std::string_view kFile = "data/engine_facts.yaml";
  auto facts = parse_engine_facts(embedded_file(kFile), kFile);
  assert(facts.ok());
  return facts.ok() ? std::move(*facts) : EngineFacts();
}

}  // namespace

const EngineProgram* EngineFacts::find_engine(std::string_view engine) const {
  for (const EngineProgram& e : engines) {
    if (e.engine == engine) return &e;
  }
  return nullptr;
}

const FactKind* EngineFacts::find_fact(std::string_view name) const {
  for (const FactKind& f : facts) {
    if (f.name == name) return &f;
  }
  return nullptr;
}

const QuantizationName* EngineFacts::find_quantization(std::string_view engine,
                                                       std::string_view name) const {
  const QuantizationName* found = nullptr;
  for (const QuantizationName& q : quantizations) {
    if (q.name != name) continue;
    if (q.engine == engine) return &q;
    if (q.engine.empty()) found = &q;
  }
  return found;
}

Result<EngineFacts> parse_engine_facts(std::string_view text, std::string_view name) {
  WEIR_ASSIGN(const Node root, config::parse_yaml(text, name));
  EngineFacts out;
  if (const Node* engines = root.find("engines")) {
    for (const Node& n : engines->items) out.engines.push_back(program_of(n));
  }
  const Node* facts = root.find("facts");
  if (facts == nullptr)
    return make_error(ErrorCode::kCorrupt, "{}:1: must have a list of facts", name);
  for (const Node& n : facts->items) {
    WEIR_ASSIGN(FactKind f, fact_of(n, name));
    out.facts.push_back(std::move(f));
  }
  if (const Node* names = root.find("quantizations")) {
    for (const Node& n : names->items) WEIR_TRY(read_quantizations(n, name, out));
  }
  return out;
}

const EngineFacts& engine_facts() {
  static const EngineFacts facts = read_embedded();
  return facts;
}

}  // namespace weir::ops
