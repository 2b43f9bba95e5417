#include "ops/doctor/nvidia_smi.h"

#include <algorithm>
#include <array>
#include <functional>

#include "ops/doctor/text.h"

namespace weir::ops {
namespace {

constexpr size_t kMaxDepth = 24;
constexpr size_t kMaxElements = 400'000;  // the supported clocks of 64 GPUs are some 200,000
constexpr size_t kMaxGpus = 128;
constexpr size_t kMaxText = 4096;

std::optional<bool> enabled(std::string_view text) {
  if (text == "Enabled") return true;
  if (text == "Disabled") return false;
  return std::nullopt;
}

template <typename T>
using GpuField = T NvidiaGpu::*;

struct SwitchPath {
  std::string_view path;
  GpuField<std::optional<bool>> field;
};
struct WholePath {
  std::string_view path;
  GpuField<std::optional<int>> field;
};
struct NumberPath {
  std::string_view path;
  GpuField<std::optional<double>> field;
};
struct TextPath {
  std::string_view path;
  GpuField<std::string> field;
};

// Paths below <gpu>. Older schemas name some otherwise; both are listed.
constexpr std::array kSwitches = {
    SwitchPath{"persistence_mode", &NvidiaGpu::persistence},
    SwitchPath{"mig_mode/current_mig", &NvidiaGpu::mig},
    SwitchPath{"mig_mode/pending_mig", &NvidiaGpu::mig_pending},
    SwitchPath{"ecc_mode/current_ecc", &NvidiaGpu::ecc},
    SwitchPath{"ecc_mode/pending_ecc", &NvidiaGpu::ecc_pending},
};
constexpr std::array kWholes = {
    WholePath{"pci/pci_gpu_link_info/pcie_gen/max_link_gen", &NvidiaGpu::pcie_max_gen},
    WholePath{"pci/pci_gpu_link_info/pcie_gen/max_device_link_gen", &NvidiaGpu::pcie_device_gen},
    WholePath{"pci/pci_gpu_link_info/link_widths/max_link_width", &NvidiaGpu::pcie_max_width},
    WholePath{"pci/pci_gpu_link_info/link_widths/current_link_width", &NvidiaGpu::pcie_width},
};
constexpr std::array kNumbers = {
    NumberPath{"fb_memory_usage/total", &NvidiaGpu::memory_mib},
    NumberPath{"gpu_power_readings/current_power_limit", &NvidiaGpu::power_limit_w},
    NumberPath{"gpu_power_readings/default_power_limit", &NvidiaGpu::power_default_w},
    NumberPath{"power_readings/enforced_power_limit", &NvidiaGpu::power_limit_w},
    NumberPath{"power_readings/default_power_limit", &NvidiaGpu::power_default_w},
    NumberPath{"clocks/sm_clock", &NvidiaGpu::clock_mhz},
    NumberPath{"max_clocks/sm_clock", &NvidiaGpu::clock_max_mhz},
    NumberPath{"applications_clocks/graphics_clock", &NvidiaGpu::application_mhz},
    NumberPath{"default_applications_clocks/graphics_clock", &NvidiaGpu::application_default_mhz},
};
constexpr std::array kTexts = {
    TextPath{"product_name", &NvidiaGpu::name},
    TextPath{"product_architecture", &NvidiaGpu::architecture},
    TextPath{"fabric/state", &NvidiaGpu::fabric_state},
    TextPath{"fabric/status", &NvidiaGpu::fabric_status},
};
// The reasons that are a fault: heat, power supply, power brake; not idleness, not the power limit,
// under which a busy GPU always is.
constexpr std::array<std::string_view, 4> kSlowdowns = {
    "hw_slowdown", "hw_thermal_slowdown", "hw_power_brake_slowdown", "sw_thermal_slowdown"};

void take_slowdown(std::string_view path, std::string_view text, NvidiaGpu& gpu) {
  for (const std::string_view prefix : {"clocks_event_reasons/clocks_event_reason_",
                                        "clocks_throttle_reasons/clocks_throttle_reason_"}) {
    if (!path.starts_with(prefix) || text != "Active") continue;
    const std::string_view reason = path.substr(prefix.size());
    if (std::find(kSlowdowns.begin(), kSlowdowns.end(), reason) != kSlowdowns.end())
      gpu.slowdowns.emplace_back(reason);
  }
}

void take_error_count(std::string_view path, std::string_view text, NvidiaGpu& gpu) {
  constexpr std::string_view kVolatile = "ecc_errors/volatile/";
  if (path.starts_with(kVolatile) && path.find("uncorrectable") != std::string_view::npos)
    gpu.uncorrectable_errors += number_in<double>(text).value_or(0);
  if (path == "remapped_rows/remapped_row_pending") gpu.remap_pending = text == "Yes";
  if (path == "remapped_rows/remapped_row_failure") gpu.remap_failed = text == "Yes";
}

// The text of one element without children, whose path below <gpu> this is.
void take(std::string_view path, std::string_view text, NvidiaGpu& gpu) {
  for (const SwitchPath& p : kSwitches) {
    if (p.path == path) gpu.*p.field = enabled(text);
  }
  for (const WholePath& p : kWholes) {
    if (p.path == path) gpu.*p.field = leading_number<int>(text);
  }
  for (const NumberPath& p : kNumbers) {
    if (p.path != path) continue;
    if (const auto value = leading_number<double>(text)) gpu.*p.field = value;
  }
  for (const TextPath& p : kTexts) {
    if (p.path == path) gpu.*p.field = std::string(text);
  }
  take_slowdown(path, text, gpu);
  take_error_count(path, text, gpu);
}

// Walks elements and their text; attributes, comments and declarations are passed over.
class Reader {
 public:
  explicit Reader(std::string_view xml) : xml_(xml) {}

  Result<NvidiaSmi> read() {
    while (at_ < xml_.size()) {
      if (xml_[at_] != '<') {
        WEIR_TRY(text());
      } else if (xml_.substr(at_).starts_with("<!--")) {
        WEIR_TRY(skip_past("-->", "a comment"));
      } else if (xml_.substr(at_).starts_with("<?") || xml_.substr(at_).starts_with("<!")) {
        WEIR_TRY(skip_past(">", "a declaration"));
      } else if (xml_.substr(at_).starts_with("</")) {
        WEIR_TRY(close());
      } else {
        WEIR_TRY(open());
      }
    }
    if (!stack_.empty()) return wrong("the text ends inside <{}>", stack_.back());
    if (!seen_root_) return wrong("there is no <nvidia_smi_log>");
    if (out_.gpus.empty()) return wrong("it lists no GPU");
    return std::move(out_);
  }

 private:
  template <typename... Args>
  Error wrong(fmt::format_string<Args...> what, Args&&... args) const {
    return make_error(ErrorCode::kCorrupt, "nvidia-smi -q -x: byte {}: {}", at_,
                      fmt::format(what, std::forward<Args>(args)...));
  }

  Status skip_past(std::string_view end, std::string_view what) {
    const size_t found = xml_.find(end, at_);
    if (found == std::string_view::npos) return wrong("{} has no end", what);
    at_ = found + end.size();
    return {};
  }

  Status text() {
    const size_t end = std::min(xml_.find('<', at_), xml_.size());
    const std::string_view part = trimmed(xml_.substr(at_, end - at_));
    if (stack_.empty() && !part.empty()) return wrong("text outside of any element");
    if (part.size() <= kMaxText) text_ = part;
    at_ = end;
    return {};
  }

  // The name from at_ on, and at_ behind the tag.
  Result<std::string_view> tag(size_t from, bool& alone) {
    const size_t end = xml_.find('>', at_);
    if (end == std::string_view::npos) return wrong("a tag has no end");
    std::string_view inside = xml_.substr(from, end - from);
    alone = inside.ends_with('/');
    const std::string_view name = inside.substr(0, inside.find_first_of(" \t\r\n/"));
    if (name.empty() || name.size() > 128) return wrong("a tag without a name");
    at_ = end + 1;
    return name;
  }

  Status open() {
    bool alone = false;
    WEIR_ASSIGN(const std::string_view name, tag(at_ + 1, alone));
    if (++elements_ > kMaxElements) {
      return make_error(ErrorCode::kLimit, "nvidia-smi -q -x: more than {} elements", kMaxElements);
    }
    if (stack_.size() >= kMaxDepth) {
      return make_error(ErrorCode::kLimit, "nvidia-smi -q -x: byte {}: deeper than {} levels", at_,
                        kMaxDepth);
    }
    if (stack_.empty()) {
      if (seen_root_ || name != "nvidia_smi_log")
        return wrong("<{}> instead of <nvidia_smi_log>", name);
      seen_root_ = true;
    }
    if (stack_.size() == 1 && name == "gpu") {
      if (out_.gpus.size() >= kMaxGpus) return wrong("more than {} GPUs", kMaxGpus);
      out_.gpus.emplace_back();
    }
    text_ = {};
    leaf_ = true;
    stack_.push_back(name);
    if (alone) leave();
    return {};
  }

  Status close() {
    bool alone = false;
    WEIR_ASSIGN(const std::string_view name, tag(at_ + 2, alone));
    if (stack_.empty() || stack_.back() != name)
      return wrong("</{}> closes {}", name, stack_.empty() ? "nothing" : stack_.back());
    leave();
    return {};
  }

  void leave() {
    if (leaf_ && !text_.empty()) value();
    if (stack_.size() == 4 && stack_[1] == "gpu" && stack_[3] == "mig_device")
      ++out_.gpus.back().mig_devices;
    stack_.pop_back();
    text_ = {};
    leaf_ = false;
  }

  void value() {
    if (stack_.size() == 2 && stack_[1] == "driver_version") out_.driver = std::string(text_);
    if (stack_.size() == 2 && stack_[1] == "cuda_version") out_.cuda = std::string(text_);
    if (stack_.size() < 3 || stack_[1] != "gpu" || stack_[2] == "mig_devices") return;
    path_.assign(stack_[2]);
    for (size_t i = 3; i < stack_.size(); ++i) path_.append("/").append(stack_[i]);
    take(path_, text_, out_.gpus.back());
  }

  std::string_view xml_;
  size_t at_ = 0;
  size_t elements_ = 0;
  bool seen_root_ = false;
  bool leaf_ = false;  // nothing was opened or closed since the last opening
  std::string_view text_;
  std::string path_;
  std::vector<std::string_view> stack_;
  NvidiaSmi out_;
};

}  // namespace

int NvidiaSmi::driver_branch() const { return leading_number<int>(driver).value_or(0); }

Result<NvidiaSmi> parse_nvidia_smi(std::string_view xml) {
  if (xml.size() > kMaxNvidiaSmiBytes) {
    return make_error(ErrorCode::kLimit, "nvidia-smi -q -x: {} bytes are over the limit of {}",
                      xml.size(), kMaxNvidiaSmiBytes);
  }
  return Reader(xml).read();
}

}  // namespace weir::ops
