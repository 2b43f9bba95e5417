#include <algorithm>

#include "ops/doctor/rules.h"

namespace weir::ops {
namespace {

constexpr double kLoadSeconds = 60;
constexpr double kLeastGbPerS = 0.5;  // without a model: a SATA disk's
constexpr std::array<std::string_view, 8> kRemote = {"nfs",  "nfs4", "cifs",   "smb3",
                                                     "ceph", "9p",   "lustre", "virtiofs"};

const Mount* model_mount(const Machine& m, const DoctorNeed& n) {
  return m.mount_of(n.path.empty() ? "/" : n.path);
}

bool has_mount(const Machine& m, const DoctorNeed& n) { return model_mount(m, n) != nullptr; }

Judged file_system(const Machine& m, const DoctorNeed& n) {
  const Mount& mount = *model_mount(m, n);
  const std::string found = fmt::format("{} at {}", mount.type, mount.point);
  const bool remote = mount.type.starts_with("fuse") ||
                      std::find(kRemote.begin(), kRemote.end(), mount.type) != kRemote.end();
  if (!remote) return fine(found);
  return advise(
      found,
      "copy the files to a local disk before the start, or read them whole instead of mapping "
      "them (vLLM: --safetensors-load-strategy eager)");
}

Judged rotational(const Machine& m, const DoctorNeed&) {
  std::vector<std::string> names;
  for (const BlockDevice& d : m.disks) {
    if (d.rotational) names.push_back(d.name);
  }
  if (names.size() < m.disks.size())
    return fine(fmt::format("{} of {} rotate", names.size(), m.disks.size()));
  return advise(fmt::format("all rotate: {}", fmt::join(names, ", ")),
                "keep model files on flash storage");
}

Judged read_rate(const Machine& m, const DoctorNeed& n) {
  const double rate = *m.measured.disk_gb_per_s;
  const double seconds = rate > 0 ? n.weight_bytes / 1e9 / rate : 0;
  std::string found = fmt::format("{:.2f} GB/s", rate);
  if (n.known()) found += fmt::format(", {:.0f} s to read {}", seconds, n.model);
  if (n.known() ? seconds <= kLoadSeconds && rate > 0 : rate >= kLeastGbPerS) return fine(found);
  return advise(found,
                "keep model files on local NVMe; a stripe of several; stream them in parallel");
}

}  // namespace

std::vector<DoctorRule> storage_rules() {
  constexpr auto kHint = DoctorSeverity::kHint;
  return {
      {"model-file-system", kHint, "the mount of the model, else of /", "a local file system",
       "a mapped file on a network mount is fetched page by page, each a round trip",
       "vllm-load-config-docs", has_mount, file_system},
      {"disk-rotational", kHint, "machines with disks that tell, not containers",
       "one that does not rotate", "the start of a replica waits for every byte of its weights",
       "vllm-load-config-docs",
       [](const Machine& m, const DoctorNeed&) { return !m.container && !m.disks.empty(); },
       rotational},
      {"disk-read-rate", kHint, "with --bench", "60 s or less to read the model; else 0.5 GB/s",
       "it bounds how fast a replica starts, and so how late an autoscaler may decide",
       "vllm-load-config-docs",
       [](const Machine& m, const DoctorNeed&) { return m.measured.disk_gb_per_s.has_value(); },
       read_rate},
  };
}

}  // namespace weir::ops
