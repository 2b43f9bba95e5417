#include "ops/quantize/rotate_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>

#include "base/paths_testing.h"
#include "base/rng.h"
#include "gguf/writer.h"
#include "model/model.h"
#include "ops/quantize/quantize.h"
#include "os/temp_dir.h"

namespace weir::ops {
namespace {

using gguf::TensorType;
using ::testing::HasSubstr;

constexpr size_t kTokens = 24;
constexpr RotateOptions kRandom{true, 7};

std::string fixture(const std::string& name) {
  return paths::repository("tests/golden/architectures/" + name + ".gguf");
}

// A copy of a model file with each norm's weights replaced by draws about 1: fixtures may have
// ones, which would hide that they have to move.
std::vector<std::byte> with_norms(const gguf::File& file) {
  gguf::Writer w;
  for (const gguf::Metadata& m : file.metadata()) w.set(m.key, m.value);
  std::vector<std::vector<float>> values;
  values.reserve(file.tensors().size());
  for (const gguf::Tensor& t : file.tensors()) {
    if (t.type != TensorType::kF32 || !t.name.ends_with("_norm.weight")) {
      w.add_tensor(t.name, t.type, t.shape, t.data);
      continue;
    }
    std::vector<float>& v = values.emplace_back(t.elements());
    for (size_t i = 0; i < v.size(); ++i)
      v[i] = static_cast<float>(0.5 + 2 * random_unit(values.size(), 3, i));
    w.add_tensor(t.name, t.type, t.shape, std::as_bytes(std::span(v)));
  }
  return *w.to_bytes();
}

// Logits of some tokens, [kTokens, vocabulary].
std::vector<float> logits_of(gguf::File file) {
  kernels::ThreadPool pool(1);
  model::LoadOptions options;
  options.max_step_tokens = 64;
  auto loaded = model::Model::load(std::move(file), pool, options);
  EXPECT_TRUE(loaded.ok()) << (loaded.ok() ? "" : loaded.error().message);
  if (!loaded.ok()) return {};
  constexpr size_t kPageTokens = 32;
  const kernels::KvLayout layout = (*loaded)->kv_layout(kPageTokens);
  std::vector<std::vector<std::byte>> storage;
  std::vector<kernels::KvPools> kv;
  for (int32_t l = 0; l < (*loaded)->config().layers; ++l) {
    storage.emplace_back(layout.k_page_bytes());
    storage.emplace_back(layout.v_page_bytes());
  }
  for (size_t l = 0; l < storage.size(); l += 2)
    kv.push_back({storage[l].data(), storage[l + 1].data()});
  const auto vocabulary = static_cast<size_t>((*loaded)->config().vocab_size);
  std::vector<int32_t> tokens;
  for (size_t i = 0; i < kTokens; ++i)
    tokens.push_back(static_cast<int32_t>((i * 37 + 5) % vocabulary));
  const std::vector<int32_t> pages{0};
  model::Chunk chunk;
  chunk.tokens = tokens;
  chunk.pages = pages;
  chunk.logit_rows = kTokens;
  std::vector<float> logits(kTokens * vocabulary);
  const Status status = (*loaded)->forward({&chunk, 1}, kv, kPageTokens, logits, {});
  EXPECT_TRUE(status.ok()) << (status.ok() ? "" : status.error().message);
  return logits;
}

// Writes the rotated model in F32 and opens it.
Result<gguf::File> rotated_file(const gguf::File& file, const RotateOptions& options,
                                const std::string& path, int threads = 1) {
  kernels::ThreadPool pool(threads);
  WEIR_ASSIGN(RotatedModel rotated, rotate_model(file, options));
  const gguf::File& now = rotated.file ? *rotated.file : file;
  WEIR_ASSIGN(QuantizePlan plan, plan_quantize(now, *find_mix("F32"), {}, {}));
  WEIR_TRY(transform_plan(plan, std::move(rotated.transforms), {}));
  Provenance from{"1", "m", {1, 2}, "", ""};
  from.rotations = "R1";
  from.transform_type = "random-hadamard";
  from.rotation_seed = options.seed;
  WEIR_ASSIGN(const Written written, write_quantized(now, plan, {}, from, pool, {path}, {}));
  return gguf::File::open(path);
}

TEST(RotateModel, EveryArchitectureKeepsItsFunctionOrIsRefused) {
  const std::set<std::string> refused{"bert",      "command-r", "deepseek2", "deepseek2-lite",
                                      "falcon",    "gemma2",    "gemma3",    "deepseek2-v3",
                                      "glm4",      "gpt2",      "olmo2",     "starcoder2",
                                      "nomic-bert"};
  const os::TempDir dir;
  size_t rotated = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(fixture("").substr(0, fixture("").size() - 5))) {
    if (entry.path().extension() != ".gguf") continue;
    const std::string name = entry.path().stem().string();
    const std::vector<std::byte> bytes = with_norms(*gguf::File::open(entry.path().string()));
    for (const RotateOptions& options : {kRandom, RotateOptions{false, {}}}) {
      auto file = rotated_file(*gguf::File::parse(bytes, name), options, dir.file("out.gguf"));
      ASSERT_EQ(file.ok(), !refused.contains(name)) << (file.ok() ? name : file.error().message);
      if (!file.ok()) {
        EXPECT_THAT(file.error().message, HasSubstr("cannot be rotated: "));
        continue;
      }
      ++rotated;
      const std::vector<float> want = logits_of(*gguf::File::parse(bytes, name));
      const std::vector<float> got = logits_of(std::move(*file));
      ASSERT_EQ(got.size(), want.size());
      double apart = 0, all = 0;
      for (size_t i = 0; i < want.size(); ++i) {
        all += static_cast<double>(want[i]) * want[i];
        apart += (static_cast<double>(want[i]) - got[i]) * (static_cast<double>(want[i]) - got[i]);
      }
      // Keys and values, which R2 changes, are rounded to F16.
      EXPECT_LT(std::sqrt(apart / all), 3e-3) << name;
    }
  }
  EXPECT_GE(rotated, 20U);
}

TEST(RotateModel, ATiedEmbeddingBecomesTwoMatrices) {
  const os::TempDir dir;
  const auto source = gguf::File::open(fixture("gemma"));
  ASSERT_TRUE(source.ok() && source->find_tensor("output.weight") == nullptr);
  const auto rotated = rotate_model(*source, kRandom);
  ASSERT_TRUE(rotated.ok() && rotated->file);
  EXPECT_EQ(rotated->file->tensors().size(), source->tensors().size() + 1);
  const auto one = rotated_file(*source, kRandom, dir.file("one"), 1);
  const auto three = rotated_file(*source, kRandom, dir.file("three"), 3);
  ASSERT_TRUE(one.ok() && three.ok());
  EXPECT_EQ(one->get_string("weir.rotation.transform_type").value(), "random-hadamard");
  EXPECT_EQ(one->get_uint("weir.rotation.seed").value(), 7U);
  for (const gguf::Tensor& t : one->tensors()) {
    const gguf::Tensor* other = three->find_tensor(t.name);
    ASSERT_TRUE(std::equal(t.data.begin(), t.data.end(), other->data.begin())) << t.name;
  }
}

TEST(RotateModel, ATensorOfUnknownUseOrShapeIsNamed) {
  const auto source = gguf::File::open(fixture("llama"));
  ASSERT_TRUE(source.ok());
  const auto changed = [&](const std::string& name, const std::string& dropped) {
    gguf::Writer w;
    for (const gguf::Metadata& m : source->metadata()) w.set(m.key, m.value);
    for (const gguf::Tensor& t : source->tensors()) {
      if (t.name != dropped) w.add_tensor(t.name, t.type, t.shape, t.data);
    }
    const std::vector<float> values(6);
    if (!name.empty())
      w.add_tensor(name, TensorType::kF32, std::vector<uint64_t>{3, 2},
                   std::as_bytes(std::span(values)));
    const std::vector<std::byte> bytes = *w.to_bytes();
    const auto rotated = rotate_model(*gguf::File::parse(bytes), kRandom);
    return rotated.ok() ? std::string() : rotated.error().message;
  };
  EXPECT_EQ(changed("", ""), "");
  EXPECT_THAT(changed("blk.0.attn_sub_norm.weight", ""),
              HasSubstr("blk.0.attn_sub_norm.weight is of no known use"));
  EXPECT_THAT(changed("adapter", ""), HasSubstr("tensor adapter is of no known use"));
  EXPECT_THAT(changed("blk.0.ffn_down.weight", "blk.0.ffn_down.weight"),
              HasSubstr("has the shape [3, 2]"));
  EXPECT_THAT(changed("blk.0.attn_v.weight", "blk.0.attn_v.weight"),
              HasSubstr("has the shape [3, 2]"));
  EXPECT_THAT(changed("", "blk.1.ffn_norm.weight"), HasSubstr("blk.1.ffn_norm.weight is missing"));
}

TEST(TransformMoments, AreThoseOfTheTransformedInputs) {
  constexpr size_t kCols = 24;
  kernels::ThreadPool pool(2);
  TensorTransform transform;
  for (size_t i = 0; i < kCols; ++i)
    transform.columns.push_back(static_cast<float>(0.5 + random_unit(1, 1, i)));
  for (const size_t run : {kCols, size_t{8}}) {
    transform.column_rotation = std::make_shared<const Rotation>(*Rotation::make(run, 5, 1));
    std::vector<double> want(kCols * kCols), moments(kCols * kCols);
    for (size_t t = 0; t < 40; ++t) {
      std::vector<double> x(kCols), y(kCols);
      for (size_t i = 0; i < kCols; ++i) {
        x[i] = random_unit(t, 2, i) - 0.3;
        y[i] = x[i] / transform.columns[i];
      }
      for (size_t at = 0; at < kCols; at += run)
        transform.column_rotation->apply(std::span(y).subspan(at, run), 1);
      for (size_t i = 0; i < kCols * kCols; ++i) {
        moments[i] += x[i / kCols] * x[i % kCols] / 40;
        want[i] += y[i / kCols] * y[i % kCols] / 40;
      }
    }
    std::vector<float> triangle, got;
    for (size_t i = 0; i < kCols; ++i) {
      for (size_t j = 0; j <= i; ++j)
        triangle.push_back(static_cast<float>(moments[i * kCols + j]));
    }
    transform_moments(transform, triangle, kCols, pool, got);
    size_t at = 0;
    for (size_t i = 0; i < kCols; ++i) {
      for (size_t j = 0; j <= i; ++j) ASSERT_NEAR(got[at++], want[i * kCols + j], 1e-5);
    }
  }
}

}  // namespace
}  // namespace weir::ops
