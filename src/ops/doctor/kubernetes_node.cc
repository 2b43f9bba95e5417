#include "ops/doctor/kubernetes_node.h"

#include <algorithm>

#include "config/yaml.h"
#include "ops/doctor/text.h"

namespace weir::ops {
namespace {

constexpr size_t kMaxBytes = 1 << 20;
constexpr size_t kMaxLines = 10'000;

bool indented(std::string_view line) { return line.starts_with(' ') || line.starts_with('\t'); }

}  // namespace

Result<KubernetesNode> parse_kubernetes_node(std::string_view text) {
  const std::vector<std::string_view> lines = split_lines(text.substr(0, kMaxBytes + 1));
  if (text.size() > kMaxBytes || lines.size() > kMaxLines) {
    return make_error(ErrorCode::kLimit, "kubectl describe node: more than {} bytes or {} lines",
                      kMaxBytes, kMaxLines);
  }
  KubernetesNode out;
  bool named = false;
  std::string_view section;
  for (const std::string_view line : lines) {
    if (trimmed(line).empty()) continue;
    const size_t colon = line.find(':');
    if (!indented(line)) {
      if (colon == std::string_view::npos) continue;
      section = line.substr(0, colon);
      named = named || section == "Name";
      const std::string_view rest = trimmed(line.substr(colon + 1));
      if (section == "Taints" && !rest.empty() && rest != "<none>") out.taints.emplace_back(rest);
      continue;
    }
    const std::string_view body = trimmed(line);
    if (section == "Taints") {
      out.taints.emplace_back(body);
    } else if (section == "Conditions") {
      const auto words = split_words(body);
      if (words.size() >= 2 && words[0] != "Type" && !words[0].starts_with('-'))
        out.conditions.emplace(words[0], words[1]);
    } else if ((section == "Capacity" || section == "Allocatable") &&
               colon != std::string_view::npos) {
      auto& resources = section == "Capacity" ? out.capacity : out.allocatable;
      resources.emplace(trimmed(line.substr(0, colon)), trimmed(line.substr(colon + 1)));
    }
  }
  if (!named || out.capacity.empty()) {
    return make_error(ErrorCode::kCorrupt,
                      "kubectl describe node: there is no \"Name:\" with a \"Capacity:\"");
  }
  return out;
}

Result<KubeletConfig> parse_kubelet_config(std::string_view yaml) {
  WEIR_ASSIGN(const config::Node root, config::parse_yaml(yaml, "kubelet config.yaml"));
  KubeletConfig out;
  out.known = true;
  const auto text = [&](std::string_view key) {
    const config::Node* node = root.find(key);
    return node == nullptr ? std::string() : node->text;
  };
  out.cpu_manager = text("cpuManagerPolicy");
  out.topology_manager = text("topologyManagerPolicy");
  out.memory_manager = text("memoryManagerPolicy");
  return out;
}

}  // namespace weir::ops
