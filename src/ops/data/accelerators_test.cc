#include "ops/data/accelerators.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace weir::ops {
namespace {

using ::testing::HasSubstr;

const std::string kEntry =
    "  - id: one\n"
    "    name: One\n"
    "    reported: [\"NVIDIA One 8GB\"]\n"
    "    vendor: V\n"
    "    kind: edge\n"
    "    architecture: A\n"
    "    released: 2025-01\n"
    "    sources:\n"
    "      page: {title: T, url: \"https://v.example/one\", publisher: V, primary: true, accessed: "
    "2026-11-29, verified: false}\n"
    "    memory_gb: {value: 8, source: page}\n"
    "    bandwidth_gb_per_s: {value: 100, source: page, note: n}\n"
    "    dense_tflops:\n"
    "      bf16: {value: 10, source: page}\n"
    "    pcie: {generation: 4, lanes: 16, source: page}\n";

std::string file(const std::string& entries) {
  return "version: 1\nchecked: 2026-11-29\naccelerators:\n" + entries;
}

std::string replaced(const std::string& from, const std::string& to) {
  std::string text = file(kEntry);
  return text.replace(text.find(from), from.size(), to);
}

std::string error_of(const std::string& text) {
  const auto r = parse_accelerators(text, "a.yaml");
  return r.ok() ? "" : r.error().message;
}

TEST(Accelerators, TheEmbeddedFileReads) {
  const auto table = load_accelerators();
  ASSERT_TRUE(table.ok()) << table.error().message;
  EXPECT_GE(table->all.size(), 60U);
  const Accelerator* h100 = table->find("nvidia-h100-sxm");
  ASSERT_NE(h100, nullptr);
  EXPECT_EQ(h100->memory_gb->value, 80);
  EXPECT_EQ(h100->interconnect->gb_per_s.value, 450);
  EXPECT_EQ(h100->pcie->generation, 5);
  EXPECT_NEAR(h100->tflops("bf16")->value, 989, 1);
  EXPECT_EQ(h100->tflops("fp4"), nullptr);
  EXPECT_EQ(table->find("nvidia-h1000"), nullptr);
  for (const Accelerator& a : table->all) {
    EXPECT_GT(a.bandwidth_gb_per_s.value, 0) << a.id;
    for (const std::string& name : a.reported) EXPECT_EQ(table->find_reported(name), &a) << name;
  }
}

TEST(Accelerators, ReportedNamesLeadToTheEntry) {
  const auto table = load_accelerators();
  ASSERT_TRUE(table.ok());
  EXPECT_EQ(table->find_reported("NVIDIA H100 80GB HBM3")->id, "nvidia-h100-sxm");
  EXPECT_EQ(table->find_reported("nvidia l40s")->id, "nvidia-l40s");
  EXPECT_EQ(table->find_reported("Tesla T4")->id, "nvidia-t4");
  EXPECT_EQ(table->find_reported("Raspberry Pi 5 Model B Rev 1.1")->id, "raspberry-pi-5");
  EXPECT_EQ(table->find_reported("NVIDIA H20-3e"), nullptr);
  EXPECT_EQ(table->find_reported(""), nullptr);
}

TEST(Accelerators, ANameThatTwoShareLeadsToNone) {
  std::string twin = kEntry;
  twin.replace(twin.find("id: one"), 7, "id: two");
  const auto table = parse_accelerators(file(kEntry + twin), "a.yaml");
  ASSERT_TRUE(table.ok()) << table.error().message;
  EXPECT_EQ(table->find_reported("NVIDIA One 8GB"), nullptr);
}

TEST(Accelerators, WhatIsWrongIsNamedWithItsLine) {
  EXPECT_EQ(error_of(file(kEntry)), "");
  EXPECT_THAT(error_of(file(kEntry + kEntry)), HasSubstr("the id one is given twice"));
  EXPECT_THAT(error_of(replaced("value: 8, source: page", "value: 8, source: pag")),
              HasSubstr("a.yaml:13: memory_gb of one cites \"pag\""));
  EXPECT_THAT(error_of(replaced("value: 10, source: page", "value: 10")),
              HasSubstr("source is missing (one)"));
  EXPECT_THAT(error_of(replaced("value: 100", "value: -1")), HasSubstr("value must be a number"));
  EXPECT_THAT(error_of(replaced("bf16", "bf61")), HasSubstr("the nearest is \"bf16\""));
  EXPECT_THAT(error_of(replaced("kind: edge", "kind: phone")), HasSubstr("not \"phone\""));
  EXPECT_THAT(error_of(replaced("    memory_gb: {value: 8, source: page}\n", "")),
              HasSubstr("one has no memory_gb"));
  EXPECT_THAT(
      error_of(replaced("    bandwidth_gb_per_s: {value: 100, source: page, note: n}\n", "")),
      HasSubstr("one has no bandwidth_gb_per_s"));
  EXPECT_THAT(error_of(replaced("verified: false", "verified: perhaps")),
              HasSubstr("true or false"));
  EXPECT_THAT(error_of(replaced("https://", "ftp://")), HasSubstr("https://"));
  EXPECT_THAT(error_of(replaced("lanes: 16, ", "")), HasSubstr("lacks generation or lanes"));
  EXPECT_THAT(error_of("version: 2\naccelerators: []\n"), HasSubstr("version must be"));
  EXPECT_THAT(error_of(""), HasSubstr("must be a map"));
}

TEST(Accelerators, EveryBeginningIsReadOrRefused) {
  const std::string text = file(kEntry);
  for (size_t n = 0; n < text.size(); ++n) (void)parse_accelerators(text.substr(0, n), "a.yaml");
}

}  // namespace
}  // namespace weir::ops
