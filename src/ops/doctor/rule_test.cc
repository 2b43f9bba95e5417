#include "ops/doctor/rule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/paths_testing.h"
#include "ops/doctor/read_machine.h"
#include "ops/doctor/report.h"
#include "ops/doctor/rules.h"
#include "os/file.h"
#include "os/run_program.h"
#include "os/temp_dir.h"
#include "text/json.h"

namespace weir::ops {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

const std::vector<std::string> kSnapshots = {"epyc-2socket",     "laptop",          "cloud-vm",
                                             "docker-throttled", "kubernetes-h100", "edge-arm",
                                             "l40s-pcie",        "pod-a100"};

Machine machine(const std::string& name) {
  auto files = open_host_folder(paths::repository("tests/data/doctor/" + name));
  EXPECT_TRUE(files.ok()) << name;
  return read_machine(**files);
}

// A 100B model in 16 bits.
DoctorNeed large_model() {
  DoctorNeed need;
  need.model = "a 100B model";
  need.weight_bytes = 200e9;
  need.kv_bytes = 10e9;
  return need;
}

std::vector<std::string> ids(const Diagnosis& d, DoctorSeverity severity) {
  std::vector<std::string> out;
  for (const DoctorFinding& f : d.wrong) {
    if (f.severity == severity) out.emplace_back(f.rule->id);
  }
  return out;
}

const DoctorFinding* finding(const Diagnosis& d, std::string_view id) {
  for (const auto* list : {&d.wrong, &d.fine}) {
    for (const DoctorFinding& f : *list) {
      if (f.rule->id == id) return &f;
    }
  }
  return nullptr;
}

struct Expected {
  std::vector<std::string> fix;
  std::vector<std::string> hint;
};

const std::map<std::string, Expected> kExpected = {
    {"epyc-2socket", {{}, {}}},
    {"laptop",
     {{"cpu-governor", "cpu-turbo", "memory-swap", "memory-swappiness"},
      {"cpu-idle-states", "cpu-mitigations", "memory-bandwidth", "limit-open-files",
       "tcp-keepalive", "tcp-slow-start-after-idle", "disk-read-rate"}}},
    {"cloud-vm",
     {{"cpu-clock-source", "memory-hugepages", "memory-overcommit", "irq-balance", "tcp-backlog"},
      {"cpu-mitigations", "kernel-version", "cgroup-version", "tcp-buffers", "tcp-congestion",
       "tcp-keepalive", "tcp-slow-start-after-idle", "disk-rotational"}}},
    {"docker-throttled",
     {{"cgroup-cpu-throttling", "limit-open-files", "tcp-backlog"},
      {"numa-process", "cgroup-memory-high", "cgroup-cpu-quota", "container-shm",
       "container-seccomp"}}},
    {"kubernetes-h100",
     {{"numa-balancing", "memory-zone-reclaim", "limit-locked-memory", "gpu-persistence",
       "gpu-memory-errors", "gpu-pcie-width", "gpu-direct-rdma", "nccl-environment",
       "kubelet-cpu-manager", "kubelet-topology-manager", "kubernetes-device-plugin",
       "kubernetes-conditions"},
      {"numa-process", "gpu-driver", "kubernetes-gpu-taint"}}},
    {"edge-arm",
     {{"cpu-governor", "memory-thp", "memory-swappiness", "irq-balance"},
      {"memory-swap", "limit-open-files", "tcp-keepalive", "tcp-slow-start-after-idle",
       "model-file-system"}}},
    {"l40s-pcie", {{}, {"gpu-pcie-generation", "gpu-nvlink", "gpu-socket-distance"}}},
    {"pod-a100",
     {{"container-shm", "gpu-power-cap", "gpu-slowdown", "gpu-mig", "gpu-nvlink",
       "gpu-fabric-manager"},
      {"gpu-ecc", "gpu-clocks", "nccl-environment"}}},
};

TEST(DoctorRules, EachSaysAllAndItsSourceIsInTheLedger) {
  const auto sources = built_in_sources();
  ASSERT_TRUE(sources.ok()) << sources.error().message;
  std::set<std::string_view> seen;
  for (const DoctorRule& r : doctor_rules()) {
    EXPECT_TRUE(seen.insert(r.id).second) << r.id;
    EXPECT_NE(sources->find(r.source), nullptr) << r.id << " cites " << r.source;
    EXPECT_FALSE(r.when.empty() || r.wanted.empty() || r.why.empty()) << r.id;
  }
  EXPECT_GE(seen.size(), 45U);
}

TEST(DoctorRules, SnapshotsAreJudgedAsExpected) {
  for (const std::string& name : kSnapshots) {
    const Machine m = machine(name);
    EXPECT_THAT(m.problems, IsEmpty()) << name;
    const Diagnosis d = diagnose(m, {});
    EXPECT_EQ(ids(d, DoctorSeverity::kFix), kExpected.at(name).fix) << name;
    EXPECT_EQ(ids(d, DoctorSeverity::kHint), kExpected.at(name).hint) << name;
    EXPECT_EQ(d.to_fix(), !kExpected.at(name).fix.empty()) << name;
    for (const DoctorFinding& f : d.wrong) {
      EXPECT_FALSE(f.judged.found.empty()) << name << " " << f.rule->id;
      EXPECT_NE(f.judged.fix.empty(), f.judged.advice.empty()) << name << " " << f.rule->id;
      EXPECT_EQ(f.judged.fix.empty(), f.judged.undo.empty()) << name << " " << f.rule->id;
    }
  }
}

TEST(DoctorRules, EachFiresOnOneSnapshotAndIsQuietOnAnother) {
  std::map<std::string_view, int> fired, quiet;
  for (const std::string& name : kSnapshots) {
    const Diagnosis d = diagnose(machine(name), large_model());
    std::set<std::string_view> wrong;
    for (const DoctorFinding& f : d.wrong) wrong.insert(f.rule->id);
    for (const DoctorRule& r : doctor_rules()) ++(wrong.contains(r.id) ? fired : quiet)[r.id];
  }
  for (const DoctorRule& r : doctor_rules()) {
    EXPECT_GT(fired[r.id], 0) << r.id << " never fires";
    EXPECT_GT(quiet[r.id], 0) << r.id << " always fires";
  }
}

TEST(DoctorRules, AMachineThatTellsNothingIsNotBlamed) {
  const Diagnosis d = diagnose(Machine(), {});
  EXPECT_THAT(d.wrong, IsEmpty());
  EXPECT_FALSE(d.unknown.empty());
}

TEST(DoctorRules, FindingsNameWhatTheyFound) {
  const Diagnosis k8s = diagnose(machine("kubernetes-h100"), {});
  EXPECT_EQ(finding(k8s, "gpu-pcie-width")->judged.found, "GPU 5 at x8 of x16");
  EXPECT_EQ(finding(k8s, "gpu-persistence")->judged.found, "off on GPU 0, 1, 2, 3, 4, 5, 6, 7");
  EXPECT_EQ(finding(k8s, "gpu-memory-errors")->judged.found, "GPU 3");
  EXPECT_EQ(finding(k8s, "kubernetes-device-plugin")->judged.found, "7 of 8 GPUs are allocatable");
  EXPECT_EQ(finding(k8s, "gpu-nvlink")->judged.found, "every pair");
  const Diagnosis docker = diagnose(machine("docker-throttled"), large_model());
  EXPECT_EQ(finding(docker, "cgroup-cpu-throttling")->judged.found,
            "45.0 % of periods, quota 2.50 CPUs");
  EXPECT_THAT(finding(docker, "cgroup-cpu-throttling")->judged.advice, HasSubstr("--threads 2"));
  EXPECT_EQ(finding(docker, "container-shm")->judged.found, "64 MiB");
  EXPECT_THAT(finding(docker, "cgroup-memory-model")->judged.found, HasSubstr("limit 4.0 GiB"));
  const Diagnosis pod = diagnose(machine("pod-a100"), {});
  EXPECT_EQ(finding(pod, "gpu-power-cap")->judged.fix, "nvidia-smi -i 1 -pl 400");
  EXPECT_EQ(finding(pod, "gpu-power-cap")->judged.undo, "nvidia-smi -i 1 -pl 250");
  EXPECT_THAT(finding(pod, "gpu-nvlink")->judged.found, HasSubstr("0-2 SYS"));
  const Diagnosis vm = diagnose(machine("cloud-vm"), {});
  EXPECT_THAT(finding(vm, "cpu-clock-source")->judged.fix, HasSubstr("echo tsc > "));
  EXPECT_THAT(finding(vm, "cpu-clock-source")->judged.undo, HasSubstr("echo 'xen' > "));
}

// What is undone is what was there: of each GPU, policy and idle state its own.
TEST(DoctorRules, UndoPutsBackEachOwnValue) {
  Machine pod = machine("pod-a100");
  ASSERT_GE(pod.nvidia->gpus.size(), 3U);
  for (NvidiaGpu& g : pod.nvidia->gpus) {
    g.power_limit_w = g.power_default_w = 400;
    g.mig = g.mig_pending = false;
    g.application_mhz = g.application_default_mhz = 1410;
  }
  pod.nvidia->gpus[0].power_limit_w = 250;
  pod.nvidia->gpus[2].power_limit_w = 300;
  pod.nvidia->gpus[2].power_default_w = 350;
  pod.nvidia->gpus[1].mig = pod.nvidia->gpus[1].mig_pending = true;
  pod.nvidia->gpus[0].application_mhz = 1000;
  pod.nvidia->gpus[1].application_mhz = 1100;
  const Diagnosis d = diagnose(pod, {});
  EXPECT_EQ(finding(d, "gpu-power-cap")->judged.fix,
            "nvidia-smi -i 0 -pl 400\nnvidia-smi -i 2 -pl 350");
  EXPECT_EQ(finding(d, "gpu-power-cap")->judged.undo,
            "nvidia-smi -i 0 -pl 250\nnvidia-smi -i 2 -pl 300");
  EXPECT_THAT(finding(d, "gpu-clocks")->judged.undo, HasSubstr("-i 1 -ac MEMORY,1100"));
  EXPECT_EQ(finding(d, "gpu-mig")->judged.fix, "");
  EXPECT_THAT(finding(d, "gpu-mig")->judged.advice, HasSubstr("make each instance anew"));

  Machine laptop = machine("laptop");
  laptop.cpu.governors = {{"powersave", 1}, {"schedutil", 1}, {"performance", 1}};
  laptop.cpu.policies = {
      {"policy0", "powersave"}, {"policy1", "performance"}, {"policy2", "schedutil"}};
  laptop.cpu.energy_preference = "";
  laptop.cpu.idle_enabled = {{0, 0}, {2, 200}, {5, 900}};  // 3 and 4 were off
  laptop.memory.swap_used_bytes = 1 << 30;
  const Diagnosis l = diagnose(laptop, {});
  const std::string undo = finding(l, "cpu-governor")->judged.undo;
  EXPECT_THAT(undo, HasSubstr("'policy0'/scaling_governor; do echo 'powersave'"));
  EXPECT_THAT(undo, HasSubstr("'policy2'/scaling_governor; do echo 'schedutil'"));
  EXPECT_THAT(undo, Not(HasSubstr("policy1")));
  EXPECT_EQ(finding(l, "cpu-idle-states")->judged.undo,
            "cpupower idle-set -e 2\ncpupower idle-set -e 5");
  EXPECT_EQ(finding(l, "memory-swap")->judged.fix, "");
  EXPECT_THAT(finding(l, "memory-swap")->judged.advice, HasSubstr("swapoff -a"));
  laptop.memory.swap_used_bytes = 0;
  EXPECT_EQ(finding(diagnose(laptop, {}), "memory-swap")->judged.fix, "swapoff -a");
}

TEST(DoctorReport, TextNamesEachPartAndCounts) {
  const Machine m = machine("laptop");
  const Diagnosis d = diagnose(m, {});
  const std::string text = doctor_text(m, d, Sources(), true);
  EXPECT_THAT(
      text,
      HasSubstr(
          "fix   cpu-governor\n    found   powersave (intel_pstate)\n    wanted  performance\n"));
  EXPECT_THAT(text, HasSubstr("source  linux-cpufreq-docs"));
  EXPECT_THAT(text, HasSubstr("undo    sysctl -w 'vm.swappiness=60'"));
  EXPECT_THAT(text, HasSubstr("4 to fix, 7 hints"));
  EXPECT_THAT(text, HasSubstr("ok    cpu-clock-source"));
  const text::Json j = doctor_json(m, d, *built_in_sources());
  EXPECT_FALSE(j.find("ok")->as_bool());
  EXPECT_EQ(j.find("checks")->items()[0].find("status")->as_string(), "fix");
  EXPECT_EQ(j.find("checks")->items()[0].find("source_url")->as_string(),
            "https://docs.kernel.org/admin-guide/pm/cpufreq.html");
}

TEST(DoctorReport, WhatTheMachineSaysCannotLeaveItsPlace) {
  Machine m = machine("laptop");
  m.cpu.governors = {{"x'; reboot; '\n\x1b[2J\xff\xc2\x9b", 4}};
  m.sysctl["vm.swappiness"] = "60'$(reboot)";
  m.sysctl["vm.overcommit_memory"] = "2";
  const Diagnosis d = diagnose(m, {});
  EXPECT_THAT(doctor_text(m, d, Sources(), true), Not(HasSubstr("\x1b")));
  EXPECT_THAT(doctor_text(m, d, Sources(), true), Not(HasSubstr("\xc2\x9b")));
  EXPECT_TRUE(text::Json::parse(doctor_json(m, d, {}).dump()).ok()) << "valid UTF-8";
  const std::string script = doctor_script(d);
  EXPECT_THAT(script, Not(HasSubstr("\x1b")));
  EXPECT_THAT(script, HasSubstr("echo 'x'\\''; reboot; '\\''[2J"));
}

TEST(DoctorReport, ScriptsAreValidShellAndDoNothingUnasked) {
  const os::TempDir folder;
  const std::string shell = os::find_program("sh");
  for (const std::string& name : kSnapshots) {
    const std::string script = doctor_script(diagnose(machine(name), large_model()));
    const std::string path = folder.file(name + ".sh");
    ASSERT_TRUE(os::write_file_atomic(path, script).ok());
    EXPECT_TRUE(os::run_program({shell, "-n", path}, {}).ok()) << script;
    EXPECT_THAT(os::run_program({shell, path}, {}).error().message, HasSubstr("exit code 2"))
        << name;
  }
  const std::string laptop = doctor_script(diagnose(machine("laptop"), {}));
  EXPECT_THAT(laptop, HasSubstr("apply() {"));
  EXPECT_THAT(laptop, HasSubstr("  sysctl -w 'vm.swappiness=1'\n"));
  EXPECT_THAT(laptop, HasSubstr("  #   undo: sysctl -w 'vm.swappiness=60'\n"));
}

TEST(HostFiles, ACaptureReadsBackAsTheSameMachine) {
  const os::TempDir folder;
  for (const std::string& name : kSnapshots) {
    auto files = open_host_folder(paths::repository("tests/data/doctor/" + name));
    ASSERT_TRUE(files.ok());
    RecordingFiles recording(**files);
    const Machine first = read_machine(recording);
    const auto count = recording.write(folder.file(name));
    ASSERT_TRUE(count.ok()) << count.error().message;
    EXPECT_GT(*count, 15U);
    auto again = open_host_folder(folder.file(name));
    ASSERT_TRUE(again.ok());
    const Machine second = read_machine(**again);
    for (const DoctorNeed& need : {DoctorNeed(), large_model()}) {
      EXPECT_EQ(doctor_json(first, diagnose(first, need), {}).dump(),
                doctor_json(second, diagnose(second, need), {}).dump())
          << name;
    }
    EXPECT_FALSE(recording.write(folder.file(name)).ok()) << "the folder is there";
  }
  EXPECT_THAT(open_host_folder("/no/such/folder").error().message, HasSubstr("is no folder"));
  const os::TempDir empty;
  EXPECT_THAT(open_host_folder(empty.path()).error().message, HasSubstr("is no snapshot"));
}

TEST(HostFiles, ThisMachineIsReadAndJudged) {
  const auto files = open_this_host({});
  const Machine m = read_machine(*files);
  EXPECT_GT(m.cpu.logical, 0);
  EXPECT_GT(m.memory.total_bytes, 0U);
  (void)doctor_text(m, diagnose(m, large_model()), Sources(), true);
}

TEST(ReadMachine, EveryBeginningOfEveryFileIsReadOrPassedOver) {
  // One file at a time cut short, the rest as they are; each is read from the disk once.
  class Cut : public HostFiles {
   public:
    explicit Cut(HostFiles& inner) : inner_(inner) {}
    std::optional<std::string> file(const std::string& path) override {
      if (!texts.contains(path)) texts[path] = inner_.file(path);
      return cut(path);
    }
    std::vector<std::string> list(const std::string& folder) override {
      if (!lists_.contains(folder)) lists_[folder] = inner_.list(folder);
      return lists_[folder];
    }
    std::optional<std::string> tool(const std::string& output) override {
      if (!texts.contains(output)) texts[output] = inner_.tool(output);
      return cut(output);
    }
    std::string target;
    size_t length = 0;
    std::map<std::string, std::optional<std::string>> texts;

   private:
    std::optional<std::string> cut(const std::string& name) {
      const auto& text = texts[name];
      return text && name == target ? text->substr(0, length) : text;
    }
    HostFiles& inner_;
    std::map<std::string, std::vector<std::string>> lists_;
  };
  for (const std::string name : {"docker-throttled", "cloud-vm"}) {
    auto folder = open_host_folder(paths::repository("tests/data/doctor/" + name));
    ASSERT_TRUE(folder.ok());
    Cut cut(**folder);
    (void)read_machine(cut);
    const auto texts = cut.texts;
    for (const auto& [path, text] : texts) {
      cut.target = path;
      const size_t size = text ? text->size() : 0;
      for (cut.length = 0; cut.length < size; ++cut.length)
        (void)diagnose(read_machine(cut), large_model());
    }
  }
}

TEST(ReadMachine, HostileNumbersAreNotTaken) {
  EXPECT_EQ(shell_word("a'b\n"), "'a'\\''b'");
  Machine m = machine("epyc-2socket");
  m.cgroup.quota_cores = 1e300;
  m.cgroup.periods = 1;
  m.process.open_files = 0;
  (void)diagnose(m, {});
}

}  // namespace
}  // namespace weir::ops
