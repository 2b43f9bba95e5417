#include "ops/skill/pack.h"

#include <algorithm>
#include <array>
#include <filesystem>

#include "config/yaml.h"
#include "ops/data/embedded.h"
#include "os/file.h"

namespace weir::ops {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxFileBytes = 4U << 20U;
constexpr size_t kMaxName = 64;
constexpr size_t kMaxDescription = 1024;

constexpr std::array<std::string_view, 28> kPages = {
    "references/disaggregated-inference",
    "references/serving-architectures",
    "references/profiling-and-capacity-planning",
    "references/gpu-optimization-checklists",
    "references/speculative-decoding-guide",
    "references/resilience-ha-patterns",
    "references/optimization-strategies",
    "references/kv-cache-optimization",
    "references/batching-and-scheduling",
    "references/quantization-patterns",
    "references/parallelism-patterns",
    "references/edge-cpu-optimization",
    "references/infrastructure-tuning",
    "references/cost-optimization-patterns",
    "references/multi-model-routing",
    "references/streaming-patterns",
    "assets/serving/template-llm-api",
    "assets/serving/template-high-throughput-setup",
    "assets/inference/template-vllm-config",
    "assets/inference/template-tensorrtllm-config",
    "assets/inference/template-deepspeed-inference",
    "assets/quantization/template-awq",
    "assets/quantization/template-gptq",
    "assets/quantization/template-gguf",
    "assets/batching/template-batching-config",
    "assets/caching/template-prefix-caching",
    "assets/benchmarking/template-latency-throughput-test",
    "assets/checklists/inference-review-checklist",
};

// SKILL.md, the pages, the ledger.
std::vector<std::string> names() {
  std::vector<std::string> out{"SKILL.md"};
  out.reserve(kPages.size() + 2);
  for (const std::string_view page : kPages) out.push_back(std::string(page) + ".md");
  out.emplace_back("data/sources.json");
  return out;
}

bool is_skill_name(std::string_view s) {
  return !s.empty() && s.size() <= kMaxName && s.front() != '-' && s.back() != '-' &&
         s.find("--") == std::string_view::npos && std::all_of(s.begin(), s.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
         });
}

Result<std::string> scalar(const config::Node& root, std::string_view key) {
  const config::Node* node = root.find(key);
  if (node == nullptr || node->kind != config::Node::Kind::kScalar || node->text.empty())
    return make_error(ErrorCode::kCorrupt, "the front matter has no {}; agents choose by it", key);
  return node->text;
}

}  // namespace

std::span<const std::string_view> skill_pages() { return kPages; }

std::vector<SkillFile> built_in_skill() {
  const auto files = embedded_files();
  std::vector<SkillFile> out;
  for (const std::string& name : names()) {
    const std::string path = "skill/" + name;
    const auto it = std::find_if(files.begin(), files.end(),
                                 [&](const EmbeddedFile& f) { return f.name == path; });
    if (it != files.end()) out.push_back({name, std::string(it->text)});
  }
  return out;
}

Result<std::vector<SkillFile>> read_skill(const std::string& folder) {
  std::vector<SkillFile> out;
  for (const std::string& name : names()) {
    auto text = os::read_file((fs::path(folder) / name).string(), kMaxFileBytes);
    if (!text.ok() && text.error().code == ErrorCode::kNotFound) continue;
    if (!text.ok()) return text.error();
    out.push_back({name, *std::move(text)});
  }
  return out;
}

SkillInventory skill_inventory(const std::string& folder) {
  SkillInventory out;
  std::error_code error;
  std::vector<std::string> wanted = names();
  wanted.pop_back();  // the ledger has a check of its own
  for (const std::string& name : wanted) {
    if (!fs::is_regular_file(fs::path(folder) / name, error)) out.missing.push_back(name);
  }
  for (const char* part : {"references", "assets"}) {
    const fs::path root = fs::path(folder) / part;
    for (fs::recursive_directory_iterator it(root, error), end; !error && it != end;
         it.increment(error)) {
      const std::string name = it->path().lexically_relative(folder).generic_string();
      if (it->path().extension() == ".md" &&
          std::find(wanted.begin(), wanted.end(), name) == wanted.end())
        out.unknown.push_back(name);
    }
  }
  std::sort(out.unknown.begin(), out.unknown.end());
  return out;
}

Result<SkillHead> read_skill_head(std::string_view front_matter) {
  if (front_matter.empty())
    return make_error(ErrorCode::kCorrupt,
                      "no front matter; begin with ---, name: and description:, ---");
  auto root = config::parse_yaml(front_matter, "front matter");
  if (!root.ok()) return root.error();
  SkillHead head;
  WEIR_ASSIGN(head.name, scalar(*root, "name"));
  WEIR_ASSIGN(head.description, scalar(*root, "description"));
  if (!is_skill_name(head.name))
    return make_error(ErrorCode::kCorrupt,
                      "the name \"{}\" must be lower-case letters, digits and single hyphens, "
                      "{} at most",
                      head.name, kMaxName);
  if (head.description.size() > kMaxDescription)
    return make_error(ErrorCode::kCorrupt, "the description has {} bytes; agents take {}",
                      head.description.size(), kMaxDescription);
  return head;
}

}  // namespace weir::ops
