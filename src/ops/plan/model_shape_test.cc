#include "ops/plan/model_shape.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weir::ops {
namespace {

using ::testing::HasSubstr;

Result<ModelShape> read(std::string_view json) {
  auto parsed = text::Json::parse(json);
  if (!parsed.ok()) return parsed.error();
  return read_model_shape(*parsed);
}

ModelShape shape(std::string_view json) {
  auto r = read(json);
  EXPECT_TRUE(r.ok()) << r.error().message;
  return r.ok() ? *r : ModelShape();
}

// Llama 3.1 8B: 8.03 billion, 128 KiB of KV cache a token in 16 bits.
TEST(ModelShape, DenseWithGroupedQueries) {
  const ModelShape m = shape(R"({"model_type":"llama","hidden_size":4096,"intermediate_size":14336,
    "num_hidden_layers":32,"num_attention_heads":32,"num_key_value_heads":8,"vocab_size":128256,
    "tie_word_embeddings":false,"max_position_embeddings":131072,"torch_dtype":"bfloat16"})");
  EXPECT_NEAR(m.parameters(), 8.03e9, 0.01e9);
  EXPECT_EQ(m.kv_bytes_per_token(Mixer::kFull, 2), 131072);
  EXPECT_EQ(m.kv_bytes(1000, 2), 131072e3);
  EXPECT_NEAR(m.active_parameters(), 7.5e9, 0.05e9);  // without the rows of the embedding
  EXPECT_EQ(m.precision, "bf16");
}

// Qwen3 30B A3B: 30.5 billion, 3.3 of them active with the embedding.
TEST(ModelShape, MixtureOfExperts) {
  const ModelShape m = shape(R"({"model_type":"qwen3_moe","hidden_size":2048,"head_dim":128,
    "intermediate_size":6144,"moe_intermediate_size":768,"num_experts":128,"num_experts_per_tok":8,
    "num_hidden_layers":48,"num_attention_heads":32,"num_key_value_heads":4,"vocab_size":151936,
    "tie_word_embeddings":false,"decoder_sparse_step":1,"mlp_only_layers":[]})");
  EXPECT_NEAR(m.parameters(), 30.5e9, 0.05e9);
  EXPECT_NEAR(m.active_parameters() + 2048.0 * 151936, 3.35e9, 0.05e9);
  EXPECT_EQ(m.kv_bytes_per_token(Mixer::kFull, 2), 48 * 2 * 4 * 128 * 2);
}

// DeepSeek V3: 671 billion, 37 active, 576 numbers of KV cache a token and layer.
TEST(ModelShape, LatentAttention) {
  const ModelShape m = shape(R"({"model_type":"deepseek_v3","hidden_size":7168,
    "intermediate_size":18432,"moe_intermediate_size":2048,"n_routed_experts":256,
    "n_shared_experts":1,"num_experts_per_tok":8,"first_k_dense_replace":3,"moe_layer_freq":1,
    "num_hidden_layers":61,"num_attention_heads":128,"num_key_value_heads":128,
    "kv_lora_rank":512,"q_lora_rank":1536,"qk_nope_head_dim":128,"qk_rope_head_dim":64,
    "v_head_dim":128,"vocab_size":129280,"quantization_config":{"quant_method":"fp8"}})");
  EXPECT_NEAR(m.parameters(), 671e9, 1e9);
  EXPECT_NEAR(m.active_parameters(), 36.6e9, 0.5e9);
  EXPECT_EQ(m.kv_bytes_per_token(Mixer::kFull, 2), 61 * 576 * 2);
  EXPECT_FALSE(m.layers[2].experts);
  EXPECT_TRUE(m.layers[3].experts);
  EXPECT_EQ(m.precision, "fp8");
}

// gpt-oss 20B: 20.9 billion, windows of 128 in every second layer.
TEST(ModelShape, WindowsHoldNoMoreThanTheirTokens) {
  const std::string json = R"({"model_type":"gpt_oss","hidden_size":2880,"head_dim":64,
    "intermediate_size":2880,"num_local_experts":32,"num_experts_per_tok":4,"num_hidden_layers":24,
    "num_attention_heads":64,"num_key_value_heads":8,"vocab_size":201088,"sliding_window":128,
    "tie_word_embeddings":false,"quantization_config":{"quant_method":"mxfp4"}})";
  const ModelShape m = shape(json);
  EXPECT_NEAR(m.parameters(), 20.9e9, 0.1e9);
  EXPECT_EQ(m.count(Mixer::kWindow), 12U);
  const double token = 12 * 2 * 8 * 64 * 2;  // of the layers of one kind
  EXPECT_EQ(m.kv_bytes(1000, 2), 1000 * token + 128 * token);
  EXPECT_EQ(m.kv_bytes(100, 2), 200 * token);
  EXPECT_EQ(m.bits_per_weight, 4.25);
}

TEST(ModelShape, WeightsAndArithmeticByTheQuantizationOfTheCheckpoint) {
  const auto with = [](const std::string& quantization) {
    return shape(R"({"model_type":"llama","hidden_size":4096,"intermediate_size":14336,
      "num_hidden_layers":32,"num_attention_heads":32,"num_key_value_heads":8,"vocab_size":128256,
      "quantization_config":)" +
                 quantization + "}");
  };
  const struct {
    const char* config;
    double bits;
    const char *precision, *arithmetic;
  } cases[] = {
      {R"({"quant_method":"fp8"})", 8, "fp8", "fp8"},
      {R"({"quant_method":"gptq","bits":8,"group_size":128})", 8.15625, "int8", "bf16"},
      {R"({"quant_method":"awq"})", 4.15625, "int4", "bf16"},
      {R"({"quant_method":"mxfp4"})", 4.25, "fp4", "bf16"},
      {R"({"quant_method":"bitsandbytes","load_in_4bit":true})", 4.5, "int4", "bf16"},
      {R"({"quant_method":"compressed-tensors","config_groups":{"group_0":{"weights":{"num_bits":4,
        "type":"int","group_size":128},"input_activations":null}}})",
       4.125, "int4", "bf16"},
      {R"({"quant_method":"compressed-tensors","config_groups":{"group_0":{"weights":{"num_bits":8,
        "type":"int"},"input_activations":{"num_bits":8,"type":"int"}}}})",
       8, "int8", "int8"},
      {R"({"quant_method":"compressed-tensors","config_groups":{"group_0":{"weights":{"num_bits":4,
        "type":"int","group_size":128},"input_activations":{"num_bits":8,"type":"float"}}}})",
       4.125, "int4", "fp8"},
      {R"({"quant_method":"modelopt","quant_algo":"NVFP4"})", 4.5, "fp4", "fp4"},
      {R"({"quant_method":"modelopt","quant_algo":"FP8"})", 8, "fp8", "fp8"},
      {R"({"quant_method":"quark","global_quant_config":{"weight":{"dtype":"fp4"},
        "input_tensors":{"dtype":"fp8_e4m3"}}})",
       4.25, "fp4", "fp8"},
      {R"({"quant_method":"compressed-tensors","config_groups":[1]})", 16, "bf16", "bf16"},
      {R"({"quant_method":"compressed-tensors","config_groups":{"g":{"weights":{"num_bits":-4}}}})",
       16, "bf16", "bf16"},
      {R"({"quant_method":7,"bits":1e30})", 16, "bf16", "bf16"},
  };
  for (const auto& c : cases) {
    const ModelShape m = with(c.config);
    EXPECT_EQ(m.bits_per_weight, c.bits) << c.config;
    EXPECT_EQ(m.precision, c.precision) << c.config;
    EXPECT_EQ(arithmetic_type(m), c.arithmetic) << c.config;
  }
}

// Zamba 2: some layers are attention beside a state.
TEST(ModelShape, HybridLayersAttendAndKeepAState) {
  const ModelShape m = shape(R"({"model_type":"zamba2","hidden_size":2048,"num_hidden_layers":6,
    "layers_block_type":["mamba","mamba","hybrid","mamba","mamba","hybrid"],"vocab_size":32000,
    "num_attention_heads":32,"num_key_value_heads":32,"attention_head_dim":128,
    "n_mamba_heads":64,"mamba_d_state":64,"mamba_expand":2,"mamba_ngroups":1,"mamba_d_conv":4})");
  EXPECT_EQ(m.count(Mixer::kFull), 2U);
  EXPECT_EQ(m.count(Mixer::kState), 6U);
  EXPECT_EQ(m.kv_bytes_per_token(Mixer::kFull, 2), 2 * 32 * 2 * 128 * 2);
  EXPECT_EQ(m.state_bytes, 4.0 * 64 * 64 * 64 + 2.0 * (4096 + 128) * 3);
}

TEST(ModelShape, SizesAreBoundedAndTheirProductsDoNotOverflow) {
  const auto with = [](const char* hidden, const char* heads) {
    return read(fmt::format(R"({{"model_type":"x","hidden_size":{0},"intermediate_size":{0},
      "num_hidden_layers":2,"num_attention_heads":8,"vocab_size":1000,"linear_num_value_heads":{1},
      "linear_num_key_heads":{1},"linear_key_head_dim":{1},"linear_value_head_dim":{1},
      "full_attention_interval":2}})",
                            hidden, heads));
  };
  const auto refused = with("4294967295", "2");
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message,
              HasSubstr("hidden_size must be an integer from 0 to 1048576"));
  const auto huge = with("1048576", "1048576");
  ASSERT_TRUE(huge.ok()) << huge.error().message;
  EXPECT_GT(huge->state_parameters, 1e18);
  EXPECT_GT(huge->state_bytes, 4e18);
  EXPECT_GT(huge->counted_parameters(), 1e18);
}

TEST(ModelShape, LayersOfAStateKeepTheSameForEverySequence) {
  const ModelShape m = shape(R"({"model_type":"qwen3_next","hidden_size":2048,"head_dim":256,
    "intermediate_size":5120,"moe_intermediate_size":512,"num_experts":512,
    "num_experts_per_tok":10,"shared_expert_intermediate_size":512,"num_hidden_layers":48,
    "full_attention_interval":4,"num_attention_heads":16,"num_key_value_heads":2,
    "linear_num_value_heads":32,"linear_num_key_heads":16,"linear_key_head_dim":128,
    "linear_value_head_dim":128,"linear_conv_kernel_dim":4,"vocab_size":151936})");
  EXPECT_EQ(m.count(Mixer::kFull), 12U);
  EXPECT_TRUE(m.layers[3].mixer == Mixer::kFull);
  EXPECT_NEAR(m.parameters(), 79.7e9, 1.2e9);  // "80B"
  EXPECT_EQ(m.kv_bytes(0, 2), 36.0 * static_cast<double>(m.state_bytes));
  EXPECT_EQ(m.kv_bytes(10, 2) - m.kv_bytes(0, 2), 10.0 * 12 * 2 * 2 * 256 * 2);
}

TEST(ModelShape, TheLanguageModelOfAModelThatSeesIsTaken) {
  const ModelShape m = shape(R"({"model_type":"gemma3","text_config":{"model_type":"gemma3_text",
    "hidden_size":2560,"intermediate_size":10240,"num_hidden_layers":34,"num_attention_heads":8,
    "num_key_value_heads":4,"head_dim":256,"sliding_window":1024,"vocab_size":262208}})");
  EXPECT_NEAR(m.parameters(), 3.88e9, 0.02e9);
  EXPECT_EQ(m.count(Mixer::kFull), 5U);
  EXPECT_TRUE(m.tied);
}

TEST(ModelShape, AStatedNumberOfParametersScalesADenseModel) {
  ModelShape m = shape(R"({"model_type":"llama","hidden_size":64,"intermediate_size":128,
    "num_hidden_layers":2,"num_attention_heads":4,"vocab_size":100})");
  const double active = m.active_parameters();
  m.stated_parameters = 2 * m.counted_parameters();
  EXPECT_DOUBLE_EQ(m.active_parameters(), 2 * active);
  EXPECT_DOUBLE_EQ(m.parameters(), *m.stated_parameters);
}

TEST(ModelShape, WrongFilesAreNamed) {
  const auto message = [](std::string_view json) {
    const auto r = read(json);
    return r.ok() ? "" : r.error().message;
  };
  EXPECT_THAT(message("[]"), HasSubstr("must be an object, not array"));
  EXPECT_THAT(message("{\"model_type\":\"resnet\"}"), HasSubstr("not of a language model"));
  EXPECT_THAT(message("{\"hidden_size\":0}"), HasSubstr("hidden_size is missing or 0"));
  EXPECT_THAT(message("{\"hidden_size\":\"a\"}"), HasSubstr("hidden_size must be an integer"));
  EXPECT_THAT(message("{\"hidden_size\":1,\"num_hidden_layers\":99999}"),
              HasSubstr("at most 2048"));
  EXPECT_THAT(message(R"({"hidden_size":8,"num_hidden_layers":1,"vocab_size":9,
    "num_attention_heads":1,"num_experts":4,"num_experts_per_tok":5})"),
              HasSubstr("5 experts a token, and there are 4"));
}

}  // namespace
}  // namespace weir::ops
