// Formats: transformers' quantization_config by quant_method; compressed-tensors' config_groups,
// which ModelOpt writes too; ModelOpt's quant_algo; Quark's global_quant_config; bitsandbytes.
#include "ops/plan/read_precision.h"

#include <initializer_list>
#include <string>
#include <string_view>

namespace weir::ops {
namespace {

using text::Json;

constexpr double kScaleBits = 16;     // of a group of integers
constexpr double kTinyScaleBits = 8;  // of a block of FP4 or MX numbers
constexpr double kUsualGroup = 128;
constexpr double kZeroBits = 4;

std::string text_of(const Json* object, std::string_view name) {
  const Json* v = object == nullptr || !object->is_object() ? nullptr : object->find(name);
  return v != nullptr && v->is_string() ? v->as_string() : "";
}

int64_t whole_of(const Json* object, std::string_view name) {
  const Json* v = object == nullptr || !object->is_object() ? nullptr : object->find(name);
  return v != nullptr && v->is_int() && v->as_int() > 0 && v->as_int() <= 1 << 20 ? v->as_int() : 0;
}

bool is_true(const Json& object, std::string_view name) {
  const Json* v = object.find(name);
  return v != nullptr && v->is_bool() && v->as_bool();
}

void set(ModelShape& m, const char* precision, double bits, const char* activations) {
  m.precision = precision;
  m.bits_per_weight = bits;
  m.activations = activations;
}

// The type that has these bits; "" where arithmetic in it is none.
const char* type_of(const Json* scheme) {
  const int64_t bits = whole_of(scheme, "num_bits");
  const bool floating = text_of(scheme, "type") == "float";
  if (bits == 8) return floating ? "fp8" : "int8";
  if (bits == 4 && floating) return "fp4";
  return "";
}

// The first of the groups that says how weights are stored.
bool read_groups(const Json* groups, ModelShape& m) {
  if (groups == nullptr || !groups->is_object()) return false;
  for (const auto& [name, group] : groups->members()) {
    const Json* weights = group.is_object() ? group.find("weights") : nullptr;
    const int64_t bits = whole_of(weights, "num_bits");
    if (bits == 0 || bits > 16) continue;
    const bool floating = text_of(weights, "type") == "float";
    const auto group_size = static_cast<double>(whole_of(weights, "group_size"));
    double stored = static_cast<double>(bits);
    if (group_size > 0) stored += (floating ? kTinyScaleBits : kScaleBits) / group_size;
    const std::string activations = type_of(group.find("input_activations"));
    set(m,
        bits > 8   ? "bf16"
        : floating ? (bits > 4 ? "fp8" : "fp4")
                   : (bits > 4 ? "int8" : "int4"),
        stored, activations.empty() ? "bf16" : activations.c_str());
    return true;
  }
  return false;
}

// ModelOpt's names of algorithms, as its checkpoints have them.
void read_algorithm(std::string_view name, ModelShape& m) {
  if (name.starts_with("FP8") || name == "W8A8_FP8") {
    set(m, "fp8", 8, "fp8");
  } else if (name.starts_with("MXFP8")) {
    set(m, "fp8", 8.25, "fp8");
  } else if (name.starts_with("NVFP4")) {
    set(m, "fp4", 4.5, "fp4");
  } else if (name.starts_with("W4A8")) {
    set(m, "int4", 4 + kScaleBits / kUsualGroup, "fp8");
  } else if (name.starts_with("W4A16")) {
    set(m, "int4", 4 + kScaleBits / kUsualGroup, "bf16");
  } else if (name.starts_with("W8A16")) {
    set(m, "int8", 8, "bf16");
  } else if (name.starts_with("INT8") || name.starts_with("W8A8")) {
    set(m, "int8", 8, "int8");
  }
}

void read_quark(const Json* global, ModelShape& m) {
  const Json* weight = global == nullptr || !global->is_object() ? nullptr : global->find("weight");
  const Json* input =
      global == nullptr || !global->is_object() ? nullptr : global->find("input_tensors");
  const std::string type = text_of(weight, "dtype"), given = text_of(input, "dtype");
  const char* activations = given.starts_with("fp8")    ? "fp8"
                            : given.starts_with("fp4")  ? "fp4"
                            : given.starts_with("int8") ? "int8"
                                                        : "bf16";
  if (type.starts_with("fp8")) {
    set(m, "fp8", 8, activations);
  } else if (type.starts_with("fp4")) {
    set(m, "fp4", 4 + kTinyScaleBits / 32, activations);
  } else if (type.starts_with("int8")) {
    set(m, "int8", 8, activations);
  } else if (type.starts_with("int4") || type.starts_with("uint4")) {
    set(m, "int4", 4 + kScaleBits / kUsualGroup, activations);
  }
}

void read_method(std::string_view name, const Json& q, ModelShape& m) {
  const int64_t bits = whole_of(&q, "bits");
  if (name == "fp8" || name == "fbgemm_fp8") {
    set(m, "fp8", 8, "fp8");
  } else if (name == "mxfp4") {  // experts alone, and their activations stay in 16 bits
    set(m, "fp4", 4 + kTinyScaleBits / 32, "bf16");
  } else if (name == "nvfp4" || name == "modelopt_fp4") {
    set(m, "fp4", 4 + kTinyScaleBits / 16, "fp4");
  } else if (name == "modelopt" || name == "modelopt_mixed") {
    if (!read_groups(q.find("config_groups"), m)) read_algorithm(text_of(&q, "quant_algo"), m);
  } else if (name == "compressed-tensors") {
    read_groups(q.find("config_groups"), m);
  } else if (name == "quark") {
    read_quark(q.find("global_quant_config"), m);
  } else if (name == "bitsandbytes") {
    const bool eight = is_true(q, "load_in_8bit");
    set(m, eight ? "int8" : "int4", eight ? 8 : 4 + 32.0 / 64, "bf16");
  } else if (bits > 0 && bits <= 16) {
    set(m, bits == 8 ? "int8" : "int4",
        static_cast<double>(bits) + (kScaleBits + kZeroBits) / kUsualGroup, "bf16");
  } else if (name == "awq" || name == "gptq") {
    set(m, "int4", 4 + (kScaleBits + kZeroBits) / kUsualGroup, "bf16");
  }
}

}  // namespace

void read_precision(const Json& config, ModelShape& m) {
  std::string type;
  for (const char* name : {"torch_dtype", "dtype"}) {
    if (type.empty()) type = text_of(&config, name);
  }
  set(m,
      type == "float32"   ? "f32"
      : type == "float16" ? "f16"
                          : "bf16",
      type == "float32" ? 32 : 16, "");
  for (const char* key : {"quantization_config", "compression_config"}) {
    const Json* q = config.find(key);
    if (q == nullptr || !q->is_object()) continue;
    return read_method(text_of(q, "quant_method"), *q, m);
  }
}

std::string arithmetic_type(const ModelShape& shape) {
  if (!shape.activations.empty()) return shape.activations;
  const std::string& p = shape.precision;
  return p == "fp8" || p == "int8" || p == "fp4" ? p : "bf16";
}

}  // namespace weir::ops
