// The model of a configuration held against the one that is reviewed.
#include "ops/review/served_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <utility>
#include <vector>

#include "gguf/writer.h"
#include "ops/project/project.h"
#include "ops/review/candidate.h"
#include "os/temp_dir.h"

namespace weir::ops {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

EnvConfig serving(const std::string& command) {
  return read_env_config(std::vector<EnvFile>{{"serve.sh", command}});
}

TEST(ServedModel, AFileThatIsHere) {
  const os::TempDir dir;
  const Project project = Project::init(dir.file("p")).value();
  for (const char* name : {"a.gguf", "b.gguf"}) std::ofstream(dir.file(name)) << name;
  const ReleaseModel reviewed = model_of(project, dir.file("a.gguf")).value();
  const auto found = [&](const std::string& model) {
    const std::vector<EnvFile> files{{"weir.yaml", "ctx: 64\nmodel: " + model + "\n"}};
    return other_model(read_env_config(files), reviewed, project.folder());
  };
  EXPECT_EQ(found(dir.file("a.gguf")), "");
  EXPECT_EQ(found("/models/mounted-elsewhere.gguf"), "");
  EXPECT_THAT(found(dir.file("b.gguf")), HasSubstr("weir.yaml:2: serves "));
  EXPECT_THAT(other_model(serving("llama-server -m " + dir.file("b.gguf") + "\n"), reviewed,
                          project.folder()),
              HasSubstr("serve.sh:1: serves "));
}

TEST(ServedModel, ARepositoryByItsName) {
  const auto found = [](const std::string& command, const ReleaseModel& model) {
    return other_model(serving(command + "\n"), model, "/nowhere");
  };
  const ReleaseModel file{"some-other.gguf", "some-other.gguf", std::string(64, 'a'), 5};
  const ReleaseModel folder{"Llama-3.1-70B", "/x/Llama-3.1-70B", std::string(64, 'a'), 5};
  const std::string serve = "vllm serve meta-llama/Llama-3.1-70B";
  EXPECT_EQ(found(serve, file),
            "serve.sh:1: serves meta-llama/Llama-3.1-70B, but the model that is reviewed is "
            "some-other.gguf");
  EXPECT_EQ(found(serve, folder), "");
  EXPECT_EQ(found("vllm serve META-LLAMA/llama-3.1-70b", folder), "") << "without case";
  EXPECT_EQ(found("vllm serve $MODEL", file), "");
  EXPECT_EQ(found("vllm serve /models/x", file), "") << "mounted elsewhere";
}

TEST(ServedModel, ACommitIsAskedForOfTheEngine) {
  const std::string commit(40, 'c');
  const ReleaseModel model{"org/x", "org/x@" + commit, std::string(64, 'a'), 0};
  const auto found = [&](const std::string& command) {
    return other_model(serving(command + "\n"), model, "/nowhere");
  };
  EXPECT_THAT(found("vllm serve org/x"), HasSubstr("may be another commit: --revision " + commit));
  EXPECT_THAT(found("vllm serve org/x --revision main"), HasSubstr("--revision " + commit));
  EXPECT_EQ(found("vllm serve org/x --revision " + commit), "");
  EXPECT_THAT(found("python -m sglang.launch_server --model-path org/x"), HasSubstr("--revision"));
  EXPECT_EQ(found("vllm serve /models/x"), "");
  EXPECT_THAT(found("vllm serve org/y --revision " + commit),
              HasSubstr("that is reviewed is org/x"));
}

TEST(ServedModel, NamesForClients) {
  const auto names = [](const std::string& command) {
    return served_names(serving(command + "\n").engines.at(0));
  };
  EXPECT_THAT(names("vllm serve org/x"), ElementsAre("org/x"));
  EXPECT_THAT(names("vllm serve org/x --served-model-name a b"), ElementsAre("a", "b"));
  EXPECT_THAT(names("vllm serve $MODEL"), IsEmpty());
  EXPECT_TRUE(same_model_name("org/X-1", "x-1.gguf"));
  EXPECT_FALSE(same_model_name("x", "y"));
}

TEST(ServedModel, WhatItsFileIsQuantizedTo) {
  const os::TempDir dir;
  std::filesystem::create_directory(dir.file("m"));
  const ReleaseModel folder{"m", dir.file("m"), std::string(64, 'a'), 5};
  EXPECT_EQ(quantized_to(folder, dir.path()), "");
  std::ofstream(dir.file("m/config.json")) << R"({"quantization_config":{"quant_method":"awq"}})";
  EXPECT_EQ(quantized_to(folder, dir.path()), "awq");
  std::ofstream(dir.file("m/config.json")) << R"({"hidden_size":4})";
  EXPECT_EQ(quantized_to(folder, dir.path()), "");
  for (const auto& [type, bytes] :
       {std::pair(gguf::TensorType::kQ4_0, 2 * 18), {gguf::TensorType::kF16, 2 * 64}}) {
    const std::vector<std::byte> data(static_cast<size_t>(bytes));
    const uint64_t shape[] = {32, 2};
    gguf::Writer writer;
    writer.set_string("general.architecture", "llama");
    writer.add_tensor("w", type, shape, data);
    ASSERT_TRUE(writer.write_file(dir.file("w.gguf")).ok());
    EXPECT_EQ(quantized_to({"w", "w.gguf", "", 7}, dir.path()),
              type == gguf::TensorType::kF16 ? "" : "Q4_0");
  }
  std::ofstream(dir.file("w.gguf")) << "weights";
  EXPECT_EQ(quantized_to({"w", "w.gguf", "", 7}, dir.path()), "") << "cannot be read";
}

}  // namespace
}  // namespace weir::ops
