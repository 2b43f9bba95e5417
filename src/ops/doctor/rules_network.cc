#include "ops/doctor/rules.h"
#include "ops/doctor/text.h"

namespace weir::ops {
namespace {

constexpr double kBacklog = 4096;  // the kernel's default since 5.4
constexpr double kBufferBytes = 4 << 20;
constexpr double kKeepaliveS = 600;

Judged interrupts(const Machine& m, const DoctorNeed&) {
  const InterruptFacts& f = m.interrupts;
  const std::string found =
      fmt::format("CPU {} takes {:.0f} % of {} queues{}", f.busiest_cpu, f.busiest_share * 100,
                  f.network_queues, f.balanced.value_or(false) ? ", irqbalance runs" : "");
  if (f.busiest_share < 0.9) return fine(found);
  return wrong(found, "systemctl start irqbalance", "systemctl stop irqbalance");
}

Judged backlog(const Machine& m, const DoctorNeed&) {
  const auto value = sysctl_number(m, "net.core.somaxconn");
  if (!value) return unknown();
  if (*value >= kBacklog) return fine(fmt::format("{}", *value));
  return m.container ? advise(fmt::format("net.core.somaxconn = {}", *value),
                              "docker run --sysctl net.core.somaxconn=4096; on Kubernetes "
                              "securityContext.sysctls")
                     : wrong_sysctl(m, "net.core.somaxconn", "4096");
}

// The third of "4096 131072 6291456".
std::optional<double> third(const Machine& m, const std::string& name) {
  const auto text = sysctl_text(m, name);
  const auto words = text ? split_words(*text) : std::vector<std::string_view>();
  return words.size() == 3 ? number_in<double>(words[2]) : std::nullopt;
}

Judged buffers(const Machine& m, const DoctorNeed&) {
  const auto read = third(m, "net.ipv4.tcp_rmem");
  const auto write = third(m, "net.ipv4.tcp_wmem");
  if (!read || !write) return unknown();
  const std::string found = fmt::format("tcp_rmem up to {}, tcp_wmem up to {}", *read, *write);
  if (*read >= kBufferBytes && *write >= kBufferBytes) return fine(found);
  Judged j = wrong_sysctl(m, "net.ipv4.tcp_rmem", "4096 131072 16777216");
  const Judged w = wrong_sysctl(m, "net.ipv4.tcp_wmem", "4096 16384 16777216");
  return wrong(found, j.fix + "\n" + w.fix, j.undo + "\n" + w.undo);
}

Judged congestion(const Machine& m, const DoctorNeed&) {
  const auto value = sysctl_text(m, "net.ipv4.tcp_congestion_control");
  if (!value) return unknown();
  if (*value == "cubic" || *value == "bbr" || *value == "dctcp") return fine(*value);
  return wrong_sysctl(m, "net.ipv4.tcp_congestion_control", "cubic");
}

Judged keepalive(const Machine& m, const DoctorNeed&) {
  const auto value = sysctl_number(m, "net.ipv4.tcp_keepalive_time");
  if (!value) return unknown();
  if (*value <= kKeepaliveS) return fine(fmt::format("{} s", *value));
  return wrong_sysctl(m, "net.ipv4.tcp_keepalive_time", "300");
}

Judged slow_start(const Machine& m, const DoctorNeed&) {
  const auto value = sysctl_text(m, "net.ipv4.tcp_slow_start_after_idle");
  if (!value) return unknown();
  return *value == "0" ? fine("off") : wrong_sysctl(m, "net.ipv4.tcp_slow_start_after_idle", "0");
}

}  // namespace

std::vector<DoctorRule> network_rules() {
  constexpr auto kFix = DoctorSeverity::kFix;
  constexpr auto kHint = DoctorSeverity::kHint;
  return {
      {"irq-balance", kFix, "4 CPUs or more, interrupts of network cards seen, not containers",
       "under 90 % on one CPU",
       "the CPU that takes every packet is also one of the cores that compute, and all others wait "
       "for it",
       "linux-irq-affinity-docs",
       [](const Machine& m, const DoctorNeed&) {
         return !m.container && m.cpu.logical >= 4 && m.interrupts.network_queues > 0 &&
                m.interrupts.busiest_cpu >= 0;
       },
       interrupts},
      {"tcp-backlog", kFix, "every machine", "4096 or more",
       "a burst of connections beyond the listen queue is dropped and comes back after a second",
       "linux-ip-sysctl-docs", always, backlog},
      {"tcp-buffers", kHint, "not containers", "4 MiB or more",
       "model files and KV cache that move over a long or fast link are held back by small windows",
       "linux-ip-sysctl-docs", own_kernel, buffers},
      {"tcp-congestion", kHint, "not containers", "cubic, bbr or dctcp",
       "reno needs minutes to fill a fast link again after one loss", "linux-ip-sysctl-docs",
       own_kernel, congestion},
      {"tcp-keepalive", kHint, "not containers", "600 s or less",
       "clients that vanished are noticed after two hours; balancers forget idle connections "
       "sooner",
       "linux-ip-sysctl-docs", own_kernel, keepalive},
      {"tcp-slow-start-after-idle", kHint, "not containers", "off",
       "a kept connection that was idle for one timeout starts at a small window again: the next "
       "long prompt "
       "takes more round trips",
       "linux-ip-sysctl-docs", own_kernel, slow_start},
  };
}

}  // namespace weir::ops
