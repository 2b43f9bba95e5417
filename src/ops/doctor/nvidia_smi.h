// What `nvidia-smi -q -x` says, schemas 11 to 13. The text is taken for hostile: its bytes, depth
// and elements are bounded, and nothing in it is expanded.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::ops {

struct NvidiaGpu {
  std::string name;  // "NVIDIA H100 80GB HBM3"
  std::string architecture;
  std::optional<bool> persistence;
  std::optional<bool> mig, mig_pending;  // absent: not supported
  int mig_devices = 0;
  std::optional<bool> ecc, ecc_pending;
  double uncorrectable_errors = 0;  // since the driver was loaded
  bool remap_pending = false, remap_failed = false;
  std::optional<double> memory_mib;
  std::optional<int> pcie_max_gen, pcie_device_gen;  // of the link; of the GPU alone
  std::optional<int> pcie_max_width, pcie_width;     // lanes
  std::optional<double> power_limit_w, power_default_w;
  std::optional<double> clock_mhz, clock_max_mhz;                  // of the SMs
  std::optional<double> application_mhz, application_default_mhz;  // of older drivers
  std::vector<std::string> slowdowns;  // reasons that hold clocks down now: "hw_thermal_slowdown"
  std::string fabric_state;            // "Completed"; empty or "N/A" without NVSwitch
  std::string fabric_status;           // "Success"
};

struct NvidiaSmi {
  std::string driver;  // "580.95.05"
  std::string cuda;    // "13.0"
  std::vector<NvidiaGpu> gpus;

  int driver_branch() const;  // 580; 0 when not told
};

inline constexpr size_t kMaxNvidiaSmiBytes = 8 << 20;

// Error kCorrupt or kLimit: "nvidia-smi -q -x: byte N: ...". Text without any GPU is an error too.
Result<NvidiaSmi> parse_nvidia_smi(std::string_view xml);

}  // namespace weir::ops
