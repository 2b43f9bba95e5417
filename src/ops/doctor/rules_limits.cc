#include <algorithm>
#include <cmath>

#include "ops/doctor/rules.h"

namespace weir::ops {
namespace {

constexpr double kThrottledShare = 0.01;
constexpr uint64_t kOpenFiles = 65'535;  // what vLLM raises the limit to
constexpr uint64_t kLockedBytes = uint64_t{1} << 30;
constexpr uint64_t kShmBytes = uint64_t{1} << 30;

bool has_quota(const Machine& m, const DoctorNeed&) { return m.cgroup.quota_cores.has_value(); }

Judged throttling(const Machine& m, const DoctorNeed&) {
  const CgroupFacts& c = m.cgroup;
  if (c.periods == 0) return fine("no period yet");
  const double share = static_cast<double>(c.throttled) / static_cast<double>(c.periods);
  const std::string found =
      fmt::format("{:.1f} % of periods, quota {:.2f} CPUs", share * 100, *c.quota_cores);
  if (share <= kThrottledShare) return fine(found);
  return advise(
      found,
      fmt::format("run with --threads {} or fewer, or raise the quota (docker update --cpus, "
                  "resources.limits.cpu); better pin whole CPUs (--cpuset-cpus)",
                  std::max(1, static_cast<int>(*c.quota_cores))));
}

Judged quota(const Machine& m, const DoctorNeed&) {
  const double cores = *m.cgroup.quota_cores;
  const std::string found = fmt::format("{:.2f} of {} CPUs", cores, m.cpu.logical);
  if (cores == std::floor(cores)) return fine(found);
  return advise(found, fmt::format("give {} CPUs", static_cast<int>(std::ceil(cores))));
}

Judged cgroup_version(const Machine& m, const DoctorNeed&) {
  if (m.cgroup.version == 0) return unknown();
  if (m.cgroup.version == 2) return fine("2");
  return advise("1", "boot with systemd.unified_cgroup_hierarchy=1");
}

Judged open_files(const Machine& m, const DoctorNeed&) {
  const auto soft = m.process.open_files;
  if (!soft) return unknown();
  const std::string found = *soft == UINT64_MAX ? "unlimited" : fmt::format("{}", *soft);
  if (*soft >= kOpenFiles) return fine(found);
  Judged j = advise(
      fmt::format("{} (hard limit {})", found, m.process.open_files_most.value_or(0)),
      fmt::format("ulimit -n {0} before the server starts; LimitNOFILE={0} in its unit; docker run "
                  "--ulimit nofile={0}",
                  kOpenFiles));
  // A program may raise its soft limit as far as the hard one; vLLM does.
  return m.process.open_files_most.value_or(0) >= kOpenFiles ? as_hint(std::move(j)) : j;
}

Judged locked_memory(const Machine& m, const DoctorNeed&) {
  const auto bytes = m.process.locked_bytes;
  if (!bytes) return unknown();
  if (*bytes >= kLockedBytes)
    return fine(*bytes == UINT64_MAX ? "unlimited" : gib(static_cast<double>(*bytes)));
  return advise(
      fmt::format("{} KiB", *bytes >> 10),
      "ulimit -l unlimited before the server starts; LimitMEMLOCK=infinity in its unit; docker run "
      "--ulimit memlock=-1");
}

bool in_container(const Machine& m, const DoctorNeed&) { return m.container; }

Judged shm(const Machine& m, const DoctorNeed&) {
  if (!m.shm_bytes) return unknown();
  const std::string found = gib(static_cast<double>(*m.shm_bytes));
  if (*m.shm_bytes >= kShmBytes) return fine(found);
  Judged j = advise(
      *m.shm_bytes < (1 << 30) ? fmt::format("{} MiB", *m.shm_bytes >> 20) : found,
      "docker run --ipc=host or --shm-size=16g; on Kubernetes an emptyDir with medium: Memory at "
      "/dev/shm");
  return m.nvidia && m.nvidia->gpus.size() > 1 ? j : as_hint(std::move(j));
}

Judged seccomp(const Machine& m, const DoctorNeed&) {
  if (!m.process.seccomp) return unknown();
  if (*m.process.seccomp == 0) return fine("no filter");
  return advise("a filter",
                "where pages must be bound to nodes: docker run --cap-add SYS_NICE, which lets the "
                "default profile "
                "allow mbind and set_mempolicy; else bind from outside (--cpuset-mems)");
}

}  // namespace

std::vector<DoctorRule> limit_rules() {
  constexpr auto kFix = DoctorSeverity::kFix;
  constexpr auto kHint = DoctorSeverity::kHint;
  return {
      {"cgroup-cpu-throttling", kFix, "under a CPU quota", "under 1 % of periods",
       "threads that used the quota up wait for the next period, up to 100 ms: the pauses are ITL",
       "linux-cgroup-v2-docs", has_quota, throttling},
      {"cgroup-cpu-quota", kHint, "under a CPU quota", "whole CPUs",
       "the thread that gets a part of a CPU is the one that all others wait for at each operator",
       "linux-cgroup-v2-docs", has_quota, quota},
      {"cgroup-version", kHint, "machines with cgroups", "2",
       "weir and orchestrators read limits of version 2; under version 1 they see the whole "
       "machine",
       "linux-cgroup-v2-docs",
       [](const Machine& m, const DoctorNeed&) { return m.cgroup.version != 0; }, cgroup_version},
      {"limit-open-files", kFix, "every machine", "65,535 or more",
       "a stream is a file: at the limit new connections fail while the server is idle",
       "vllm-set-ulimit", always, open_files},
      {"limit-locked-memory", kFix, "machines with RDMA", "1 GiB or more",
       "RDMA pins the memory it moves; the default of 8 MiB or less makes registration fail",
       "redhat-memlock-docs",
       [](const Machine& m, const DoctorNeed&) { return !m.rdma_devices.empty(); }, locked_memory},
      {"container-shm", kFix, "containers", "1 GiB or more",
       "workers of a tensor-parallel engine and NCCL share data through /dev/shm; 64 MiB is "
       "Docker's default",
       "vllm-docker-docs", in_container, shm},
      {"container-seccomp", kHint, "containers on two NUMA nodes or more",
       "mbind and set_mempolicy allowed",
       "the default profile refuses the calls that bind memory to a node", "docker-seccomp-docs",
       [](const Machine& m, const DoctorNeed&) { return m.container && m.nodes.size() > 1; },
       seccomp},
  };
}

}  // namespace weir::ops
