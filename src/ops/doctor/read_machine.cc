#include "ops/doctor/read_machine.h"

#include <algorithm>
#include <cmath>

#include "ops/doctor/read_host.h"
#include "ops/doctor/text.h"
#include "text/json.h"

namespace weir::ops {
namespace {

constexpr std::string_view kServices[] = {"irqbalance", "nvidia-fabricmanager",
                                          "nvidia-persistenced"};
constexpr size_t kMaxText = 256;  // of a name or value that is shown

// Keeps the outcome of a parser, or names the problem.
template <typename T>
std::optional<T> taken(Result<T> result, Machine& out) {
  if (result.ok()) return std::move(*result);
  out.problems.push_back(result.error().message);
  return std::nullopt;
}

void read_services(HostFiles& files, Machine& out) {
  const auto text = files.tool("services.txt");
  if (!text) return;
  const auto lines = split_lines(*text);
  for (size_t i = 0; i < lines.size() && i < std::size(kServices); ++i)
    out.services[std::string(kServices[i])] = std::string(trimmed(lines[i]).substr(0, 32));
}

void read_modules(HostFiles& files, Machine& out) {
  const auto text = files.file("proc/modules");
  if (!text) return;
  out.modules_known = true;
  for (const std::string_view line : split_lines(*text)) {
    const auto words = split_words(line);
    if (!words.empty()) out.modules.emplace_back(words[0]);
  }
}

void read_environment(HostFiles& files, Machine& out) {
  const std::string text = files.tool("environment.txt").value_or("");
  for (const std::string_view line : split_lines(text)) {
    const size_t equals = line.find('=');
    if (equals > kMaxText) continue;  // npos as well
    out.environment.emplace(line.substr(0, equals),
                            trimmed(line.substr(equals + 1)).substr(0, kMaxText));
  }
}

void read_accelerators(HostFiles& files, Machine& out) {
  if (const auto xml = files.tool("nvidia-smi-q.xml"))
    out.nvidia = taken(parse_nvidia_smi(*xml), out);
  if (const auto text = files.tool("nvidia-smi-topo.txt"))
    out.topology = taken(parse_gpu_topology(*text), out);
  for (const std::string& name : files.list("sys/class/infiniband")) {
    (void)files.file("sys/class/infiniband/" + name + "/node_type");
    out.rdma_devices.push_back(name);
  }
}

void read_kubernetes(HostFiles& files, Machine& out) {
  if (const auto yaml = files.file("var/lib/kubelet/config.yaml")) {
    out.kubernetes = true;
    if (auto config = taken(parse_kubelet_config(*yaml), out)) out.kubelet = std::move(*config);
  }
  if (const auto text = files.tool("kubectl-node.txt")) {
    out.node = taken(parse_kubernetes_node(*text), out);
    out.kubernetes = out.kubernetes || out.node.has_value();
  }
}

}  // namespace

std::string first_line(HostFiles& files, const std::string& path) {
  const std::string text = files.file(path).value_or("");
  return std::string(trimmed(std::string_view(text).substr(0, text.find('\n'))).substr(0, 4096));
}

Machine read_machine(HostFiles& files) {
  Machine out;
  out.kernel = first_line(files, "proc/sys/kernel/osrelease");
  out.command_line = first_line(files, "proc/cmdline");
  out.product = first_line(files, "sys/class/dmi/id/product_name");
  if (out.product.empty()) {
    out.product = first_line(files, "proc/device-tree/model");
    out.product.erase(std::min(out.product.find('\0'), out.product.size()));
  }
  read_services(files, out);
  read_environment(files, out);
  read_cpu(files, out);
  read_memory(files, out);
  read_process(files, out);
  read_container(files, out);
  read_interrupts(files, out);
  read_modules(files, out);
  read_accelerators(files, out);
  read_kubernetes(files, out);
  if (const auto json = files.tool("measured.json")) {
    if (auto measured = taken(parse_measured(*json), out)) out.measured = *measured;
  }
  return out;
}

Result<Measured> parse_measured(std::string_view json) {
  WEIR_ASSIGN(const text::Json root, text::Json::parse(json, {.max_depth = 4, .max_values = 64}));
  if (!root.is_object()) return make_error(ErrorCode::kInvalidValue, "measured.json: no object");
  Measured out;
  const std::pair<const char*, std::optional<double>*> fields[] = {
      {"memory_gb_per_s", &out.memory_gb_per_s},
      {"int8_tops", &out.int8_tops},
      {"f32_tflops", &out.f32_tflops},
      {"disk_gb_per_s", &out.disk_gb_per_s}};
  for (const auto& [name, value] : fields) {
    const text::Json* member = root.find(name);
    if (member == nullptr || member->is_null()) continue;
    if (!member->is_number() || !(member->as_double() >= 0 && member->as_double() < 1e9)) {
      return make_error(ErrorCode::kInvalidValue,
                        "measured.json: {} must be a number from 0 to 1e9", name);
    }
    *value = member->as_double();
  }
  return out;
}

std::string measured_json(const Measured& measured) {
  text::Json j = text::Json::object();
  const auto set = [&](const char* name, const std::optional<double>& value) {
    if (value) j.set(name, std::round(*value * 1000) / 1000);
  };
  set("memory_gb_per_s", measured.memory_gb_per_s);
  set("int8_tops", measured.int8_tops);
  set("f32_tflops", measured.f32_tflops);
  set("disk_gb_per_s", measured.disk_gb_per_s);
  return j.dump({.indent = 2}) + "\n";
}

bool Machine::has_module(const std::string& name) const {
  return std::find(modules.begin(), modules.end(), name) != modules.end();
}

const Mount* Machine::mount_of(const std::string& path) const {
  const Mount* best = nullptr;
  for (const Mount& m : mounts) {
    const bool under = m.point == "/" || path == m.point || path.starts_with(m.point + "/");
    // Of two mounts at one point the later one hides the other.
    if (under && (best == nullptr || m.point.size() >= best->point.size())) best = &m;
  }
  return best;
}

}  // namespace weir::ops
