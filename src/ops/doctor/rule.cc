#include "ops/doctor/rule.h"

#include <algorithm>

#include "ops/doctor/rules.h"
#include "ops/doctor/text.h"

namespace weir::ops {
namespace {

std::vector<DoctorRule> all_rules() {
  std::vector<DoctorRule> out;
  for (auto* table : {cpu_rules, memory_rules, limit_rules, network_rules, storage_rules, gpu_rules,
                      gpu_link_rules, kubernetes_rules}) {
    for (const DoctorRule& rule : table()) out.push_back(rule);
  }
  return out;
}

}  // namespace

std::span<const DoctorRule> doctor_rules() {
  static const std::vector<DoctorRule> rules = all_rules();
  return rules;
}

bool Diagnosis::to_fix() const {
  return std::any_of(wrong.begin(), wrong.end(),
                     [](const DoctorFinding& f) { return f.severity == DoctorSeverity::kFix; });
}

Diagnosis diagnose(const Machine& machine, const DoctorNeed& need) {
  Diagnosis out;
  for (const DoctorRule& rule : doctor_rules()) {
    if (!rule.applies(machine, need)) {
      out.other.push_back(&rule);
      continue;
    }
    Judged judged = rule.judge(machine, need);
    if (judged.state == Judged::State::kUnknown) {
      out.unknown.push_back(&rule);
      continue;
    }
    const DoctorSeverity severity = judged.severity.value_or(rule.severity);
    auto& list = judged.state == Judged::State::kFine ? out.fine : out.wrong;
    list.push_back({&rule, severity, std::move(judged)});
  }
  std::stable_sort(
      out.wrong.begin(), out.wrong.end(), [](const DoctorFinding& a, const DoctorFinding& b) {
        return a.severity == DoctorSeverity::kFix && b.severity == DoctorSeverity::kHint;
      });
  return out;
}

std::string shell_word(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) {
      out.push_back(c);
    }
  }
  return out + "'";
}

std::optional<std::string> sysctl_text(const Machine& m, const std::string& name) {
  const auto it = m.sysctl.find(name);
  if (it == m.sysctl.end()) return std::nullopt;
  return it->second;
}

std::optional<double> sysctl_number(const Machine& m, const std::string& name) {
  const auto text = sysctl_text(m, name);
  return text ? number_in<double>(*text) : std::nullopt;
}

Judged wrong_sysctl(const Machine& m, const std::string& name, std::string_view wanted) {
  const std::string now = sysctl_text(m, name).value_or("");
  return wrong(fmt::format("{} = {}", name, now),
               fmt::format("sysctl -w {}", shell_word(fmt::format("{}={}", name, wanted))),
               fmt::format("sysctl -w {}", shell_word(fmt::format("{}={}", name, now))));
}

std::string gib(double bytes) { return fmt::format("{:.1f} GiB", bytes / (1 << 30)); }

bool has_gpu(const Machine& m, const DoctorNeed&) { return m.nvidia.has_value(); }

bool has_gpus(const Machine& m, const DoctorNeed&) { return m.nvidia && m.nvidia->gpus.size() > 1; }

}  // namespace weir::ops
