#include "ops/recipe/recipe.h"

#include <gtest/gtest.h>

#include <set>

namespace weir::ops {
namespace {

RecipeRequest request(std::string tool, std::string scheme, std::string method = "") {
  RecipeRequest r;
  r.tool = std::move(tool);
  r.model = "org/Model";
  r.scheme = std::move(scheme);
  r.method = std::move(method);
  r.calibration = "text.txt";
  return r;
}

std::string error_of(const RecipeRequest& r) {
  const auto made = make_recipe(r);
  if (made.ok()) return "";
  EXPECT_EQ(made.error().code, ErrorCode::kUsage);
  return made.error().message;
}

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

TEST(RecipeTest, EveryRowMakesARecipeThatNamesItsVersionAndDate) {
  std::set<std::string> seen;
  for (const RecipeRow& row : recipe_rows()) {
    for (const RecipeToolFacts& tool : recipe_tools()) {
      if (tool.tool != row.tool) continue;
      RecipeRequest r =
          request(std::string(tool.name), std::string(row.scheme), std::string(row.method));
      if (!row.calibrates) r.calibration.clear();
      const auto made = make_recipe(r);
      ASSERT_TRUE(made.ok()) << made.error().message;
      EXPECT_TRUE(has(made->script, tool.title)) << made->script;
      EXPECT_TRUE(has(made->script, kRecipeKeysChecked));
      EXPECT_EQ(made->yaml.empty(), row.tool != RecipeTool::kLlmCompressor);
      EXPECT_TRUE(made->yaml.empty() || has(made->yaml, kRecipeKeysChecked));
      EXPECT_EQ(has(made->script, "def pieces"), row.calibrates);
      EXPECT_TRUE(seen.insert(fmt::format("{} {} {}", tool.name, row.scheme, row.method)).second);
    }
  }
}

TEST(RecipeTest, TakesTheUsualMethodAndGroupSize) {
  const auto a = make_recipe(request("llm-compressor", "w4a16"));
  ASSERT_TRUE(a.ok()) << a.error().message;
  EXPECT_EQ(a->row->method, "gptq");
  EXPECT_EQ(a->group_size, 128);
  EXPECT_TRUE(has(a->yaml, "      scheme: W4A16\n"));
  RecipeRequest r = request("llm-compressor", "W4A8");
  r.group_size = 64;
  const auto b = make_recipe(r);
  ASSERT_TRUE(b.ok()) << b.error().message;
  EXPECT_FALSE(has(b->yaml, "scheme:"));
  EXPECT_TRUE(has(b->yaml, "strategy: group, group_size: 64"));
  EXPECT_TRUE(has(b->yaml, "input_activations: {num_bits: 8, type: int"));
  r.group_size = -1;
  EXPECT_TRUE(has(make_recipe(r)->yaml, "strategy: channel}"));
}

TEST(RecipeTest, WhatScalesStandsBeforeWhatRounds) {
  const std::string awq = make_recipe(request("llm-compressor", "W4A16", "awq"))->yaml;
  EXPECT_LT(awq.find("AWQModifier"), awq.find("QuantizationModifier"));
  const std::string smooth = make_recipe(request("llm-compressor", "W8A8"))->yaml;
  EXPECT_LT(smooth.find("SmoothQuantModifier"), smooth.find("GPTQModifier"));
}

TEST(RecipeTest, RefusesWhatDoesNotGoTogetherAndSaysWhatDoes) {
  EXPECT_TRUE(
      has(error_of(request("llm-compressor", "W8A8", "awq")),
          "take --method smoothquant, gptq, rtn; awq there makes W4A16, W4A16_ASYM, W8A16"));
  EXPECT_TRUE(has(error_of(request("gptqmodel", "NVFP4")),
                  "NVFP4 for GPTQModel 7.7.0; NVFP4 is made by llm-compressor, modelopt"));
  EXPECT_TRUE(has(error_of(request("gptqmodel", "W8A16", "awq")),
                  "W8A16 of awq is made by llm-compressor"));
  EXPECT_TRUE(has(error_of(request("autoawq", "W4A16")), "llm-compressor, gptqmodel, modelopt"));
  EXPECT_TRUE(has(error_of(request("gptqmodel", "W5")), "there are W4A16,"));
  EXPECT_TRUE(has(error_of(request("gptqmodel", "W4A16", "hqq")), "gptq, awq, smoothquant, rtn"));
  RecipeRequest r = request("llm-compressor", "W8A8");
  r.group_size = 64;
  EXPECT_TRUE(has(error_of(r), "--group-size"));
  r = request("gptqmodel", "W4A16");
  r.group_size = 100;
  EXPECT_TRUE(has(error_of(r), "none of -1, 32, 64, 128"));
  r = request("modelopt", "W4A16");
  r.group_size = -1;
  EXPECT_TRUE(has(error_of(r), "none of 32, 64, 128"));
}

TEST(RecipeTest, RefusesWhatCannotBeRun) {
  RecipeRequest r = request("gptqmodel", "W4A16");
  r.calibration.clear();
  EXPECT_TRUE(has(error_of(r), "--calibration is missing"));
  EXPECT_TRUE(has(error_of(request("llm-compressor", "FP8_DYNAMIC")), "leave it out"));
  r = request("gptqmodel", "W4A16");
  r.model = "model-f16.gguf";
  EXPECT_TRUE(has(error_of(r), "is GGUF"));
  r.model = "a\nb";
  EXPECT_TRUE(has(error_of(r), "control character"));
  r.model = std::string(5000, 'm');
  EXPECT_TRUE(has(error_of(r), "more than 4096"));
  r = request("gptqmodel", "W4A16");
  r.samples = 0;
  EXPECT_TRUE(has(error_of(r), "--samples"));
  r.samples = 1;
  r.sequence_tokens = -1;
  EXPECT_TRUE(has(error_of(r), "--sequence"));
}

TEST(RecipeTest, NamesAreQuoted) {
  RecipeRequest r = request("llm-compressor", "W8A8");
  r.model = R"(x"""; import os #\)";
  r.calibration = "a\"b.jsonl";
  const auto made = make_recipe(r);
  ASSERT_TRUE(made.ok()) << made.error().message;
  EXPECT_TRUE(has(made->script, R"(MODEL = "x\"\"\"; import os #\\")"));
  EXPECT_TRUE(has(made->script, R"(CALIBRATION = "a\"b.jsonl")"));
  EXPECT_TRUE(has(made->script, "import json\n"));
}

}  // namespace
}  // namespace weir::ops
