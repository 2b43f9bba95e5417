// Latent attention: files as they were before keys and values were split, what the cache takes, and
// what is refused. The logits themselves: architectures_test.cc.
#include "model/mla.h"
#include "base/paths_testing.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "gguf/writer.h"
#include "model/footprint.h"
#include "model/model.h"

namespace weir::model {
namespace {

constexpr kernels::Isa kIsa = kernels::Isa::kScalar;

gguf::File fixture(const std::string& name) {
  return gguf::File::open(weir::paths::repository("tests/golden/architectures/" + name + ".gguf"))
      .value();
}

// A copy of a model that can be changed.
struct Draft {
  explicit Draft(const gguf::File& file) {
    for (const gguf::Metadata& kv : file.metadata()) keys[std::string(kv.key)] = kv.value;
    for (const gguf::Tensor& t : file.tensors()) tensors[t.name] = t;
  }
  std::vector<std::byte> bytes(const std::map<std::string, uint32_t>& with = {}) const {
    gguf::Writer writer;
    for (const auto& [key, value] : keys) {
      if (with.count(key) == 0) writer.set(key, value);
    }
    for (const auto& [key, value] : with) writer.set_uint(key, value);
    for (const auto& [name, t] : tensors) writer.add_tensor(name, t.type, t.shape, t.data);
    return writer.to_bytes().value();
  }
  std::map<std::string, gguf::Value> keys;
  std::map<std::string, gguf::Tensor> tensors;
};

// f16 values of both expansions as one tensor: of each head the rows of its keys, then its values.
std::vector<uint16_t> join(const gguf::Tensor& k_b, const gguf::Tensor& v_b) {
  const size_t plain = k_b.shape[0], rank = k_b.shape[1], heads = k_b.shape[2];
  const size_t value = v_b.shape[1];
  const auto* k = reinterpret_cast<const uint16_t*>(k_b.data.data());
  const auto* v = reinterpret_cast<const uint16_t*>(v_b.data.data());
  std::vector<uint16_t> both;
  for (size_t h = 0; h < heads; ++h) {
    for (size_t i = 0; i < plain; ++i) {
      for (size_t r = 0; r < rank; ++r) both.push_back(k[(h * rank + r) * plain + i]);
    }
    both.insert(both.end(), v + h * value * rank, v + (h + 1) * value * rank);
  }
  return both;
}

std::vector<float> logits_of(gguf::File file) {
  kernels::ThreadPool pool(2);
  LoadOptions options;
  options.isa = kIsa;
  const auto model = Model::load(std::move(file), pool, options).value();
  std::vector<int32_t> tokens;
  for (int32_t i = 0; i < 48; ++i) tokens.push_back(i * 7 % 60 + 3);
  const kernels::KvLayout layout = model->kv_layout(64);
  const auto layers = static_cast<size_t>(model->config().layers);
  std::vector<std::byte> pages(layers * (layout.k_page_bytes() + layout.v_page_bytes()));
  std::vector<kernels::KvPools> kv;
  for (std::byte* at = pages.data(); kv.size() < layers;
       at += layout.k_page_bytes() + layout.v_page_bytes())
    kv.push_back({at, at + layout.k_page_bytes()});
  const std::vector<int32_t> page{0};
  const Chunk chunk{tokens, 0, page, 48};
  std::vector<float> logits(tokens.size() * static_cast<size_t>(model->config().vocab_size));
  EXPECT_TRUE(model->forward({&chunk, 1}, kv, 64, logits).ok());
  return logits;
}

TEST(LatentAttention, RunsFilesThatDoNotSplitTheExpansion) {
  const gguf::File file = fixture("deepseek2-lite");
  Draft draft(file);
  std::vector<std::vector<uint16_t>> joined;
  for (const std::string layer : {"blk.0.", "blk.1.", "blk.2."}) {
    const gguf::Tensor k_b = draft.tensors.at(layer + "attn_k_b.weight");
    const gguf::Tensor v_b = draft.tensors.at(layer + "attn_v_b.weight");
    joined.push_back(join(k_b, v_b));
    gguf::Tensor both = k_b;
    both.shape = {k_b.shape[1], k_b.shape[2] * (k_b.shape[0] + v_b.shape[1])};
    both.data = std::as_bytes(std::span(joined.back()));
    draft.tensors.erase(layer + "attn_k_b.weight");
    draft.tensors.erase(layer + "attn_v_b.weight");
    draft.tensors[layer + "attn_kv_b.weight"] = both;
  }
  draft.keys.erase("deepseek2.attention.key_length_mla");
  draft.keys.erase("deepseek2.attention.value_length_mla");
  const auto bytes = draft.bytes({{"deepseek2.attention.head_count_kv", 4},
                                  {"deepseek2.attention.key_length", 40},
                                  {"deepseek2.attention.value_length", 20}});
  const std::vector<float> want = logits_of(fixture("deepseek2-lite"));
  const std::vector<float> got = logits_of(gguf::File::parse(bytes).value());
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], want[i], 1e-5) << i;
}

TEST(LatentAttention, KeepsOneLatentOfATokenAndItsRotatedKey) {
  const gguf::File file = fixture("deepseek2-v3");
  const Config c = read_config(file).value();
  EXPECT_EQ(c.kv_heads, 1);
  EXPECT_EQ(c.kv_bytes_per_token({}), 3U * (48 + 32) * 2);  // latent 32 + rotated 16, latent 32
  const auto f = estimate_footprint(file, c, kIsa, 100, {}, 16).value();
  EXPECT_EQ(f.kv_bytes, 100U * 3 * (48 + 32) * 2);
}

// The layers of a file that guess a token ahead come last and are not run.
TEST(LatentAttention, LeavesOutTheLayersThatGuessAhead) {
  const gguf::File file = fixture("deepseek2-v3");
  const Draft draft(file);
  const auto bytes =
      draft.bytes({{"deepseek2.block_count", 4}, {"deepseek2.nextn_predict_layers", 1}});
  EXPECT_EQ(logits_of(gguf::File::parse(bytes).value()), logits_of(fixture("deepseek2-v3")));
}

void expect_refused(const std::string& key, uint32_t value, ErrorCode code,
                    const std::string& message) {
  const gguf::File file = fixture("deepseek2-v3");
  const auto bytes = Draft(file).bytes({{key, value}});
  const auto config = read_config(gguf::File::parse(bytes).value());
  ASSERT_FALSE(config.ok()) << key;
  EXPECT_EQ(config.error().code, code) << key;
  EXPECT_NE(config.error().message.find(key), std::string::npos) << config.error().message;
  EXPECT_NE(config.error().message.find(message), std::string::npos) << config.error().message;
}

TEST(LatentAttention, NamesTheKeyThatItRefuses) {
  const std::string a = "deepseek2.";
  expect_refused(a + "expert_gating_func", 4, ErrorCode::kUnsupported, "1 (softmax)");
  expect_refused(a + "expert_group_count", 3, ErrorCode::kCorrupt, "divide the 8 experts");
  expect_refused(a + "expert_group_used_count", 5, ErrorCode::kCorrupt, "between 1 and 4");
  expect_refused(a + "attention.key_length_mla", 16, ErrorCode::kCorrupt, "16 rotated");
  expect_refused(a + "attention.kv_lora_rank", 0, ErrorCode::kCorrupt, "between 1");
  expect_refused(a + "attention.kv_lora_rank", 70'000, ErrorCode::kCorrupt, "between 1");
  expect_refused(a + "nextn_predict_layers", 3, ErrorCode::kCorrupt, "below the 3 layers");
  expect_refused(a + "expert_shared_count", 4096 * 8, ErrorCode::kCorrupt, "between 1");
  expect_refused(a + "attention.temperature_scale", 1, ErrorCode::kUnsupported, "position");
}

// 8 experts in 4 groups: one group holds 2, and 3 are to be used.
TEST(LatentAttention, WantsGroupsThatHoldTheUsedExperts) {
  const gguf::File file = fixture("deepseek2-v3");
  const auto bytes = Draft(file).bytes({{"deepseek2.expert_group_used_count", 1}});
  const auto config = read_config(gguf::File::parse(bytes).value());
  ASSERT_FALSE(config.ok());
  EXPECT_NE(config.error().message.find("must hold the 3 used"), std::string::npos)
      << config.error().message;
}

TEST(LatentAttention, NamesAMissingTensor) {
  const gguf::File file = fixture("deepseek2");
  for (const char* name : {"blk.1.attn_k_b.weight", "blk.0.attn_q_a_norm.weight",
                           "blk.2.attn_kv_a_mqa.weight", "blk.1.ffn_gate_shexp.weight"}) {
    Draft draft(file);
    draft.tensors.erase(name);
    kernels::ThreadPool pool(1);
    const auto bytes = draft.bytes();
    const auto model = Model::load(gguf::File::parse(bytes).value(), pool, {});
    ASSERT_FALSE(model.ok()) << name;
    EXPECT_EQ(model.error().code, ErrorCode::kCorrupt);
    EXPECT_NE(model.error().message.find(name), std::string::npos) << model.error().message;
  }
}

}  // namespace
}  // namespace weir::model
