#include "ops/intake/read_host.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/paths_testing.h"
#include "ops/doctor/read_machine.h"

namespace weir::ops {
namespace {

Intake intake(const std::string& name) {
  auto files = open_host_folder(paths::repository("tests/data/doctor/" + name));
  EXPECT_TRUE(files.ok());
  const auto known = load_accelerators();
  EXPECT_TRUE(known.ok());
  auto out = intake_of_machine(read_machine(**files), *known, name);
  EXPECT_TRUE(out.ok()) << out.error().message;
  return *out;
}

TEST(IntakeOfMachine, AGpuNode) {
  const Intake i = intake("kubernetes-h100");
  EXPECT_EQ(i.text("hardware.accelerator"), "nvidia-h100-sxm");
  EXPECT_EQ(i.number("hardware.accelerators_per_node"), 8);
  EXPECT_EQ(i.number("hardware.memory_gb"), 85.5);
  EXPECT_EQ(i.text("hardware.interconnect"), "nvswitch");
  EXPECT_EQ(i.flag("hardware.rdma"), true);
  EXPECT_EQ(i.number("hardware.cpu_cores"), 112);
  EXPECT_EQ(i.text("hardware.isa"),
            "avx2 avx512f avx512_vnni avx512_bf16 avx512_fp16 amx_tile amx_int8 amx_bf16");
  EXPECT_EQ(i.text("hardware.runtime"),
            "NVIDIA driver 550.127.08, CUDA 12.4, Linux 6.8.0-60-generic");
  EXPECT_EQ(i.find("hardware.accelerator")->origin, Origin::kMeasured);
  EXPECT_EQ(i.find("hardware.accelerator")->evidence, "kubernetes-h100: nvidia-smi");
  EXPECT_EQ(i.find("hardware.storage_gb_per_s"), nullptr);
  EXPECT_EQ(i.find("hardware.edge"), nullptr);
}

TEST(IntakeOfMachine, CpusByTheirName) {
  const Intake epyc = intake("epyc-2socket");
  EXPECT_EQ(epyc.text("hardware.accelerator"), "amd-epyc-9654");
  EXPECT_EQ(epyc.number("hardware.accelerators_per_node"), 0);
  EXPECT_EQ(epyc.text("hardware.interconnect"), "none");
  EXPECT_EQ(epyc.number("hardware.cpu_cores"), 192);
  EXPECT_EQ(epyc.number("hardware.storage_gb_per_s"), 6.4);
  const Intake pi = intake("edge-arm");
  EXPECT_EQ(pi.text("hardware.accelerator"), "raspberry-pi-5");
  EXPECT_EQ(pi.find("hardware.edge")->origin, Origin::kInferred);
  EXPECT_EQ(intake("laptop").text("hardware.accelerator"), "13th Gen Intel(R) Core(TM) i7-1370P");
}

TEST(IntakeOfMachine, LimitsOfAContainerCount) {
  const Intake i = intake("docker-throttled");
  EXPECT_EQ(i.number("hardware.cpu_cores"), 3);
  EXPECT_EQ(i.number("hardware.ram_gb"), 4.3);
  EXPECT_EQ(i.text("hardware.runtime"), "docker, Linux 6.1.0-28-amd64");
  EXPECT_EQ(intake("pod-a100").text("hardware.interconnect"), "nvswitch");
  EXPECT_EQ(intake("l40s-pcie").text("hardware.interconnect"), "pcie");
}

TEST(IntakeOfMachine, AMachineThatTellsNothingFillsLittle) {
  const auto known = load_accelerators();
  const auto out = intake_of_machine(Machine(), *known, "nothing");
  ASSERT_TRUE(out.ok()) << out.error().message;
  EXPECT_EQ(out->find("hardware.accelerator"), nullptr);
  EXPECT_EQ(out->find("hardware.cpu_cores"), nullptr);
}

TEST(IntakeOfMachine, WhatNoMachineHasIsBadInput) {
  const auto known = load_accelerators();
  Machine machine;
  machine.cpu.model = "x";
  machine.memory.total_bytes = 1000;
  const auto out = intake_of_machine(machine, *known, "snapshot");
  ASSERT_FALSE(out.ok());
  EXPECT_EQ(out.error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(out.error().message.find("snapshot: hardware.memory_gb"), 0U) << out.error().message;
}

}  // namespace
}  // namespace weir::ops
