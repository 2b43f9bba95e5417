#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "ops/doctor/read_host.h"
#include "ops/doctor/text.h"

namespace weir::ops {
namespace {

const std::string kCpu = "sys/devices/system/cpu/";
constexpr int kMaxIdleStates = 16;

// "Key:   value" lines of lscpu.
void read_lscpu(const std::string& text, CpuFacts& cpu) {
  int per_socket = 0;
  for (const std::string_view line : split_lines(text)) {
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const std::string_view key = trimmed(line.substr(0, colon));
    const std::string_view value = trimmed(line.substr(colon + 1));
    if (key == "Architecture") cpu.architecture = std::string(value);
    if (key == "Model name" && cpu.model.empty()) cpu.model = std::string(value);
    if (key == "CPU(s)" && cpu.logical == 0) cpu.logical = number_in<int>(value).value_or(0);
    if (key == "Socket(s)") cpu.sockets = number_in<int>(value).value_or(0);
    if (key == "Core(s) per socket") per_socket = number_in<int>(value).value_or(0);
    if (key == "Core(s) per cluster" && per_socket == 0)
      per_socket = number_in<int>(value).value_or(0);
    if (key == "Cluster(s)" && cpu.sockets == 0) cpu.sockets = number_in<int>(value).value_or(0);
    if (key == "Hypervisor vendor") cpu.virtual_machine = true;
    if (key == "Flags") {
      for (const std::string_view flag : split_words(value)) cpu.flags.emplace_back(flag);
    }
  }
  cpu.sockets = std::max(cpu.sockets, per_socket > 0 ? 1 : 0);
  cpu.cores = per_socket * cpu.sockets;
}

// Where lscpu is missing.
void read_cpuinfo(const std::string& text, CpuFacts& cpu) {
  std::set<std::pair<std::string, std::string>> cores;
  std::set<std::string> sockets;
  std::string socket;
  for (const std::string_view line : split_lines(text)) {
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const std::string_view key = trimmed(line.substr(0, colon));
    const std::string_view value = trimmed(line.substr(colon + 1));
    if (key == "processor") ++cpu.logical;
    if ((key == "model name" || key == "Model") && cpu.model.empty())
      cpu.model = std::string(value);
    if (key == "physical id") sockets.insert(socket = std::string(value));
    if (key == "core id") cores.emplace(socket, std::string(value));
    if ((key == "flags" || key == "Features") && cpu.flags.empty()) {
      for (const std::string_view flag : split_words(value)) cpu.flags.emplace_back(flag);
      cpu.architecture = key == "flags" ? "x86_64" : "aarch64";
    }
  }
  cpu.sockets = static_cast<int>(sockets.size());
  cpu.cores = cores.empty() ? cpu.logical : static_cast<int>(cores.size());
}

void read_frequency(HostFiles& files, CpuFacts& cpu) {
  for (const std::string& policy : files.list(kCpu + "cpufreq")) {
    if (!policy.starts_with("policy")) continue;
    const std::string folder = fmt::format("{}cpufreq/{}/", kCpu, policy);
    const std::string governor = first_line(files, folder + "scaling_governor");
    if (governor.empty()) continue;
    ++cpu.governors[governor];
    cpu.policies.emplace_back(policy, governor);
    if (!cpu.scaling_driver.empty()) continue;
    cpu.scaling_driver = first_line(files, folder + "scaling_driver");
    cpu.energy_preference = first_line(files, folder + "energy_performance_preference");
  }
  const std::pair<const char*, bool> switches[] = {{"intel_pstate/no_turbo", true},
                                                   {"cpufreq/boost", false}};
  for (const auto& [name, inverted] : switches) {
    const std::string value = first_line(files, kCpu + name);
    if (value != "0" && value != "1") continue;
    cpu.boost = (value == "1") != inverted;
    cpu.boost_file = "/" + kCpu + name;
    cpu.boost_inverted = inverted;
    return;
  }
}

void read_idle(HostFiles& files, CpuFacts& cpu) {
  for (int i = 0; i < kMaxIdleStates; ++i) {
    const std::string folder = kCpu + "cpu0/cpuidle/state" + std::to_string(i) + "/";
    const std::string name = first_line(files, folder + "name");
    if (name.empty()) return;
    const auto exit_us = number_in<int>(first_line(files, folder + "latency"));
    if (!exit_us || first_line(files, folder + "disable") == "1") continue;
    cpu.idle_enabled.emplace_back(i, *exit_us);
    if (cpu.idle_exit_us && *exit_us <= *cpu.idle_exit_us) continue;
    cpu.idle_exit_us = exit_us;
    cpu.idle_state = name;
  }
}

void read_nodes(HostFiles& files, Machine& out) {
  const std::string root = "sys/devices/system/node/";
  for (const int id : number_list(first_line(files, root + "online"))) {
    NumaNode node;
    node.id = id;
    const std::string folder = root + "node" + std::to_string(id) + "/";
    node.cpus = number_list(first_line(files, folder + "cpulist"));
    const std::string meminfo = files.file(folder + "meminfo").value_or("");
    for (const std::string_view line : split_lines(meminfo)) {
      const auto words = split_words(line);  // Node 0 MemTotal: 263860432 kB
      if (words.size() >= 4 && words[2] == "MemTotal:")
        node.memory_bytes = number_in<uint64_t>(words[3]).value_or(0) * 1024;
    }
    out.nodes.push_back(std::move(node));
    if (out.nodes.size() >= 1024) return;
  }
}

}  // namespace

void read_cpu(HostFiles& files, Machine& out) {
  CpuFacts& cpu = out.cpu;
  if (const auto text = files.tool("lscpu.txt")) {
    read_lscpu(*text, cpu);
  } else {
    read_cpuinfo(files.file("proc/cpuinfo").value_or(""), cpu);
  }
  const auto online = number_list(first_line(files, kCpu + "online"));
  if (!online.empty()) cpu.logical = static_cast<int>(online.size());
  if (std::find(cpu.flags.begin(), cpu.flags.end(), "hypervisor") != cpu.flags.end())
    cpu.virtual_machine = true;
  read_frequency(files, cpu);
  read_idle(files, cpu);
  for (const std::string& name : files.list(kCpu + "vulnerabilities")) {
    if (first_line(files, fmt::format("{}vulnerabilities/{}", kCpu, name))
            .starts_with("Vulnerable"))
      cpu.vulnerable.push_back(name);
  }
  read_nodes(files, out);
  const std::string clocks = "sys/devices/system/clocksource/clocksource0/";
  out.clock_source = first_line(files, clocks + "current_clocksource");
  const std::string available = first_line(files, clocks + "available_clocksource");
  for (const std::string_view word : split_words(available)) out.clock_sources.emplace_back(word);
}

}  // namespace weir::ops
