#include "ops/recipe/table.h"

namespace weir::ops {
namespace {

constexpr auto kLlmCompressor = RecipeTool::kLlmCompressor;
constexpr auto kGptqModel = RecipeTool::kGptqModel;
constexpr auto kModelOpt = RecipeTool::kModelOpt;

constexpr RecipeToolFacts kTools[] = {
    {kLlmCompressor, "llm-compressor", "llm-compressor 0.14.0 with compressed-tensors 0.19.0",
     "llmcompressor==0.14.0"},
    {kGptqModel, "gptqmodel", "GPTQModel 7.7.0", "gptqmodel==7.7.0"},
    {kModelOpt, "modelopt", "TensorRT Model Optimizer 0.47.0", "nvidia-modelopt[hf]==0.47.0"}};

constexpr RecipeScheme kSchemes[] = {
    {"W4A16", "weights in 4-bit integers", 4, "int", true, true, 16, ""},
    {"W4A16_ASYM", "weights in 4-bit integers with zero points", 4, "int", false, true, 16, ""},
    {"W8A16", "weights in 8-bit integers", 8, "int", true, true, 16, ""},
    {"W4A8", "weights in 4-bit, activations in 8-bit integers", 4, "int", true, true, 8, "int"},
    {"W4AFP8", "weights in 4-bit integers, activations in FP8", 4, "int", true, true, 8, "float"},
    {"W8A8", "weights and activations in 8-bit integers", 8, "int", true, false, 8, "int"},
    {"FP8", "weights and activations in FP8, their scales fixed by calibration", 8, "float", true,
     false, 8, "float"},
    {"FP8_DYNAMIC", "weights in FP8, activations in FP8 with a scale a token", 8, "float", true,
     false, 8, "float"},
    {"FP8_BLOCK", "weights in FP8 by blocks of 128 × 128, activations in FP8 by groups of 128", 8,
     "float", true, false, 8, "float"},
    {"NVFP4", "weights and activations in FP4 by groups of 16", 4, "float", true, false, 4,
     "float"},
    {"NVFP4A16", "weights in FP4 by groups of 16", 4, "float", true, false, 16, ""},
    {"MXFP4", "weights and activations in FP4 by groups of 32", 4, "float", true, false, 4,
     "float"},
    {"MXFP4A16", "weights in FP4 by groups of 32", 4, "float", true, false, 16, ""},
    {"MXFP8", "weights and activations in FP8 by groups of 32", 8, "float", true, false, 8,
     "float"},
};

constexpr RecipeRow kRows[] = {
    {kLlmCompressor, "W4A16", "gptq", "W4A16", true, true},
    {kLlmCompressor, "W4A16", "awq", "W4A16", true, true},
    {kLlmCompressor, "W4A16", "rtn", "W4A16", true, false},
    {kLlmCompressor, "W4A16_ASYM", "awq", "W4A16_ASYM", true, true},
    {kLlmCompressor, "W4A16_ASYM", "gptq", "W4A16_ASYM", true, true},
    {kLlmCompressor, "W4A16_ASYM", "rtn", "W4A16_ASYM", true, false},
    {kLlmCompressor, "W8A16", "gptq", "W8A16", true, true},
    {kLlmCompressor, "W8A16", "awq", "W8A16", true, true},
    {kLlmCompressor, "W8A16", "rtn", "W8A16", true, false},
    {kLlmCompressor, "W4A8", "gptq", "W4A8", true, true},
    {kLlmCompressor, "W4A8", "smoothquant", "W4A8", true, true},
    {kLlmCompressor, "W4A8", "rtn", "W4A8", true, false},
    {kLlmCompressor, "W4AFP8", "gptq", "W4AFP8", true, true},
    {kLlmCompressor, "W4AFP8", "rtn", "W4AFP8", true, false},
    {kLlmCompressor, "W8A8", "smoothquant", "W8A8", false, true},
    {kLlmCompressor, "W8A8", "gptq", "W8A8", false, true},
    {kLlmCompressor, "W8A8", "rtn", "W8A8", false, false},
    {kLlmCompressor, "FP8", "rtn", "FP8", false, true},
    {kLlmCompressor, "FP8_DYNAMIC", "rtn", "FP8_DYNAMIC", false, false},
    {kLlmCompressor, "FP8_BLOCK", "rtn", "FP8_BLOCK", false, false},
    {kLlmCompressor, "NVFP4", "rtn", "NVFP4", false, true},
    {kLlmCompressor, "NVFP4", "gptq", "NVFP4", false, true},
    {kLlmCompressor, "NVFP4A16", "rtn", "NVFP4A16", false, false},
    {kLlmCompressor, "MXFP4", "rtn", "MXFP4", false, false},
    {kLlmCompressor, "MXFP4A16", "rtn", "MXFP4A16", false, false},
    {kLlmCompressor, "MXFP8", "rtn", "MXFP8", false, false},

    {kGptqModel, "W4A16", "gptq", "QuantizeConfig", true, true},
    {kGptqModel, "W4A16", "awq", "QuantizeConfig", true, true},
    {kGptqModel, "W4A16", "rtn", "RTNConfig", true, false},
    {kGptqModel, "W4A16_ASYM", "awq", "QuantizeConfig", true, true},
    {kGptqModel, "W4A16_ASYM", "gptq", "QuantizeConfig", true, true},
    {kGptqModel, "W8A16", "gptq", "QuantizeConfig", true, true},
    {kGptqModel, "W8A16", "rtn", "RTNConfig", true, false},

    {kModelOpt, "W4A16", "awq", "INT4_AWQ_CFG", true, true},
    {kModelOpt, "W4A16", "rtn", "INT4_BLOCKWISE_WEIGHT_ONLY_CFG", true, false},
    {kModelOpt, "W4AFP8", "awq", "W4A8_AWQ_BETA_CFG", false, true},
    {kModelOpt, "W8A8", "smoothquant", "INT8_SMOOTHQUANT_CFG", false, true},
    {kModelOpt, "FP8", "rtn", "FP8_DEFAULT_CFG", false, true},
    {kModelOpt, "FP8_DYNAMIC", "rtn", "FP8_PER_CHANNEL_PER_TOKEN_CFG", false, false},
    {kModelOpt, "NVFP4", "rtn", "NVFP4_DEFAULT_CFG", false, true},
    {kModelOpt, "NVFP4", "awq", "NVFP4_AWQ_LITE_CFG", false, true},
    {kModelOpt, "NVFP4A16", "rtn", "W4A16_NVFP4_CFG", false, false},
    {kModelOpt, "MXFP4", "rtn", "MXFP4_DEFAULT_CFG", false, false},
    {kModelOpt, "MXFP8", "rtn", "MXFP8_DEFAULT_CFG", false, false},
};

}  // namespace

std::span<const RecipeToolFacts> recipe_tools() { return kTools; }
std::span<const RecipeScheme> recipe_schemes() { return kSchemes; }
std::span<const RecipeRow> recipe_rows() { return kRows; }

}  // namespace weir::ops
