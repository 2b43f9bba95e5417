#include "ops/quantize/quantize.h"
#include "ops/quantize/mixed.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <memory>

#include "base/rng.h"
#include "gguf/writer.h"
#include "os/file.h"
#include "os/temp_dir.h"
#include "quant/codec.h"

namespace weir::ops {
namespace {

using gguf::TensorType;
using ::testing::HasSubstr;

struct Shape {
  std::string name;
  std::vector<uint64_t> shape;
};

struct Facts {
  uint32_t layers = 8, heads = 8, key_heads = 4, experts = 0;
  std::string architecture = "llama";
};

// The shapes of a small model; every layer has the matrices that the mixes tell apart.
std::vector<Shape> shapes(uint64_t cols, uint32_t layers, bool tied) {
  std::vector<Shape> out{{"token_embd.weight", {cols, 8}}, {"output_norm.weight", {cols}}};
  if (!tied) out.push_back({"output.weight", {cols, 8}});
  for (uint32_t i = 0; i < layers; ++i) {
    for (const char* name : {"attn_norm", "attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate",
                             "ffn_up", "ffn_down", "ffn_gate_inp"}) {
      const bool norm = std::string(name).ends_with("norm");
      out.push_back({fmt::format("blk.{}.{}.weight", i, name),
                     norm ? std::vector<uint64_t>{cols} : std::vector<uint64_t>{cols, 4}});
    }
  }
  return out;
}

// A file in memory; `change` may spoil the values of a tensor.
struct Model {
  std::vector<std::byte> bytes;
  gguf::File file;
};

std::unique_ptr<Model> model(const std::vector<Shape>& tensors, const Facts& facts = {},
                             const std::string& spoiled = "") {
  gguf::Writer w;
  w.set_string("general.architecture", facts.architecture);
  w.set_uint("general.file_type", 0);
  w.set_uint(facts.architecture + ".block_count", facts.layers);
  w.set_uint(facts.architecture + ".attention.head_count", facts.heads);
  w.set_uint(facts.architecture + ".attention.head_count_kv", facts.key_heads);
  w.set_uint(facts.architecture + ".expert_count", facts.experts);
  std::vector<std::vector<float>> data;
  for (const Shape& s : tensors) {
    uint64_t n = 1;
    for (const uint64_t d : s.shape) n *= d;
    std::vector<float>& values = data.emplace_back(n);
    for (size_t i = 0; i < n; ++i)
      values[i] = static_cast<float>(random_unit(data.size(), 0, i)) - 0.5F;
    if (s.name == spoiled) values[n / 2 + 3] = std::nanf("");
  }
  for (size_t i = 0; i < tensors.size(); ++i) {
    w.add_tensor(tensors[i].name, TensorType::kF32, tensors[i].shape,
                 std::as_bytes(std::span(data[i])));
  }
  auto bytes = w.to_bytes();
  EXPECT_TRUE(bytes.ok());
  auto file = gguf::File::parse(*bytes);
  EXPECT_TRUE(file.ok()) << file.error().message;
  return std::make_unique<Model>(Model{std::move(*bytes), std::move(*file)});
}

// The type of each tensor, by name.
std::map<std::string, std::string> types(const Model& m, const std::string& name,
                                         const MixOptions& options = {}) {
  const auto plan = plan_quantize(m.file, *find_mix(name), options, {});
  EXPECT_TRUE(plan.ok()) << plan.error().message;
  std::map<std::string, std::string> out;
  if (!plan.ok()) return out;
  for (const PlannedTensor& p : plan->tensors) out[p.source->name] = gguf::type_name(p.type);
  return out;
}

TEST(Mix, NamesAreFoundInAnyCase) {
  EXPECT_EQ(find_mix("q4_k_m")->file_type, 15U);
  EXPECT_EQ(find_mix("Q4_K")->file_type, 15U);
  EXPECT_EQ(find_mix("nvfp4")->type, TensorType::kNVFP4);
  const auto none = find_mix("Q4");
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().code, ErrorCode::kUsage);
  EXPECT_THAT(none.error().message, HasSubstr("Q3_K_M"));
}

TEST(Mix, AWrongNameGetsTheNearest) {
  EXPECT_THAT(find_mix("q4km").error().message, HasSubstr("the nearest is Q4_K_M;"));
  EXPECT_THAT(find_mix("Q8").error().message, HasSubstr("the nearest is Q8_0;"));
}

TEST(Mix, WhatIsSmallOrSensitiveStays) {
  const auto m = model(shapes(256, 8, false));
  const auto t = types(*m, "Q4_K_M");
  EXPECT_EQ(t.at("output_norm.weight"), "F32");
  EXPECT_EQ(t.at("blk.0.attn_norm.weight"), "F32");
  EXPECT_EQ(t.at("blk.0.ffn_gate_inp.weight"), "F32");
  EXPECT_EQ(t.at("blk.0.attn_q.weight"), "Q4_K");
}

TEST(Mix, Q4KmGivesMoreBitsWhereTheyCount) {
  const auto m = model(shapes(256, 8, false));
  const auto t = types(*m, "Q4_K_M");
  EXPECT_EQ(t.at("output.weight"), "Q6_K");
  EXPECT_EQ(t.at("token_embd.weight"), "Q4_K");
  // Of 8 layers: the first, the last, and every third between.
  for (const int i : {0, 3, 6, 7})
    EXPECT_EQ(t.at(fmt::format("blk.{}.ffn_down.weight", i)), "Q6_K");
  for (const int i : {1, 2, 4, 5}) EXPECT_EQ(t.at(fmt::format("blk.{}.attn_v.weight", i)), "Q4_K");
}

TEST(Mix, DependsOnTheModel) {
  EXPECT_EQ(types(*model(shapes(256, 8, true)), "Q4_K_S").at("token_embd.weight"), "Q6_K");
  EXPECT_EQ(types(*model(shapes(256, 8, false)), "Q2_K").at("blk.5.attn_v.weight"), "Q3_K");
  EXPECT_EQ(
      types(*model(shapes(256, 8, false), {.key_heads = 2}), "Q2_K").at("blk.5.attn_v.weight"),
      "Q4_K");
  EXPECT_EQ(
      types(*model(shapes(256, 8, false), {.experts = 8}), "Q4_K_S").at("blk.5.attn_v.weight"),
      "Q8_0");
  EXPECT_EQ(
      types(*model(shapes(256, 8, false), {.experts = 8}), "Q4_K_S").at("blk.5.attn_output.weight"),
      "Q5_K");
  EXPECT_EQ(types(*model(shapes(256, 8, false), {.architecture = "falcon"}), "Q4_K_M")
                .at("output.weight"),
            "Q8_0");
  const MixOptions importance{.importance = true};
  EXPECT_EQ(types(*model(shapes(256, 8, false)), "Q4_0", importance).at("blk.0.ffn_down.weight"),
            "Q4_1");
  EXPECT_EQ(types(*model(shapes(256, 8, false)), "Q4_0").at("blk.0.ffn_down.weight"), "Q4_0");
}

TEST(Mix, RowsThatDoNotFitGetAnotherType) {
  const auto m = model(shapes(96, 8, false));
  auto t = types(*m, "Q4_K_M");
  EXPECT_EQ(t.at("blk.1.attn_q.weight"), "Q5_0");
  EXPECT_EQ(t.at("blk.0.ffn_down.weight"), "Q8_0");
  EXPECT_EQ(t.at("output.weight"), "Q8_0");
  EXPECT_EQ(types(*model(shapes(40, 8, false)), "Q4_0").at("blk.1.attn_q.weight"), "F16");
}

TEST(Mix, ChoicesByHandComeFirst) {
  const auto m = model(shapes(256, 8, false));
  MixOptions o;
  o.overrides = {{"blk\\.1\\.", TensorType::kQ8_0}, {"attn_q", TensorType::kQ5_K}};
  o.output_type = TensorType::kQ5_0;
  o.embedding_type = TensorType::kF16;
  const auto t = types(*m, "Q4_K_M", o);
  EXPECT_EQ(t.at("blk.1.attn_q.weight"), "Q8_0");
  EXPECT_EQ(t.at("blk.2.attn_q.weight"), "Q5_K");
  EXPECT_EQ(t.at("output.weight"), "Q5_0");
  EXPECT_EQ(t.at("token_embd.weight"), "F16");
  EXPECT_EQ(t.at("blk.1.attn_norm.weight"), "F32");
  EXPECT_EQ(types(*m, "Q4_K_M", {.pure = true}).at("output.weight"), "Q4_K");
  EXPECT_EQ(types(*m, "Q4_K_M", {.keep_output = true}).at("output.weight"), "F32");
  for (const char* bad : {"(", "nowhere"}) {
    const auto plan =
        plan_quantize(m->file, *find_mix("Q4_0"), {.overrides = {{bad, TensorType::kQ8_0}}}, {});
    EXPECT_EQ(plan.error().code, ErrorCode::kUsage) << bad;
  }
}

TEST(Mix, AnExpressionThatExplodesIsAnError) {
  const auto m =
      model({{std::string(60, 'a') + ".weight", {256, 8}}, {"output_norm.weight", {256}}});
  const auto plan = plan_quantize(m->file, *find_mix("Q4_0"),
                                  {.overrides = {{"^(a|aa|aaa)+$", TensorType::kQ8_0}}}, {});
  ASSERT_FALSE(plan.ok());
  EXPECT_THAT(plan.error().message, HasSubstr("takes too many steps"));
}

// Whether their blocks divide the rows or not.
TEST(Quantize, ANamedTypeThatCannotBeWrittenIsAnError) {
  const auto m = model(shapes(96, 2, false));
  for (const TensorType type :
       {TensorType::kQ8_K, TensorType::kQ8_1, TensorType::kI8, TensorType::kF64}) {
    MixOptions by_hand, output, embedding;
    by_hand.overrides = {{"attn_v", type}};
    output.output_type = type;
    embedding.embedding_type = type;
    for (const MixOptions& o : {by_hand, output, embedding}) {
      const auto plan = plan_quantize(m->file, *find_mix("Q4_0"), o, {});
      ASSERT_FALSE(plan.ok()) << gguf::type_name(type);
      EXPECT_EQ(plan.error().code, ErrorCode::kUnsupported);
      EXPECT_THAT(plan.error().message,
                  HasSubstr(fmt::format("cannot make {} of F32; types that can be written are F32",
                                        gguf::type_name(type))));
    }
  }
}

TEST(Quantize, FilesThatAreNoModelsAreRefused) {
  const auto refused = [](std::string_view type, const std::vector<uint64_t>& shape) {
    gguf::Writer w;
    if (!type.empty()) w.set_string("general.type", type);
    const std::vector<float> values(64, 1.0F);
    if (!shape.empty())
      w.add_tensor("a.weight", TensorType::kF32, shape, std::as_bytes(std::span(values)));
    const auto bytes = w.to_bytes();
    const auto file = gguf::File::parse(*bytes);
    EXPECT_TRUE(file.ok()) << file.error().message;
    const auto plan = plan_quantize(*file, *find_mix("Q4_0"), {}, {});
    if (plan.ok()) return std::string();
    EXPECT_EQ(plan.error().code, ErrorCode::kUnsupported);
    return plan.error().message;
  };
  EXPECT_THAT(refused("imatrix", {32, 2}), HasSubstr("general.type is 'imatrix'"));
  EXPECT_THAT(refused("weir.moments", {64}), HasSubstr("general.type is 'weir.moments'"));
  EXPECT_THAT(refused("model", {64}), HasSubstr("no matrices of a model"));
  EXPECT_THAT(refused("", {}), HasSubstr("no matrices of a model"));
  EXPECT_EQ(refused("model", {32, 2}), "");
  EXPECT_EQ(refused("", {32, 2}), "");
}

// It would be said to have made the file otherwise.
TEST(Quantize, ImportanceThatTouchesNothingIsNotUsed) {
  const auto m = model(shapes(256, 2, true));
  ImportanceMatrix importance;
  importance.entries.push_back({"blk.0.attn_q.weight", std::vector<float>(256, 1.0F), {1}});
  const Calibration calibration{&importance};
  const auto uses = [&](const char* type, TensorType of_q) {
    MixOptions options;
    options.overrides = {{"blk.0.attn_q", of_q}};
    const auto plan = plan_quantize(m->file, *find_mix(type), options, calibration);
    EXPECT_TRUE(plan.ok()) << plan.error().message;
    return used_calibration(*plan, calibration).importance != nullptr;
  };
  EXPECT_TRUE(uses("Q4_0", TensorType::kQ4_0));
  EXPECT_FALSE(uses("Q4_0", TensorType::kF32));  // is F32 already
  EXPECT_FALSE(uses("F16", TensorType::kF16));
}

TEST(Quantize, TensorsOfTheWantedTypeAlreadyAreCounted) {
  const auto m = model(shapes(256, 2, true));
  const auto already = [&](const char* type) {
    const auto plan = plan_quantize(m->file, *find_mix(type), {}, {});
    EXPECT_TRUE(plan.ok());
    return std::count_if(plan->tensors.begin(), plan->tensors.end(),
                         [](const PlannedTensor& p) { return p.already; });
  };
  EXPECT_EQ(already("Q4_0"), 0);
  EXPECT_EQ(already("F32"), 15);  // not the norms and routers, which always stay
}

TEST(Quantize, CoarseTypesAskForImportance) {
  const auto m = model(shapes(256, 8, false));
  const auto plan = plan_quantize(m->file, *find_mix("Q2_K_S"), {}, {});
  ASSERT_FALSE(plan.ok());
  EXPECT_THAT(plan.error().message, HasSubstr("--imatrix"));
}

TEST(Quantize, WritesWhatItPlanned) {
  const auto m = model(shapes(256, 2, false), {.layers = 2});
  const os::TempDir folder;
  ImportanceMatrix importance;
  importance.entries = {{"blk.0.attn_q.weight", std::vector<float>(256, 3), {1}}};
  importance.datasets = {"text"};
  MixOptions options;
  options.importance = true;
  const auto plan =
      plan_quantize(m->file, *find_mix("Q4_K_M"), options, {.importance = &importance});
  ASSERT_TRUE(plan.ok());
  kernels::ThreadPool pool(2);
  uint64_t done = 0;
  const auto status = write_quantized(
      m->file, *plan, {.importance = &importance}, {"1.2", "m.gguf", {1, 2}, "m.imatrix", ""}, pool,
      {folder.file("out")}, [&](const QuantizeProgress& p) { done = p.done_bytes; });
  ASSERT_TRUE(status.ok()) << status.error().message;
  EXPECT_EQ(done, plan->source_bytes);
  const auto out = gguf::File::open(folder.file("out"));
  ASSERT_TRUE(out.ok()) << out.error().message;
  EXPECT_EQ(*out->get_uint("general.file_type"), 15U);
  EXPECT_EQ(*out->get_string("weir.quantize.source_identity"), "00000000000000020000000000000001");
  EXPECT_EQ(*out->get_string("quantize.imatrix.dataset"), "text");
  EXPECT_EQ(*out->get_uint("llama.block_count"), 2U);
  for (const PlannedTensor& p : plan->tensors) {
    const gguf::Tensor* t = out->find_tensor(p.source->name);
    ASSERT_NE(t, nullptr);
    EXPECT_EQ(t->type, p.type);
    std::vector<float> before(t->elements()), after(t->elements());
    ASSERT_TRUE(quant::decode(p.source->type, p.source->data, before).ok());
    ASSERT_TRUE(quant::decode(t->type, t->data, after).ok());
    for (size_t i = 0; i < before.size(); ++i) EXPECT_NEAR(after[i], before[i], 0.06) << t->name;
  }
}

TEST(Quantize, NamesTheTensorThatHoldsNoWeight) {
  const auto m = model(shapes(256, 2, false), {.layers = 2}, "blk.1.ffn_up.weight");
  const os::TempDir folder;
  const auto plan = plan_quantize(m->file, *find_mix("Q4_0"), {}, {});
  ASSERT_TRUE(plan.ok());
  kernels::ThreadPool pool(2);
  const auto status = write_quantized(m->file, *plan, {}, {}, pool, {folder.file("out")}, {});
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kInvalidValue);
  EXPECT_THAT(status.error().message, HasSubstr("blk.1.ffn_up.weight"));
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

// Norms, what is kept, and what has the type already.
TEST(Quantize, NamesTheTensorThatIsCopiedAndHoldsNoWeight) {
  for (const auto& [tensor, element, type] : {std::tuple("output_norm.weight", "131", "Q4_0"),
                                              {"output.weight", "1027", "Q4_0"},
                                              {"blk.1.ffn_up.weight", "515", "F32"}}) {
    const auto m = model(shapes(256, 2, false), {.layers = 2}, tensor);
    const os::TempDir folder;
    const auto plan = plan_quantize(m->file, *find_mix(type), {.keep_output = true}, {});
    ASSERT_TRUE(plan.ok());
    kernels::ThreadPool pool(2);
    const auto status = write_quantized(m->file, *plan, {}, {}, pool, {folder.file("out")}, {});
    ASSERT_FALSE(status.ok()) << tensor;
    EXPECT_THAT(status.error().message,
                HasSubstr(fmt::format("tensor {}: element {} is NaN", tensor, element)));
    EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  }
}

// The plan of all tensors, and sensitivities in which one tensor matters more than all others.
struct Mixing {
  std::unique_ptr<Model> m = model(shapes(256, 4, false), {.layers = 4});
  QuantizePlan plan = *plan_quantize(m->file, *find_mix("Q8_0"), {}, {});
  Sensitivity sensitivity;
  kernels::ThreadPool pool{2};
  Mixing() {
    for (const PlannedTensor& p : plan.tensors) {
      if (p.quantizable) sensitivity.kl[p.source->name] = 0.001;
    }
    sensitivity.kl["blk.1.attn_v.weight"] = 1;
  }
  // What is not quantized, for each weight of the file.
  double kept_bits() const {
    uint64_t bytes = 0;
    for (const PlannedTensor& p : plan.tensors) bytes += p.quantizable ? 0 : p.bytes;
    return static_cast<double>(bytes) * 8 / static_cast<double>(plan.weights);
  }
  Result<MixedPlan> choose(const MixedOptions& o) {
    return plan_mixed(plan, sensitivity, {}, o, pool, {});
  }
};

TEST(Mixed, BitsGoWhereTheyMatterAndTheSizeIsKept) {
  Mixing mixing;
  for (const double more : {3.0, 4.0, 6.0}) {
    const double bits = mixing.kept_bits() + more;
    const auto mixed = mixing.choose({.bits_per_weight = bits});
    ASSERT_TRUE(mixed.ok()) << mixed.error().message;
    MixOptions options;
    for (const MixedChoice& c : mixed->choices) {
      options.exact[c.tensor->name] = c.options[c.chosen].type;
      if (c.tensor->name == "blk.1.attn_v.weight") {
        EXPECT_EQ(c.options[c.chosen].type, TensorType::kQ8_0);
      }
    }
    const auto plan = plan_quantize(mixing.m->file, *find_mix("Q8_0"), options, {});
    ASSERT_TRUE(plan.ok());
    EXPECT_LE(plan->bits_per_weight(), bits);
    EXPECT_GT(plan->bits_per_weight(), bits - 0.5);
  }
}

TEST(Mixed, ALossIsKept) {
  Mixing mixing;
  const auto best = mixing.choose({.bits_per_weight = 32.0});
  ASSERT_TRUE(best.ok());
  const auto mixed = mixing.choose({.most_kl = 10 * best->predicted_kl});
  ASSERT_TRUE(mixed.ok());
  EXPECT_LE(mixed->predicted_kl, 10 * best->predicted_kl);
  EXPECT_GT(mixed->predicted_kl, 2 * best->predicted_kl);
  EXPECT_FALSE(mixing.choose({.most_kl = 0.1 * best->predicted_kl}).ok());
}

TEST(Mixed, WhatCannotBeIsRefused) {
  Mixing mixing;
  EXPECT_EQ(mixing.choose({.bits_per_weight = 1.0}).error().code, ErrorCode::kInvalidValue);
  EXPECT_EQ(mixing.choose({.bits_per_weight = mixing.kept_bits() + 3, .types = {TensorType::kQ8_0}})
                .error()
                .code,
            ErrorCode::kInvalidValue);
  mixing.sensitivity.kl.erase("blk.0.attn_q.weight");
  const auto missing = mixing.choose({.bits_per_weight = 32.0});
  ASSERT_FALSE(missing.ok());
  EXPECT_THAT(missing.error().message, HasSubstr("blk.0.attn_q.weight"));
}

}  // namespace
}  // namespace weir::ops
