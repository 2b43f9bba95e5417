#include <algorithm>
#include <set>

#include "ops/doctor/rules.h"

namespace weir::ops {
namespace {

// "0, 3" for those of the GPUs that `is` says; "" for none.
template <typename Is>
std::string which(const Machine& m, const Is& is) {
  std::vector<size_t> numbers;
  for (size_t i = 0; i < m.nvidia->gpus.size(); ++i) {
    if (is(m.nvidia->gpus[i])) numbers.push_back(i);
  }
  return fmt::format("{}", fmt::join(numbers, ", "));
}

// A command for each GPU of such a list.
std::string each(const std::string& numbers, std::string_view command) {
  std::string out;
  for (size_t from = 0; from < numbers.size();) {
    const size_t to = std::min(numbers.find(", ", from), numbers.size());
    if (!out.empty()) out += "\n";
    out += fmt::format("nvidia-smi -i {} {}", numbers.substr(from, to - from), command);
    from = to + 2;
  }
  return out;
}

// A command for each GPU that `is` says, made of its own values.
template <typename Is, typename Command>
std::string each_own(const Machine& m, const Is& is, const Command& command) {
  std::string out;
  for (size_t i = 0; i < m.nvidia->gpus.size(); ++i) {
    const NvidiaGpu& g = m.nvidia->gpus[i];
    if (is(g)) out += fmt::format("{}{}", out.empty() ? "" : "\n", command(i, g));
  }
  return out;
}

Judged driver(const Machine& m, const DoctorNeed&) {
  const int branch = m.nvidia->driver_branch();
  if (branch == 0) return unknown();
  if (branch >= 580) return fine(m.nvidia->driver);
  return advise(
      m.nvidia->driver,
      "install a driver of branch 580, 595 or 620 (drain the node first; a reboot loads it)");
}

Judged persistence(const Machine& m, const DoctorNeed&) {
  const std::string off = which(m, [](const NvidiaGpu& g) { return g.persistence == false; });
  if (off.empty()) return fine("on");
  return wrong("off on GPU " + off,
               "systemctl start nvidia-persistenced 2>/dev/null || { " + each(off, "-pm 1") + "; }",
               "systemctl stop nvidia-persistenced 2>/dev/null || { " + each(off, "-pm 0") + "; }");
}

Judged ecc(const Machine& m, const DoctorNeed&) {
  const std::string off = which(m, [](const NvidiaGpu& g) { return g.ecc == false; });
  if (off.empty()) return fine("on, or not there");
  return wrong("off on GPU " + off, each(off, "-e 1") + "  # after a reboot",
               each(off, "-e 0") + "  # after a reboot");
}

Judged ecc_errors(const Machine& m, const DoctorNeed&) {
  const std::string bad = which(m, [](const NvidiaGpu& g) {
    return g.uncorrectable_errors > 0 || g.remap_pending || g.remap_failed;
  });
  if (bad.empty()) return fine("none");
  const bool failed = std::any_of(m.nvidia->gpus.begin(), m.nvidia->gpus.end(),
                                  [](const NvidiaGpu& g) { return g.remap_failed; });
  return advise(
      "GPU " + bad,
      failed ? "a row could not be remapped: replace the GPU"
             : "drain the node and reset the GPU (nvidia-smi -r), which applies pending remaps; "
               "replace it when errors come back");
}

Judged power(const Machine& m, const DoctorNeed&) {
  const auto capped = [](const NvidiaGpu& g) {
    return g.power_limit_w && g.power_default_w && *g.power_limit_w < *g.power_default_w - 0.5;
  };
  const std::string low = which(m, capped);
  if (low.empty()) return fine("at the default");
  const auto& g = *std::find_if(m.nvidia->gpus.begin(), m.nvidia->gpus.end(), capped);
  const auto set = [](size_t i, double watts) {
    return fmt::format("nvidia-smi -i {} -pl {:.0f}", i, watts);
  };
  return wrong(
      fmt::format("{:.0f} W of {:.0f} on GPU {}", *g.power_limit_w, *g.power_default_w, low),
      each_own(m, capped, [&](size_t i, const auto& own) { return set(i, *own.power_default_w); }),
      each_own(m, capped, [&](size_t i, const auto& own) { return set(i, *own.power_limit_w); }));
}

Judged slowdown(const Machine& m, const DoctorNeed&) {
  std::set<std::string> reasons;
  for (const NvidiaGpu& g : m.nvidia->gpus) reasons.insert(g.slowdowns.begin(), g.slowdowns.end());
  if (reasons.empty()) return fine("none");
  const std::string slow = which(m, [](const NvidiaGpu& g) { return !g.slowdowns.empty(); });
  return advise(fmt::format("{} on GPU {}", fmt::join(reasons, ", "), slow),
                "look after airflow, fans and power supplies; hw_power_brake_slowdown comes from "
                "the rack's supply");
}

Judged clocks(const Machine& m, const DoctorNeed&) {
  const auto held = [](const NvidiaGpu& g) {
    return g.application_mhz && g.application_default_mhz &&
           *g.application_mhz < *g.application_default_mhz;
  };
  const std::string low = which(m, held);
  if (low.empty()) return fine("not held below the default");
  const auto& g = *std::find_if(m.nvidia->gpus.begin(), m.nvidia->gpus.end(), held);
  return wrong(fmt::format("{:.0f} MHz of {:.0f} on GPU {}", *g.application_mhz,
                           *g.application_default_mhz, low),
               each(low, "-rac"), each_own(m, held, [](size_t i, const auto& own) {
                 return fmt::format("# set them again with nvidia-smi -i {} -ac MEMORY,{:.0f}", i,
                                    *own.application_mhz);
               }));
}

Judged mig(const Machine& m, const DoctorNeed&) {
  const std::string waiting = which(m, [](const NvidiaGpu& g) { return g.mig != g.mig_pending; });
  if (!waiting.empty())
    return as_fix(advise("waits for a reset on GPU " + waiting,
                         "nvidia-smi -r once no process uses the GPU"));
  const std::string on = which(m, [](const NvidiaGpu& g) { return g.mig == true; });
  if (on.empty()) return fine("off");
  // Its instances would not come back with -mig 1: nothing for a script.
  return advise("on at GPU " + on,
                "where one model wants the whole GPU: note the instances (nvidia-smi mig -lgi), "
                "drain it, then nvidia-smi -i N -mig 0; to go back make each instance anew "
                "(nvidia-smi mig -cgi)");
}

Judged gpu_memory(const Machine& m, const DoctorNeed& n) {
  double total = 0;
  for (const NvidiaGpu& g : m.nvidia->gpus) total += g.memory_mib.value_or(0) * (1 << 20);
  if (total == 0) return unknown();
  const double needed = n.weight_bytes + n.kv_bytes;
  const std::string found =
      fmt::format("{} on {} GPUs, {} needs {} of weights and {} of KV cache a request", gib(total),
                  m.nvidia->gpus.size(), n.model, gib(n.weight_bytes), gib(n.kv_bytes));
  // A tenth for activations, graphs and the driver.
  if (needed * 1.1 <= total) return fine(found);
  return advise(found, "more GPUs, a smaller precision, or a shorter context (weir plan)");
}

}  // namespace

std::vector<DoctorRule> gpu_rules() {
  constexpr auto kFix = DoctorSeverity::kFix;
  constexpr auto kHint = DoctorSeverity::kHint;
  return {
      {"gpu-driver", kHint, "NVIDIA GPUs", "branch 580 or later",
       "older branches get no more fixes, and run CUDA 13 programs only with a compatibility "
       "package",
       "nvidia-driver-branches", has_gpu, driver},
      {"gpu-persistence", kFix, "NVIDIA GPUs", "on",
       "without it the driver unloads its state with the last client: the next start waits seconds "
       "a GPU and clock "
       "settings are lost",
       "nvidia-persistence-docs", has_gpu, persistence},
      {"gpu-ecc", kHint, "NVIDIA GPUs with ECC", "on",
       "a flipped bit in a weight is a wrong answer that nobody sees", "nvidia-nvml-docs",
       [](const Machine& m, const DoctorNeed&) {
         return m.nvidia && std::any_of(m.nvidia->gpus.begin(), m.nvidia->gpus.end(),
                                        [](const NvidiaGpu& g) { return g.ecc.has_value(); });
       },
       ecc},
      {"gpu-memory-errors", kFix, "NVIDIA GPUs", "no uncorrectable error, no row to remap",
       "they end processes, and come back until the row is remapped", "nvidia-nvml-docs", has_gpu,
       ecc_errors},
      {"gpu-power-cap", kFix, "NVIDIA GPUs that tell", "the default limit",
       "prefill is bound by compute, and compute by power", "nvidia-nvml-docs", has_gpu, power},
      {"gpu-slowdown", kFix, "NVIDIA GPUs", "no heat or power brake",
       "the hardware halves the clocks or worse, and the slowest GPU sets the pace of all",
       "nvidia-nvml-docs", has_gpu, slowdown},
      {"gpu-clocks", kHint, "NVIDIA GPUs of drivers with application clocks",
       "not below the default",
       "application clocks that a benchmark left behind stay until they are reset",
       "nvidia-nvml-docs",
       [](const Machine& m, const DoctorNeed&) {
         return m.nvidia &&
                std::any_of(m.nvidia->gpus.begin(), m.nvidia->gpus.end(),
                            [](const NvidiaGpu& g) { return g.application_mhz.has_value(); });
       },
       clocks},
      {"gpu-mig", kHint, "NVIDIA GPUs that can be split", "off where one model wants the whole GPU",
       "instances reach no NVLink, so no tensor parallelism across them", "nvidia-mig-guide",
       [](const Machine& m, const DoctorNeed&) {
         return m.nvidia && std::any_of(m.nvidia->gpus.begin(), m.nvidia->gpus.end(),
                                        [](const NvidiaGpu& g) { return g.mig.has_value(); });
       },
       mig},
      {"gpu-memory-model", kFix, "with --model, NVIDIA GPUs", "weights and KV cache fit",
       "an engine that does not fit ends at its start", "vllm-optimization-docs",
       [](const Machine& m, const DoctorNeed& n) { return n.known() && m.nvidia.has_value(); },
       gpu_memory},
  };
}

}  // namespace weir::ops
