#include "cli/host.h"

#include <fmt/format.h>

#include <unistd.h>

#include <filesystem>
#include <map>
#include <string_view>

#include "base/clock.h"
#include "bench/machine.h"
#include "cli/load.h"
#include "cli/model_path.h"
#include "os/cpu.h"
#include "os/read_rate.h"

namespace weir::cli {
namespace {

constexpr uint64_t kMaxReadBytes = uint64_t{2} << 30;
constexpr int kMaxReadMs = 3000;

// Names that say how communication libraries are set; nothing else of the environment is read.
std::string communication_settings() {
  std::string out;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    if (text.starts_with("NCCL_") || text.starts_with("CUDA_") ||
        text.starts_with("KUBERNETES_SERVICE_HOST="))
      out += fmt::format("{}\n", text);
  }
  return out;
}

}  // namespace

Result<std::unique_ptr<ops::HostFiles>> open_host(const std::string& root) {
  if (!root.empty() && root != "/") return ops::open_host_folder(root);
  return ops::open_this_host({{"environment.txt", communication_settings()}});
}

Result<ops::Measured> measure_host(const std::string& file) {
  const SystemClock clock;
  WEIR_ASSIGN(const kernels::Isa isa, chosen_isa());
  const bench::MachineLimits limits =
      bench::measure_machine(os::usable_cores(), isa, os::detect_cpu(), clock);
  ops::Measured out;
  out.memory_gb_per_s = limits.read_bytes_per_s * 1e-9;
  if (limits.int8_ops_per_s > 0) out.int8_tops = limits.int8_ops_per_s * 1e-12;
  if (limits.f32_ops_per_s > 0) out.f32_tflops = limits.f32_ops_per_s * 1e-12;
  if (file.empty()) return out;
  const auto rate = os::measure_read_rate(file, kMaxReadBytes, kMaxReadMs, clock);
  if (rate.ok()) {
    out.disk_gb_per_s = rate->bytes_per_s * 1e-9;
  } else {
    fmt::print(stderr, "weir: the disk was not measured: {}\n", rate.error().message);
  }
  return out;
}

Result<ops::Accelerator> this_machine() {
  WEIR_ASSIGN(const ops::Measured measured, measure_host(""));
  ops::Accelerator a;
  a.id = ops::kThisMachine;
  a.name = os::cpu_model_name();
  a.kind = ops::AcceleratorKind::kCpu;
  a.sources = {{.id = "measured",
                .title = "weir bench machine",
                .url = "",
                .publisher = "this machine",
                .primary = true,
                .verified = true,
                .accessed = ""}};
  const auto figure = [](double value) {
    return ops::Figure{value, "measured", fmt::format("{} threads", os::usable_cores()), true};
  };
  a.bandwidth_gb_per_s = figure(*measured.memory_gb_per_s);
  if (measured.f32_tflops) a.dense_tflops.emplace_back("fp32", figure(*measured.f32_tflops));
  if (measured.int8_tops) a.dense_tflops.emplace_back("int8", figure(*measured.int8_tops));
  a.cores = figure(os::usable_cores());
  return a;
}

std::string largest_file(const std::string& model) {
  namespace fs = std::filesystem;
  std::error_code error;
  fs::path path(model);
  if (path.extension() == ".json") path = fs::absolute(path).parent_path();
  if (!fs::exists(path, error)) {
    const auto resolved = resolve_model(model);
    if (!resolved.ok()) return "";
    path = *resolved;
  }
  if (fs::is_regular_file(path, error)) return fs::absolute(path).string();
  fs::path best;
  uintmax_t most = 0;
  for (fs::directory_iterator it(path, error); !error && it != fs::directory_iterator();
       it.increment(error)) {
    std::error_code ignored;
    const uintmax_t size = it->is_regular_file(ignored) ? it->file_size(ignored) : 0;
    if (ignored || size <= most) continue;
    most = size;
    best = it->path();
  }
  return best.empty() ? "" : fs::absolute(best).string();
}

}  // namespace weir::cli
