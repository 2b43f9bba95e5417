#include "ops/data/accelerators.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <set>

#include "ops/data/embedded.h"
#include "ops/eval/yaml_reader.h"

namespace weir::ops {
namespace {

using config::Node;

constexpr std::string_view kFile = "data/accelerators.yaml";
constexpr size_t kMaxEntries = 1000;
constexpr size_t kMaxTexts = 100;
constexpr std::array kKinds = {std::pair{AcceleratorKind::kDatacenter, "datacenter"},
                               std::pair{AcceleratorKind::kConsumer, "consumer"},
                               std::pair{AcceleratorKind::kEdge, "edge"},
                               std::pair{AcceleratorKind::kCpu, "cpu"}};
const std::vector<std::string> kTypes = {"fp32", "bf16", "fp16", "fp8", "fp4", "int8", "int4"};
const std::vector<std::string> kEntryKeys = {
    "id",           "name",         "vendor",  "kind",      "architecture",
    "released",     "reported",     "sources", "memory_gb", "bandwidth_gb_per_s",
    "dense_tflops", "interconnect", "pcie",    "power_w",   "price_usd_per_hour",
    "cores",        "base_ghz",     "isa",     "notes"};

// One entry of the file.
class EntryReader {
 public:
  EntryReader(const YamlReader& yaml, const Node& node, Accelerator& out)
      : yaml_(yaml), node_(node), out_(out) {}

  Status read() {
    WEIR_TRY(yaml_.is_map(node_, "an accelerator", "id, name, sources and figures"));
    WEIR_TRY(yaml_.known(node_, kEntryKeys));
    WEIR_TRY(names());
    WEIR_TRY(sources());
    WEIR_TRY(optional(node_, "memory_gb", 0.1, 100'000, out_.memory_gb));
    WEIR_TRY(figure(node_, "bandwidth_gb_per_s", 0.1, 1e6, out_.bandwidth_gb_per_s));
    WEIR_TRY(rates());
    WEIR_TRY(interconnect());
    WEIR_TRY(pcie());
    WEIR_TRY(optional(node_, "power_w", 0.1, 1e6, out_.power_w));
    WEIR_TRY(price());
    WEIR_TRY(optional(node_, "cores", 1, 100'000, out_.cores));
    WEIR_TRY(optional(node_, "base_ghz", 0.01, 100, out_.base_ghz));
    WEIR_TRY(yaml_.texts(node_, "isa", kMaxTexts, out_.isa));
    WEIR_TRY(yaml_.texts(node_, "notes", kMaxTexts, out_.notes));
    if (out_.kind != AcceleratorKind::kCpu && !out_.memory_gb)
      return yaml_.at(node_.line, fmt::format("{} has no memory_gb", out_.id));
    return {};
  }

 private:
  // A text that must be there.
  Status text(const Node& map, std::string_view key, std::string& out) const {
    if (map.find(key) == nullptr)
      return yaml_.at(map.line, fmt::format("{} is missing ({})", key, out_.id));
    return yaml_.text(map, key, out);
  }

  Status names() {
    WEIR_TRY(text(node_, "id", out_.id));
    WEIR_TRY(text(node_, "name", out_.name));
    WEIR_TRY(text(node_, "vendor", out_.vendor));
    WEIR_TRY(text(node_, "architecture", out_.architecture));
    WEIR_TRY(text(node_, "released", out_.released));
    WEIR_TRY(yaml_.texts(node_, "reported", kMaxTexts, out_.reported));
    std::string kind;
    WEIR_TRY(text(node_, "kind", kind));
    const auto it =
        std::find_if(kKinds.begin(), kKinds.end(), [&](const auto& k) { return k.second == kind; });
    if (it == kKinds.end()) {
      return yaml_.at(
          node_.find("kind")->line,
          fmt::format("kind must be datacenter, consumer, edge or cpu, not \"{}\"", kind));
    }
    out_.kind = it->first;
    return {};
  }

  Result<bool> truth(const Node& map, std::string_view key) const {
    WEIR_ASSIGN(const auto value, yaml_.choice(map, key, "true", "false"));
    if (!value) return yaml_.at(map.line, fmt::format("{} is missing ({})", key, out_.id));
    return *value;
  }

  Status sources() {
    const Node* map = node_.find("sources");
    if (map == nullptr || map->members.empty())
      return yaml_.at(node_.line, fmt::format("{} has no sources", out_.id));
    for (const config::Member& m : map->members) {
      WEIR_TRY(yaml_.is_map(m.value, "a source", "title, url and dates"));
      WEIR_TRY(
          yaml_.known(m.value, {"title", "url", "publisher", "primary", "accessed", "verified"}));
      AcceleratorSource source;
      source.id = m.key;
      WEIR_TRY(text(m.value, "title", source.title));
      WEIR_TRY(text(m.value, "url", source.url));
      WEIR_TRY(text(m.value, "publisher", source.publisher));
      WEIR_TRY(text(m.value, "accessed", source.accessed));
      WEIR_ASSIGN(source.primary, truth(m.value, "primary"));
      WEIR_ASSIGN(source.verified, truth(m.value, "verified"));
      if (!source.url.starts_with("https://"))
        return yaml_.at(m.line, fmt::format("the url of {} must begin with https://", m.key));
      out_.sources.push_back(std::move(source));
    }
    return {};
  }

  // The source that `map` names.
  Status cited(const Node& map, std::string_view key, std::string& id, bool& verified) const {
    WEIR_TRY(text(map, "source", id));
    const AcceleratorSource* source = out_.source(id);
    if (source == nullptr) {
      return yaml_.at(map.line, fmt::format("{} of {} cites \"{}\", which is not among its sources",
                                            key, out_.id, id));
    }
    verified = source->verified;
    return {};
  }

  Status figure(const Node& map, std::string_view key, double min, double max, Figure& out) const {
    const Node* node = map.find(key);
    if (node == nullptr) return yaml_.at(map.line, fmt::format("{} has no {}", out_.id, key));
    WEIR_TRY(yaml_.is_map(*node, key, "value and source"));
    WEIR_TRY(yaml_.known(*node, {"value", "source", "note"}));
    if (node->find("value") == nullptr)
      return yaml_.at(node->line, fmt::format("{} of {} has no value", key, out_.id));
    WEIR_TRY(yaml_.number(*node, "value", min, max, out.value));
    WEIR_TRY(yaml_.text(*node, "note", out.note));
    return cited(*node, key, out.source, out.verified);
  }

  Status optional(const Node& map, std::string_view key, double min, double max,
                  std::optional<Figure>& out) const {
    if (map.find(key) == nullptr) return {};
    return figure(map, key, min, max, out.emplace());
  }

  Status rates() {
    const Node* map = node_.find("dense_tflops");
    if (map == nullptr) return {};
    WEIR_TRY(yaml_.is_map(*map, "dense_tflops", "a figure a type"));
    WEIR_TRY(yaml_.known(*map, kTypes));
    for (const config::Member& m : map->members) {
      Figure rate;
      WEIR_TRY(figure(*map, m.key, 1e-3, 1e6, rate));
      out_.dense_tflops.emplace_back(m.key, std::move(rate));
    }
    return {};
  }

  Status interconnect() {
    const Node* map = node_.find("interconnect");
    if (map == nullptr) return {};
    WEIR_TRY(yaml_.is_map(*map, "interconnect", "kind, gb_per_s and domain"));
    WEIR_TRY(yaml_.known(*map, {"kind", "gb_per_s", "domain"}));
    Accelerator::Interconnect& link = out_.interconnect.emplace();
    WEIR_TRY(text(*map, "kind", link.kind));
    WEIR_TRY(figure(*map, "gb_per_s", 0.1, 1e6, link.gb_per_s));
    return figure(*map, "domain", 2, 1e6, link.domain);
  }

  Status pcie() {
    const Node* map = node_.find("pcie");
    if (map == nullptr) return {};
    WEIR_TRY(yaml_.is_map(*map, "pcie", "generation, lanes and source"));
    WEIR_TRY(yaml_.known(*map, {"generation", "lanes", "source"}));
    Accelerator::Pcie& bus = out_.pcie.emplace();
    WEIR_TRY(yaml_.integer(*map, "generation", 1, 10, bus.generation));
    WEIR_TRY(yaml_.integer(*map, "lanes", 1, 1024, bus.lanes));
    if (bus.generation == 0 || bus.lanes == 0)
      return yaml_.at(map->line, fmt::format("pcie of {} lacks generation or lanes", out_.id));
    return cited(*map, "pcie", bus.source, bus.verified);
  }

  Status price() {
    const Node* map = node_.find("price_usd_per_hour");
    if (map == nullptr) return {};
    WEIR_TRY(yaml_.is_map(*map, "price_usd_per_hour", "low, high, date and source"));
    WEIR_TRY(yaml_.known(*map, {"low", "high", "date", "source", "note"}));
    Accelerator::Price& price = out_.price_usd_per_hour.emplace();
    price.low_usd = price.high_usd = -1;
    WEIR_TRY(yaml_.number(*map, "low", 0, 1e6, price.low_usd));
    WEIR_TRY(yaml_.number(*map, "high", 0, 1e6, price.high_usd));
    if (price.low_usd < 0 || price.high_usd < price.low_usd)
      return yaml_.at(map->line, fmt::format("the price of {} must have low <= high", out_.id));
    WEIR_TRY(text(*map, "date", price.date));
    WEIR_TRY(yaml_.text(*map, "note", price.note));
    bool verified = false;
    return cited(*map, "price_usd_per_hour", price.source, verified);
  }

  const YamlReader& yaml_;
  const Node& node_;
  Accelerator& out_;
};

// Lower case, without "NVIDIA " before and " Rev ..." behind.
std::string plain(std::string_view name) {
  std::string out(name);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (out.starts_with("nvidia ")) out.erase(0, 7);
  out = out.substr(0, out.find(" rev "));
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

}  // namespace

const Figure* Accelerator::tflops(std::string_view type) const {
  for (const auto& [known, figure] : dense_tflops) {
    if (known == type) return &figure;
  }
  return nullptr;
}

const AcceleratorSource* Accelerator::source(std::string_view source_id) const {
  for (const AcceleratorSource& s : sources) {
    if (s.id == source_id) return &s;
  }
  return nullptr;
}

const Accelerator* Accelerators::find(std::string_view id) const {
  for (const Accelerator& a : all) {
    if (a.id == id) return &a;
  }
  return nullptr;
}

const Accelerator* Accelerators::find_reported(std::string_view name) const {
  const std::string wanted = plain(name);
  const Accelerator* found = nullptr;
  for (const Accelerator& a : all) {
    for (const std::string& reported : a.reported) {
      if (plain(reported) != wanted || found == &a) continue;
      if (found != nullptr) return nullptr;
      found = &a;
    }
  }
  return found;
}

Result<Accelerators> parse_accelerators(std::string_view text, std::string_view name) {
  WEIR_ASSIGN(const Node root, config::parse_yaml(text, name));
  const YamlReader yaml(name);
  WEIR_TRY(yaml.is_map(root, "the file", "version, checked and accelerators"));
  WEIR_TRY(yaml.known(root, {"version", "checked", "accelerators"}));
  int version = 0;
  WEIR_TRY(yaml.integer(root, "version", 1, 1, version));
  if (version != 1) return yaml.at(std::max(root.line, 1), "version must be 1");
  Accelerators out;
  WEIR_TRY(yaml.text(root, "checked", out.checked));
  WEIR_ASSIGN(const auto nodes, yaml.list(root, "accelerators", "accelerator", kMaxEntries));
  std::set<std::string> ids;
  for (const Node& node : nodes) {
    Accelerator a;
    WEIR_TRY(EntryReader(yaml, node, a).read());
    if (!ids.insert(a.id).second)
      return yaml.at(node.line, fmt::format("the id {} is given twice", a.id));
    out.all.push_back(std::move(a));
  }
  return out;
}

Result<Accelerators> load_accelerators() { return parse_accelerators(embedded_file(kFile), kFile); }

}  // namespace weir::ops
