// The tables behind doctor_rules(), and what their functions share. Internal to ops/.
#pragma once

#include <fmt/format.h>

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "ops/doctor/rule.h"

namespace weir::ops {

std::vector<DoctorRule> cpu_rules();
std::vector<DoctorRule> memory_rules();
std::vector<DoctorRule> limit_rules();
std::vector<DoctorRule> network_rules();
std::vector<DoctorRule> storage_rules();
std::vector<DoctorRule> gpu_rules();
std::vector<DoctorRule> gpu_link_rules();
std::vector<DoctorRule> kubernetes_rules();

inline Judged fine(std::string found) {
  return {.state = Judged::State::kFine, .found = std::move(found)};
}
inline Judged unknown() { return {}; }
// With commands.
inline Judged wrong(std::string found, std::string fix, std::string undo) {
  return {.state = Judged::State::kWrong,
          .found = std::move(found),
          .fix = std::move(fix),
          .undo = std::move(undo)};
}
// Without: what a person has to do.
inline Judged advise(std::string found, std::string advice) {
  return {.state = Judged::State::kWrong, .found = std::move(found), .advice = std::move(advice)};
}
inline Judged as_hint(Judged j) {
  j.severity = DoctorSeverity::kHint;
  return j;
}
inline Judged as_fix(Judged j) {
  j.severity = DoctorSeverity::kFix;
  return j;
}

// `text`, which comes from the machine, as one word of a shell.
std::string shell_word(std::string_view text);

// A setting below /proc/sys; nullopt when it was not read.
std::optional<std::string> sysctl_text(const Machine& m, const std::string& name);
std::optional<double> sysctl_number(const Machine& m, const std::string& name);
// Sets `name`, and back to what it is now.
Judged wrong_sysctl(const Machine& m, const std::string& name, std::string_view wanted);

std::string gib(double bytes);  // "12.5 GiB"
bool has_gpu(const Machine& m, const DoctorNeed& need);
bool has_gpus(const Machine& m, const DoctorNeed& need);  // two or more
inline bool always(const Machine&, const DoctorNeed&) { return true; }
// Settings of the kernel can be changed from here: it is no container.
inline bool own_kernel(const Machine& m, const DoctorNeed&) { return !m.container; }

}  // namespace weir::ops
