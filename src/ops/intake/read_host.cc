#include "ops/intake/read_host.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace weir::ops {
namespace {

// The vector instructions that decide which kernels run, in the kernel's names.
constexpr std::array<std::string_view, 17> kIsa = {
    "avx2",     "avx_vnni", "avx512f",  "avx512_vnni", "avx512_bf16", "avx512_fp16",
    "amx_tile", "amx_int8", "amx_bf16", "asimd",       "asimdhp",     "asimddp",
    "i8mm",     "bf16",     "sve",      "sve2",        "sme"};

double tenths(double v) { return std::round(v * 10) / 10; }
double thousandths(double v) { return std::round(v * 1000) / 1000; }

// Sets fields until one fails.
class Filler {
 public:
  Filler(Intake& out, std::string source) : out_(out), source_(std::move(source)) {}

  void measured(std::string_view path, config::Value value, std::string_view from) {
    set(path, std::move(value), Origin::kMeasured, from);
  }
  void inferred(std::string_view path, config::Value value, std::string_view from) {
    set(path, std::move(value), Origin::kInferred, from);
  }
  const Status& status() const { return status_; }

 private:
  void set(std::string_view path, config::Value value, Origin origin, std::string_view from) {
    if (status_.ok())
      status_ = out_.set(path, std::move(value), origin, fmt::format("{}: {}", source_, from));
  }

  Intake& out_;
  std::string source_;
  Status status_;
};

std::string interconnect(const Machine& m) {
  if (!m.nvidia || m.nvidia->gpus.size() < 2) return "none";
  const bool fabric = std::any_of(
      m.nvidia->gpus.begin(), m.nvidia->gpus.end(),
      [](const NvidiaGpu& g) { return !g.fabric_state.empty() && g.fabric_state != "N/A"; });
  if (m.topology && m.topology->any_nvlink()) return fabric ? "nvswitch" : "nvlink";
  return m.topology ? "pcie" : "";
}

void fill_accelerator(const Machine& m, const Accelerators& known, Filler& fill) {
  const Accelerator* device = nullptr;
  if (m.nvidia) {
    const NvidiaGpu& first = m.nvidia->gpus[0];
    device = known.find_reported(first.name);
    if (!first.name.empty())
      fill.measured("hardware.accelerator", device == nullptr ? first.name : device->id,
                    "nvidia-smi");
    if (first.memory_mib)
      fill.measured("hardware.memory_gb", tenths(*first.memory_mib * (1 << 20) / 1e9),
                    "nvidia-smi");
  } else {
    device = known.find_reported(m.cpu.model);
    if (device == nullptr) device = known.find_reported(m.product);
    const std::string& name = m.cpu.model.empty() ? m.product : m.cpu.model;
    if (device != nullptr || !name.empty())
      fill.measured("hardware.accelerator", device == nullptr ? name : device->id, "its CPU");
    if (m.memory.total_bytes > 0) {
      fill.measured("hardware.memory_gb", tenths(static_cast<double>(m.memory.total_bytes) / 1e9),
                    "its RAM");
    }
  }
  const size_t count = m.nvidia ? m.nvidia->gpus.size() : 0;
  fill.measured("hardware.accelerators_per_node", static_cast<int64_t>(count),
                m.nvidia ? "nvidia-smi" : "nvidia-smi shows none");
  if (const std::string links = interconnect(m); !links.empty())
    fill.measured("hardware.interconnect", links,
                  count < 2 ? "fewer than two devices" : "nvidia-smi topo -m");
  if (device != nullptr && device->kind == AcceleratorKind::kEdge)
    fill.inferred("hardware.edge", true, device->name + " is an edge device");
}

void fill_host(const Machine& m, Filler& fill) {
  fill.measured("hardware.rdma", !m.rdma_devices.empty(),
                m.rdma_devices.empty() ? "no /sys/class/infiniband" : "/sys/class/infiniband");
  if (!m.cpu.model.empty()) fill.measured("hardware.cpu", m.cpu.model, "lscpu");
  const int cores = m.cpu.cores > 0 ? m.cpu.cores : m.cpu.logical;
  if (m.cgroup.quota_cores && *m.cgroup.quota_cores < cores) {
    fill.measured("hardware.cpu_cores",
                  static_cast<int64_t>(std::max(1.0, std::ceil(*m.cgroup.quota_cores))), "cpu.max");
  } else if (cores > 0) {
    fill.measured("hardware.cpu_cores", static_cast<int64_t>(cores), "lscpu");
  }
  const uint64_t limit = m.cgroup.memory_max_bytes.value_or(UINT64_MAX);
  if (m.memory.total_bytes > 0) {
    fill.measured("hardware.ram_gb",
                  tenths(static_cast<double>(std::min(m.memory.total_bytes, limit)) / 1e9),
                  limit < m.memory.total_bytes ? "memory.max" : "/proc/meminfo");
  }
  std::vector<std::string_view> isa;
  for (const std::string_view name : kIsa) {
    if (std::find(m.cpu.flags.begin(), m.cpu.flags.end(), name) != m.cpu.flags.end())
      isa.push_back(name);
  }
  if (!isa.empty()) fill.measured("hardware.isa", fmt::format("{}", fmt::join(isa, " ")), "lscpu");
  if (m.measured.disk_gb_per_s)
    fill.measured("hardware.storage_gb_per_s", thousandths(*m.measured.disk_gb_per_s),
                  "read with --bench");
  std::vector<std::string> runtime;
  if (m.nvidia)
    runtime.push_back(fmt::format("NVIDIA driver {}, CUDA {}", m.nvidia->driver, m.nvidia->cuda));
  if (m.container) runtime.push_back(m.container_kind);
  if (!m.kernel.empty()) runtime.push_back("Linux " + m.kernel);
  if (!runtime.empty())
    fill.measured("hardware.runtime", fmt::format("{}", fmt::join(runtime, ", ")), "read");
}

}  // namespace

Result<Intake> intake_of_machine(const Machine& machine, const Accelerators& known,
                                 const std::string& source) {
  Intake out;
  Filler fill(out, source);
  fill_accelerator(machine, known, fill);
  fill_host(machine, fill);
  if (!fill.status().ok())
    return make_error(ErrorCode::kCorrupt, "{}: {}", source, fill.status().error().message);
  return out;
}

}  // namespace weir::ops
