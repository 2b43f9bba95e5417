#include "ops/data/models.h"

#include <charconv>
#include <set>

#include "config/yaml.h"
#include "ops/data/embedded.h"

namespace weir::ops {
namespace {

using config::Node;
using text::Json;

constexpr std::string_view kFile = "data/models.yaml";
constexpr config::YamlLimits kLimits{4 << 20, 32, 400'000};
constexpr double kBillion = 1e9;

Json scalar(const std::string& text) {
  if (text == "true") return true;
  if (text == "false") return false;
  if (text == "null" || text == "~") return nullptr;
  const char* end = text.data() + text.size();
  int64_t whole = 0;
  if (const auto r = std::from_chars(text.data(), end, whole); r.ec == std::errc() && r.ptr == end)
    return whole;
  double number = 0;
  if (const auto r = std::from_chars(text.data(), end, number); r.ec == std::errc() && r.ptr == end)
    return number;
  return text;
}

Json to_json(const Node& node) {
  switch (node.kind) {
    case Node::Kind::kNull:
      return nullptr;
    case Node::Kind::kScalar:
      return scalar(node.text);
    case Node::Kind::kList: {
      Json out = Json::array();
      for (const Node& item : node.items) out.push_back(to_json(item));
      return out;
    }
    case Node::Kind::kMap: {
      Json out = Json::object();
      for (const config::Member& m : node.members) out.set(m.key, to_json(m.value));
      return out;
    }
  }
  return nullptr;
}

std::string text_of(const Node& node, std::string_view key) {
  const Node* n = node.find(key);
  return n == nullptr ? "" : n->text;
}

Result<KnownModel> read_model(const Node& node, std::string_view name) {
  const auto wrong = [&](std::string_view what) {
    return make_error(ErrorCode::kCorrupt, "{}:{}: {}", name, node.line, what);
  };
  KnownModel m;
  m.id = text_of(node, "id");
  m.name = text_of(node, "name");
  m.publisher = text_of(node, "publisher");
  m.released = text_of(node, "released");
  m.license = text_of(node, "license");
  m.note = text_of(node, "note");
  if (m.id.empty() || m.name.empty()) return wrong("id and name are needed");
  const Node* parameters = node.find("parameters_b");
  const Node* sources = node.find("sources");
  const Node* from = sources == nullptr ? nullptr : sources->find("config");
  const Node* config = node.find("config");
  if (parameters == nullptr || from == nullptr || config == nullptr)
    return wrong(m.id + " needs parameters_b, sources.config and config");
  m.config_url = text_of(*from, "url");
  m.verified = text_of(*from, "verified") == "true";
  const auto number = [&](std::string_view key, double& out) {
    const Json value = scalar(text_of(*parameters, key));
    if (value.is_number()) out = value.as_double();
    return value.is_number() && out > 0;
  };
  if (!number("total", m.parameters_b) || !number("active", m.active_parameters_b))
    return wrong(m.id + ": parameters_b.total and .active must be numbers above 0");
  m.config = to_json(*config);
  if (!m.config.is_object()) return wrong(m.id + ": config must be a map");
  if (const Node* defaults = node.find("defaults")) {
    for (const config::Member& d : defaults->members) {
      // Where the published file nests, what its class adds is nested too.
      if (m.config.find(d.key) == nullptr) {
        m.config.set(d.key, to_json(d.value));
        continue;
      }
      Json* nested = m.config.find(d.key);
      for (const config::Member& inner : d.value.members) {
        if (nested->find(inner.key) == nullptr) nested->set(inner.key, to_json(inner.value));
      }
    }
  }
  return m;
}

}  // namespace

Result<std::vector<KnownModel>> parse_models(std::string_view yaml, std::string_view name) {
  WEIR_ASSIGN(const Node root, config::parse_yaml(yaml, name, kLimits));
  const Node* list = root.find("models");
  if (list == nullptr || list->kind != Node::Kind::kList)
    return make_error(ErrorCode::kCorrupt, "{}:{}: models must be a list", name, root.line);
  std::vector<KnownModel> out;
  std::set<std::string> ids;
  for (const Node& node : list->items) {
    WEIR_ASSIGN(KnownModel m, read_model(node, name));
    if (!ids.insert(m.id).second)
      return make_error(ErrorCode::kCorrupt, "{}:{}: {} stands twice", name, node.line, m.id);
    out.push_back(std::move(m));
  }
  return out;
}

Result<std::vector<KnownModel>> built_in_models() {
  return parse_models(embedded_file(kFile), kFile);
}

Result<ModelShape> shape_of(const KnownModel& model) {
  auto shape = read_model_shape(model.config);
  if (!shape.ok()) return shape.error().with_context(model.id);
  shape->name = model.name;
  shape->stated_parameters = model.parameters_b * kBillion;
  return shape;
}

}  // namespace weir::ops
