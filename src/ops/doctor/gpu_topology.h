// The matrix of `nvidia-smi topo -m`: how GPUs and network cards reach each other.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::ops {

// From near to far. Source: the legend that nvidia-smi prints.
enum class GpuPath { kNvLink, kPix, kPxb, kPhb, kNode, kSys };

struct GpuTopology {
  int gpus = 0;
  // paths[a * gpus + b], a != b; links: of NVLink, 0 otherwise.
  std::vector<GpuPath> paths;
  std::vector<int> links;
  int network_cards = 0;

  GpuPath path(int a, int b) const;
  // Whether every pair is joined by NVLink, and whether any is.
  bool all_nvlink() const;
  bool any_nvlink() const;
};

// Error kCorrupt: "nvidia-smi topo -m: line N: ...". Bounded: 256 KiB, 64 GPUs.
Result<GpuTopology> parse_gpu_topology(std::string_view text);

std::string_view gpu_path_name(GpuPath path);  // "PHB"

}  // namespace weir::ops
