#include "ops/doctor/gpu_topology.h"

#include <algorithm>
#include <array>
#include <optional>

#include "ops/doctor/text.h"

namespace weir::ops {
namespace {

constexpr size_t kMaxBytes = 256 << 10;
constexpr int kMaxGpus = 64;
constexpr std::array kPaths = {
    std::pair{GpuPath::kNvLink, "NVLink"}, std::pair{GpuPath::kPix, "PIX"},
    std::pair{GpuPath::kPxb, "PXB"},       std::pair{GpuPath::kPhb, "PHB"},
    std::pair{GpuPath::kNode, "NODE"},     std::pair{GpuPath::kSys, "SYS"}};

Error wrong(size_t line, std::string_view what) {
  return make_error(ErrorCode::kCorrupt, "nvidia-smi topo -m: line {}: {}", line + 1, what);
}

// Without the escapes that underline the head on a terminal.
std::string plain(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\x1b') {
      const size_t end = text.find('m', i);
      if (end == std::string_view::npos) break;
      i = end;
      continue;
    }
    out.push_back(text[i]);
  }
  return out;
}

// "GPU3" -> 3.
std::optional<int> gpu_number(std::string_view word) {
  if (!word.starts_with("GPU")) return std::nullopt;
  return number_in<int>(word.substr(3));
}

// One cell: "NV18", "SYS". False for anything else.
bool cell(std::string_view word, GpuPath& path, int& links) {
  links = 0;
  if (word.starts_with("NV")) {
    const auto n = number_in<int>(word.substr(2));
    if (!n || *n < 1 || *n > 1000) return false;
    path = GpuPath::kNvLink;
    links = *n;
    return true;
  }
  for (const auto& [known, name] : kPaths) {
    if (word != name || known == GpuPath::kNvLink) continue;
    path = known;
    return true;
  }
  return false;
}

}  // namespace

GpuPath GpuTopology::path(int a, int b) const {
  return paths[static_cast<size_t>(a) * static_cast<size_t>(gpus) + static_cast<size_t>(b)];
}

bool GpuTopology::all_nvlink() const {
  for (int a = 0; a < gpus; ++a) {
    for (int b = 0; b < gpus; ++b) {
      if (a != b && path(a, b) != GpuPath::kNvLink) return false;
    }
  }
  return gpus > 1;
}

bool GpuTopology::any_nvlink() const {
  for (int a = 0; a < gpus; ++a) {
    for (int b = 0; b < gpus; ++b) {
      if (a != b && path(a, b) == GpuPath::kNvLink) return true;
    }
  }
  return false;
}

std::string_view gpu_path_name(GpuPath path) {
  for (const auto& [known, name] : kPaths) {
    if (known == path) return name;
  }
  return "";
}

Result<GpuTopology> parse_gpu_topology(std::string_view raw) {
  if (raw.size() > kMaxBytes) {
    return make_error(ErrorCode::kLimit, "nvidia-smi topo -m: {} bytes are over the limit of {}",
                      raw.size(), kMaxBytes);
  }
  const std::string text = plain(raw);
  const std::vector<std::string_view> lines = split_lines(text);
  size_t at = 0;
  while (at < lines.size() && trimmed(lines[at]).empty()) ++at;
  if (at == lines.size()) return wrong(0, "it is empty");
  GpuTopology out;
  for (const std::string_view word : split_words(lines[at])) {
    if (gpu_number(word) == out.gpus) ++out.gpus;
    if (word.starts_with("NIC") || word.starts_with("mlx")) ++out.network_cards;
  }
  if (out.gpus < 1 || out.gpus > kMaxGpus)
    return wrong(at, fmt::format("a head with 1 to {} GPUs was expected", kMaxGpus));
  const auto cells = static_cast<size_t>(out.gpus) * static_cast<size_t>(out.gpus);
  out.paths.assign(cells, GpuPath::kSys);
  out.links.assign(cells, 0);
  for (int a = 0; a < out.gpus; ++a) {
    ++at;
    const auto words = at < lines.size() ? split_words(lines[at]) : std::vector<std::string_view>();
    if (words.size() <= static_cast<size_t>(out.gpus) || gpu_number(words[0]) != a)
      return wrong(at, fmt::format("the row of GPU{} was expected", a));
    for (int b = 0; b < out.gpus; ++b) {
      const auto i =
          static_cast<size_t>(a) * static_cast<size_t>(out.gpus) + static_cast<size_t>(b);
      const std::string_view word = words[static_cast<size_t>(b) + 1];
      if (a == b ? word != "X" : !cell(word, out.paths[i], out.links[i]))
        return wrong(at, fmt::format("\"{}\" is no path between GPU{} and GPU{}", word, a, b));
    }
  }
  return out;
}

}  // namespace weir::ops
