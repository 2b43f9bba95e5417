// What is known of a machine, as facts: read first (read_machine.h), judged afterwards (rule.h).
// What could not be read is absent, never a default.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ops/doctor/gpu_topology.h"
#include "ops/doctor/kubernetes_node.h"
#include "ops/doctor/nvidia_smi.h"

namespace weir::ops {

struct CpuFacts {
  std::string model;         // "AMD EPYC 9654 96-Core Processor"
  std::string architecture;  // "x86_64", "aarch64"
  int logical = 0;           // CPUs that are online
  int cores = 0;             // physical ones
  int sockets = 0;
  std::vector<std::string> flags;        // of /proc/cpuinfo
  bool virtual_machine = false;          // the flag "hypervisor", or a hypervisor's product name
  std::map<std::string, int> governors;  // scaling governor -> CPUs
  // "policy0" and its governor, of those that a setting is put back to.
  std::vector<std::pair<std::string, std::string>> policies;
  std::string scaling_driver;     // "intel_pstate"
  std::string energy_preference;  // of cpu0: "performance"
  std::optional<bool> boost;      // frequencies above the nominal one
  std::string boost_file;         // the switch, below the root
  bool boost_inverted = false;    // no_turbo: 1 is off
  // The deepest idle state that is not disabled.
  std::string idle_state;
  std::optional<int> idle_exit_us;
  std::vector<std::pair<int, int>> idle_enabled;  // numbers of those, and us to leave each
  std::vector<std::string> vulnerable;  // names under cpu/vulnerabilities that are "Vulnerable"
};

struct NumaNode {
  int id = 0;
  std::vector<int> cpus;
  uint64_t memory_bytes = 0;
};

struct MemoryFacts {
  uint64_t total_bytes = 0;
  uint64_t available_bytes = 0;
  uint64_t swap_bytes = 0;
  uint64_t swap_used_bytes = 0;
  uint64_t huge_pages = 0;  // reserved ones, and how many of them are free
  uint64_t huge_pages_free = 0;
  uint64_t huge_page_bytes = 0;
  std::string thp;  // "always", "madvise", "never"
};

// The process that asks, which stands for what will be started in its place.
struct ProcessFacts {
  std::vector<int> cpus;                    // it may run on
  std::vector<int> numa_nodes;              // it may take memory from
  std::optional<uint64_t> open_files;       // soft limits; UINT64_MAX: none
  std::optional<uint64_t> open_files_most;  // hard limit
  std::optional<uint64_t> locked_bytes;
  std::optional<int> seccomp;  // 0 none, 1 strict, 2 filter
};

struct CgroupFacts {
  int version = 0;  // 0: not told
  std::optional<double> quota_cores;
  uint64_t periods = 0;
  uint64_t throttled = 0;
  std::optional<uint64_t> memory_max_bytes;
  std::optional<uint64_t> memory_high_bytes;
  uint64_t memory_used_bytes = 0;
};

struct InterruptFacts {
  std::optional<bool> balanced;  // irqbalance is active
  int network_queues = 0;        // interrupts of network cards that were seen
  double busiest_share = 0;      // of all network interrupts, by the busiest CPU
  int busiest_cpu = -1;
};

struct Mount {
  std::string point;
  std::string type;     // "ext4"
  std::string source;   // "/dev/nvme0n1p2"
  std::string options;  // of mount and file system, with commas
};

struct BlockDevice {
  std::string name;  // "sda"
  bool rotational = false;
};

// What --bench measured, in GB/s of 10^9 bytes.
struct Measured {
  std::optional<double> memory_gb_per_s;
  std::optional<double> int8_tops;
  std::optional<double> f32_tflops;
  std::optional<double> disk_gb_per_s;
};

struct Machine {
  std::string kernel;        // "6.8.0-45-generic"
  std::string command_line;  // of the kernel
  std::string product;       // a board's or machine's name
  std::string clock_source;
  std::vector<std::string> clock_sources;  // that could be chosen
  CpuFacts cpu;
  std::vector<NumaNode> nodes;
  MemoryFacts memory;
  std::map<std::string, std::string> sysctl;  // "vm.swappiness" -> "60"
  ProcessFacts process;
  CgroupFacts cgroup;
  InterruptFacts interrupts;
  std::vector<Mount> mounts;
  std::vector<BlockDevice> disks;
  bool container = false;
  std::string container_kind;  // "docker", "kubernetes"; empty where not told
  std::optional<uint64_t> shm_bytes;
  std::vector<std::string> modules;  // loaded into the kernel
  bool modules_known = false;
  std::vector<std::string> rdma_devices;           // "mlx5_0"
  std::map<std::string, std::string> services;     // "irqbalance" -> "active"
  std::map<std::string, std::string> environment;  // NCCL_* and CUDA_* only
  std::optional<NvidiaSmi> nvidia;
  std::optional<GpuTopology> topology;
  bool kubernetes = false;  // it is a node: the kubelet's folder is there
  KubeletConfig kubelet;
  std::optional<KubernetesNode> node;
  Measured measured;
  std::vector<std::string>
      problems;  // files and outputs that were there and could not be understood

  bool has_module(const std::string& name) const;
  // The mount that holds `path`, nullptr when none is known.
  const Mount* mount_of(const std::string& path) const;
};

}  // namespace weir::ops
