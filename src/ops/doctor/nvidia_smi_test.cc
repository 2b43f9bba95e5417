#include "ops/doctor/nvidia_smi.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/paths_testing.h"
#include "os/file.h"

namespace weir::ops {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string snapshot(const std::string& name) {
  const auto text = os::read_file(
      paths::repository("tests/data/doctor/" + name + "/weir-doctor/nvidia-smi-q.xml"), 1 << 22);
  return text.ok() ? *text : "";
}

std::string error_of(std::string_view xml) {
  const auto r = parse_nvidia_smi(xml);
  return r.ok() ? "" : r.error().message;
}

std::string log(const std::string& inside) {
  return "<nvidia_smi_log><driver_version>1.2</driver_version>" + inside + "</nvidia_smi_log>";
}

TEST(NvidiaSmi, ReadsWhatAGpuSays) {
  const auto r = parse_nvidia_smi(snapshot("kubernetes-h100"));
  ASSERT_TRUE(r.ok()) << r.error().message;
  ASSERT_EQ(r->gpus.size(), 8U);
  EXPECT_EQ(r->driver, "550.127.08");
  EXPECT_EQ(r->driver_branch(), 550);
  EXPECT_EQ(r->cuda, "12.4");
  const NvidiaGpu& g = r->gpus[5];
  EXPECT_EQ(g.name, "NVIDIA H100 80GB HBM3");
  EXPECT_EQ(g.persistence, false);
  EXPECT_EQ(g.mig, false);
  EXPECT_EQ(g.ecc, true);
  EXPECT_EQ(g.memory_mib, 81559);
  EXPECT_EQ(g.pcie_width, 8);
  EXPECT_EQ(g.pcie_max_width, 16);
  EXPECT_EQ(g.power_limit_w, 700);
  EXPECT_EQ(g.fabric_state, "Completed");
  EXPECT_FALSE(g.application_mhz.has_value()) << "deprecated, so told in words";
  EXPECT_EQ(r->gpus[3].uncorrectable_errors, 2);
  EXPECT_TRUE(r->gpus[3].remap_pending);
}

TEST(NvidiaSmi, InstancesDoNotStandForTheirGpu) {
  const auto r = parse_nvidia_smi(snapshot("pod-a100"));
  ASSERT_TRUE(r.ok()) << r.error().message;
  EXPECT_EQ(r->gpus[0].mig, true);
  EXPECT_EQ(r->gpus[0].mig_devices, 4);
  EXPECT_EQ(r->gpus[0].memory_mib, 81920) << "not that of an instance";
  EXPECT_EQ(r->gpus[3].mig_pending, true);
  EXPECT_THAT(r->gpus[2].slowdowns, ElementsAre("hw_slowdown", "hw_thermal_slowdown"));
  EXPECT_EQ(r->gpus[1].application_mhz, 1095);
}

TEST(NvidiaSmi, WhatIsNotSupportedIsAbsent) {
  const auto r = parse_nvidia_smi(
      log("<gpu id=\"0\"><product_name>X</product_name><persistence_mode>N/A</persistence_mode>"
          "<mig_mode><current_mig>N/A</current_mig></mig_mode><fb_memory_usage/></gpu>"));
  ASSERT_TRUE(r.ok()) << r.error().message;
  EXPECT_FALSE(r->gpus[0].persistence.has_value());
  EXPECT_FALSE(r->gpus[0].mig.has_value());
  EXPECT_FALSE(r->gpus[0].memory_mib.has_value());
}

TEST(NvidiaSmi, BrokenTextIsNamedWithItsPlace) {
  EXPECT_THAT(error_of(""), HasSubstr("byte 0: there is no <nvidia_smi_log>"));
  EXPECT_THAT(error_of("NVIDIA-SMI has failed"), HasSubstr("text outside of any element"));
  EXPECT_THAT(error_of("<html></html>"), HasSubstr("<html> instead of"));
  EXPECT_THAT(error_of(log("")), HasSubstr("it lists no GPU"));
  EXPECT_THAT(error_of("<nvidia_smi_log><gpu></nvidia_smi_log>"), HasSubstr("closes gpu"));
  EXPECT_THAT(error_of("<nvidia_smi_log><gpu>"), HasSubstr("ends inside <gpu>"));
  EXPECT_THAT(error_of("</gpu>"), HasSubstr("closes nothing"));
  EXPECT_THAT(error_of("<!-- no end"), HasSubstr("a comment has no end"));
  EXPECT_THAT(error_of("<nvidia_smi_log><>"), HasSubstr("a tag without a name"));
  std::string deep = "<nvidia_smi_log>";
  for (int i = 0; i < 100; ++i) deep += "<a>";
  EXPECT_THAT(error_of(deep), HasSubstr("deeper than 24 levels"));
  EXPECT_THAT(error_of(std::string(kMaxNvidiaSmiBytes + 1, ' ')), HasSubstr("over the limit"));
  std::string many = "<nvidia_smi_log>";
  for (int i = 0; i < 400'001; ++i) many += "<a/>";
  EXPECT_THAT(error_of(many), HasSubstr("more than 400000 elements"));
  std::string gpus;
  for (int i = 0; i < 129; ++i) gpus += "<gpu/>";
  EXPECT_THAT(error_of(log(gpus)), HasSubstr("more than 128 GPUs"));
}

TEST(NvidiaSmi, EveryBeginningIsAnError) {
  const std::string xml = snapshot("l40s-pcie");
  ASSERT_GT(xml.size(), 1000U);
  const size_t whole = xml.rfind('>') + 1;
  for (size_t n = 0; n < whole; ++n) EXPECT_FALSE(parse_nvidia_smi(xml.substr(0, n)).ok()) << n;
}

}  // namespace
}  // namespace weir::ops
