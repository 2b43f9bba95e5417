// What other tools print, read: GPU topology, Kubernetes nodes, kubelets, measurements.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/paths_testing.h"
#include "ops/doctor/gpu_topology.h"
#include "ops/doctor/kubernetes_node.h"
#include "ops/doctor/read_machine.h"
#include "os/file.h"

namespace weir::ops {
namespace {

using ::testing::HasSubstr;

std::string output(const std::string& path) {
  const auto text = os::read_file(paths::repository("tests/data/doctor/" + path), 1 << 20);
  return text.ok() ? *text : "";
}

TEST(GpuTopology, ReadsPathsAndLinks) {
  const auto h100 = parse_gpu_topology(output("kubernetes-h100/weir-doctor/nvidia-smi-topo.txt"));
  ASSERT_TRUE(h100.ok()) << h100.error().message;
  EXPECT_EQ(h100->gpus, 8);
  EXPECT_EQ(h100->network_cards, 2);
  EXPECT_TRUE(h100->all_nvlink());
  EXPECT_EQ(h100->links[1], 18);
  const auto l40s = parse_gpu_topology(output("l40s-pcie/weir-doctor/nvidia-smi-topo.txt"));
  ASSERT_TRUE(l40s.ok()) << l40s.error().message;
  EXPECT_FALSE(l40s->any_nvlink());
  EXPECT_EQ(l40s->path(0, 1), GpuPath::kNode);
  EXPECT_EQ(l40s->path(0, 3), GpuPath::kSys);
}

TEST(GpuTopology, BrokenTextIsNamedWithItsLine) {
  EXPECT_THAT(parse_gpu_topology("").error().message, HasSubstr("it is empty"));
  EXPECT_THAT(parse_gpu_topology("hello\n").error().message, HasSubstr("line 1: a head with"));
  EXPECT_THAT(parse_gpu_topology("GPU0 GPU1\nGPU0 X NV4\n").error().message,
              HasSubstr("line 3: the row of GPU1"));
  EXPECT_THAT(parse_gpu_topology("GPU0 GPU1\nGPU0 X NVX\nGPU1 NV4 X\n").error().message,
              HasSubstr("\"NVX\" is no path between GPU0 and GPU1"));
  EXPECT_FALSE(parse_gpu_topology(std::string(300 << 10, 'x')).ok());
}

TEST(GpuTopology, EveryBeginningIsReadOrRefused) {
  const std::string text = output("kubernetes-h100/weir-doctor/nvidia-smi-topo.txt");
  for (size_t n = 0; n < text.size(); ++n) (void)parse_gpu_topology(text.substr(0, n));
}

TEST(KubernetesNode, ReadsTaintsConditionsAndResources) {
  const std::string text = output("kubernetes-h100/weir-doctor/kubectl-node.txt");
  const auto node = parse_kubernetes_node(text);
  ASSERT_TRUE(node.ok()) << node.error().message;
  EXPECT_TRUE(node->taints.empty());
  EXPECT_EQ(node->conditions.at("DiskPressure"), "True");
  EXPECT_EQ(node->conditions.at("Ready"), "True");
  EXPECT_EQ(node->capacity.at("nvidia.com/gpu"), "8");
  EXPECT_EQ(node->allocatable.at("nvidia.com/gpu"), "7");
  const auto tainted = parse_kubernetes_node(
      "Name: a\nTaints: one=1:NoSchedule\n        two:NoExecute\nCapacity:\n  cpu:  4\n");
  ASSERT_TRUE(tainted.ok());
  EXPECT_THAT(tainted->taints, ::testing::ElementsAre("one=1:NoSchedule", "two:NoExecute"));
  EXPECT_THAT(parse_kubernetes_node("Error from server").error().message, HasSubstr("Capacity"));
  for (size_t n = 0; n < text.size(); ++n) (void)parse_kubernetes_node(text.substr(0, n));
}

TEST(Kubelet, ReadsPolicies) {
  const auto config =
      parse_kubelet_config("kind: KubeletConfiguration\ncpuManagerPolicy: static\n");
  ASSERT_TRUE(config.ok());
  EXPECT_EQ(config->cpu_manager, "static");
  EXPECT_EQ(config->topology_manager, "");
  EXPECT_FALSE(parse_kubelet_config("a: [").ok());
}

TEST(Measured, ReadsBackAndRefusesNonsense) {
  Measured m;
  m.memory_gb_per_s = 12.3456;
  m.disk_gb_per_s = 0.5;
  const auto back = parse_measured(measured_json(m));
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(back->memory_gb_per_s, 12.346);
  EXPECT_EQ(back->disk_gb_per_s, 0.5);
  EXPECT_FALSE(back->int8_tops.has_value());
  EXPECT_THAT(parse_measured("{\"disk_gb_per_s\": -1}").error().message,
              HasSubstr("disk_gb_per_s"));
  EXPECT_THAT(parse_measured("{\"disk_gb_per_s\": \"a\"}").error().message,
              HasSubstr("disk_gb_per_s"));
  EXPECT_FALSE(parse_measured("[]").ok());
}

}  // namespace
}  // namespace weir::ops
