#include <algorithm>

#include "ops/doctor/rules.h"
#include "ops/doctor/text.h"

namespace weir::ops {
namespace {

constexpr int kDeepIdleUs = 100;  // a state that takes longer to leave is felt between tokens

bool scales_frequency(const Machine& m, const DoctorNeed&) {
  return !m.container && !m.cpu.governors.empty();
}

Judged governor(const Machine& m, const DoctorNeed&) {
  std::string worst;
  for (const auto& [name, count] : m.cpu.governors) {
    if (name != "performance") worst = name;
  }
  // Drivers that choose frequencies themselves obey the preference, whatever the governor's name.
  const bool active =
      m.cpu.scaling_driver == "intel_pstate" || m.cpu.scaling_driver == "amd-pstate-epp";
  if (worst.empty()) return fine("performance");
  if (active && m.cpu.energy_preference == "performance")
    return fine(fmt::format("{} with the energy preference performance", worst));
  const auto set = [](std::string_view policy, std::string_view name) {
    return fmt::format(
        "for f in /sys/devices/system/cpu/cpufreq/{}/scaling_governor; do echo {} > \"$f\"; done",
        policy, name);
  };
  const std::string found = fmt::format("{} ({})", worst, m.cpu.scaling_driver);
  if (m.cpu.governors.size() == 1)
    return wrong(found, set("policy*", "performance"), set("policy*", shell_word(worst)));
  // Each goes back to what it was.
  std::string fix, undo;
  for (const auto& [policy, name] : m.cpu.policies) {
    if (name == "performance") continue;
    const char* line = fix.empty() ? "" : "\n";
    fix += line + set(shell_word(policy), "performance");
    undo += line + set(shell_word(policy), shell_word(name));
  }
  return wrong(found, fix, undo);
}

Judged turbo(const Machine& m, const DoctorNeed&) {
  if (!m.cpu.boost) return unknown();
  if (*m.cpu.boost) return fine("on");
  const char on = m.cpu.boost_inverted ? '0' : '1';
  const char off = m.cpu.boost_inverted ? '1' : '0';
  return wrong("off", fmt::format("echo {} > {}", on, m.cpu.boost_file),
               fmt::format("echo {} > {}", off, m.cpu.boost_file));
}

Judged idle_states(const Machine& m, const DoctorNeed&) {
  if (!m.cpu.idle_exit_us) return unknown();
  const std::string found =
      fmt::format("{} takes {} us to leave", m.cpu.idle_state, *m.cpu.idle_exit_us);
  if (*m.cpu.idle_exit_us <= kDeepIdleUs) return fine(found);
  // By number: what was off before stays off when it is undone.
  std::string fix, undo;
  for (const auto& [number, exit_us] : m.cpu.idle_enabled) {
    if (exit_us <= kDeepIdleUs) continue;
    const char* line = fix.empty() ? "" : "\n";
    fix += fmt::format("{}cpupower idle-set -d {}", line, number);
    undo += fmt::format("{}cpupower idle-set -e {}", line, number);
  }
  return wrong(found, fix, undo);
}

Judged clock_source(const Machine& m, const DoctorNeed&) {
  if (m.clock_source.empty()) return unknown();
  constexpr std::array<std::string_view, 4> kFast = {"tsc", "arch_sys_counter", "kvm-clock",
                                                     "hyperv_clocksource_tsc_page"};
  if (std::find(kFast.begin(), kFast.end(), m.clock_source) != kFast.end())
    return fine(m.clock_source);
  const std::string file = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
  for (const std::string_view name : kFast) {
    if (std::find(m.clock_sources.begin(), m.clock_sources.end(), name) == m.clock_sources.end())
      continue;
    return wrong(m.clock_source, fmt::format("echo {} > {}", name, file),
                 fmt::format("echo {} > {}", shell_word(m.clock_source), file));
  }
  return advise(m.clock_source,
                "no fast source is offered: look for why in dmesg (tsc unstable), or in the "
                "hypervisor's settings");
}

Judged mitigations(const Machine& m, const DoctorNeed&) {
  const bool off = m.command_line.find("mitigations=off") != std::string::npos;
  if (m.cpu.vulnerable.empty() && !off) return fine("none is vulnerable");
  std::string found = off ? "mitigations=off" : "";
  if (!m.cpu.vulnerable.empty()) {
    found += fmt::format("{}vulnerable: {}", off ? "; " : "", fmt::join(m.cpu.vulnerable, ", "));
  }
  return advise(
      found, "update kernel and microcode; mitigations=off only where one tenant owns the machine");
}

// "6.8.0-45-generic" as 6.08.
std::optional<double> kernel_number(std::string_view version) {
  const size_t dot = version.find('.');
  const auto major = leading_number<int>(version);
  if (!major || dot == std::string_view::npos) return std::nullopt;
  const auto minor = leading_number<int>(version.substr(dot + 1));
  if (!minor || *minor > 99) return std::nullopt;
  return *major + *minor / 100.0;
}

Judged kernel(const Machine& m, const DoctorNeed&) {
  const auto number = kernel_number(m.kernel);
  if (!number) return unknown();
  if (*number >= 5.10) return fine(m.kernel);
  return advise(m.kernel, "upgrade, unless the distribution maintains this kernel itself");
}

bool measured_memory(const Machine& m, const DoctorNeed&) {
  return m.measured.memory_gb_per_s.has_value();
}

Judged memory_bandwidth(const Machine& m, const DoctorNeed&) {
  constexpr double kLeastPerCore = 1.0;  // GB/s: below it even a desktop's cores starve
  const double rate = *m.measured.memory_gb_per_s;
  const int cores = std::max(1, m.cpu.cores);
  const std::string found = fmt::format("{:.1f} GB/s for {} cores", rate, cores);
  if (rate >= kLeastPerCore * cores) return fine(found);
  return advise(
      found,
      "populate every memory channel, check the modules' speed (dmidecode -t memory), and "
      "that nothing else ran during the measurement");
}

}  // namespace

std::vector<DoctorRule> cpu_rules() {
  constexpr auto kFix = DoctorSeverity::kFix;
  constexpr auto kHint = DoctorSeverity::kHint;
  return {
      {"cpu-governor", kFix, "machines that scale frequencies, not containers", "performance",
       "other governors wait for load before they raise the clock, and decode is a burst a token",
       "linux-cpufreq-docs", scales_frequency, governor},
      {"cpu-turbo", kFix, "machines with a switch for it, not containers", "on",
       "frequencies above the nominal one are what few busy cores run at", "linux-sysfs-cpu-abi",
       [](const Machine& m, const DoctorNeed&) { return !m.container && m.cpu.boost.has_value(); },
       turbo},
      {"cpu-idle-states", kHint, "machines with idle states, not containers",
       "no idle state above 100 us",
       "a core that sleeps deeply between two steps answers late; costs power when idle",
       "linux-sysfs-cpu-abi",
       [](const Machine& m, const DoctorNeed&) {
         return !m.container && m.cpu.idle_exit_us.has_value();
       },
       idle_states},
      {"cpu-clock-source", kFix, "every machine", "tsc, arch_sys_counter or kvm-clock",
       "other sources make each reading of the clock a system call or a device access; servers "
       "read it "
       "several times a token",
       "heap-clocksource-blog", own_kernel, clock_source},
      {"cpu-mitigations", kHint, "every machine", "nothing vulnerable",
       "an attack across tenants reads keys and prompts", "linux-sysfs-cpu-abi", own_kernel,
       mitigations},
      {"kernel-version", kHint, "every machine", "5.10 or later",
       "older longterm kernels get no more fixes", "linux-kernel-releases", own_kernel, kernel},
      {"memory-bandwidth", kHint, "with --bench", "1 GB/s a core or more",
       "decode reads every weight once a token: bandwidth is its limit", "roofline-2009",
       measured_memory, memory_bandwidth},
  };
}

}  // namespace weir::ops
