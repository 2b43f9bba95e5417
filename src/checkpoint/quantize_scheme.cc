#include "checkpoint/quantize_scheme.h"

#include <algorithm>
#include <array>
#include <utility>

namespace weir::checkpoint {
namespace {

using text::Json;
using Activations = QuantizeScheme::Activations;
using Codes = QuantizeScheme::Codes;
using Format = QuantizeScheme::Format;

struct Row {
  std::string_view name;
  Codes codes;
  int bits;
  bool symmetric, packed;
  size_t group, block;
  Activations activations;
};

constexpr Row kNoScheme = {"none", Codes::kNone, 16, true, false, 0, 0, Activations::kNone};
constexpr std::array<Row, 11> kSchemes = {{
    {"W4A16", Codes::kInteger, 4, true, true, 128, 0, Activations::kNone},
    {"W4A16_ASYM", Codes::kInteger, 4, false, true, 128, 0, Activations::kNone},
    {"W8A16", Codes::kInteger, 8, true, true, 128, 0, Activations::kNone},
    {"W8A8", Codes::kInteger, 8, true, false, 0, 0, Activations::kInt8},
    {"FP8", Codes::kE4m3, 8, true, false, 0, 0, Activations::kE4m3Fixed},
    {"FP8_DYNAMIC", Codes::kE4m3, 8, true, false, 0, 0, Activations::kE4m3},
    {"FP8_BLOCK", Codes::kE4m3, 8, true, false, 128, 128, Activations::kE4m3Groups},
    {"NVFP4", Codes::kNvfp4, 4, true, false, 16, 0, Activations::kNvfp4},
    {"NVFP4A16", Codes::kNvfp4, 4, true, false, 16, 0, Activations::kNone},
    {"MXFP4", Codes::kMxfp4, 4, true, false, 32, 0, Activations::kMxfp4},
    {"MXFP4A16", Codes::kMxfp4, 4, true, false, 32, 0, Activations::kNone},
}};

std::string scheme_names() {
  std::string list;
  for (const Row& r : kSchemes) list += (list.empty() ? "" : ", ") + std::string(r.name);
  return list;
}

Result<Format> parse_format(const std::string& name) {
  if (name == "compressed-tensors") return Format::kCompressedTensors;
  if (name == "gptq") return Format::kGptq;
  if (name == "awq") return Format::kAwq;
  return make_error(ErrorCode::kUsage,
                    "--format {} is not known; there are gguf, compressed-tensors, gptq and awq",
                    name);
}

Result<const Row*> find_row(std::string name) {
  for (char& c : name) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  if (name == "INT8") name = "W8A8";
  for (const Row& r : kSchemes) {
    if (r.name == name) return &r;
  }
  if (name.empty())
    return make_error(ErrorCode::kUsage, "--scheme is missing; there are {}", scheme_names());
  return make_error(ErrorCode::kUsage, "--scheme {} is not known; there are {}", name,
                    scheme_names());
}

Status set_group(QuantizeScheme& s, int group) {
  if (!s.packed) {
    return make_error(ErrorCode::kUsage, "--group-size is not for {}, whose groups are fixed",
                      s.name);
  }
  if (group != 32 && group != 64 && group != 128)
    return make_error(ErrorCode::kUsage, "--group-size is {}; 32, 64 and 128 can be written",
                      group);
  s.group = static_cast<size_t>(group);
  return {};
}

Status set_symmetric(QuantizeScheme& s, std::string_view asked, bool symmetric) {
  if (symmetric == s.symmetric) return {};
  if (!s.packed || asked.ends_with("_ASYM")) {
    return make_error(ErrorCode::kUsage, "{} is {}; leave --{} out", s.name,
                      s.symmetric ? "symmetric" : "asymmetric",
                      symmetric ? "symmetric" : "asymmetric");
  }
  s.symmetric = symmetric;
  return {};
}

// What GPTQ and AutoAWQ do not have.
Status check_format(QuantizeScheme& s, const std::optional<bool>& symmetric) {
  if (s.format == Format::kCompressedTensors) return {};
  if (!s.packed) {
    return make_error(ErrorCode::kUsage, "--scheme {} is for --format compressed-tensors", s.name);
  }
  if (s.format == Format::kGptq) return {};
  if (s.bits != 4)
    return make_error(ErrorCode::kUsage, "--format awq has 4 bits; {} is for gptq", s.name);
  if (symmetric.value_or(false)) {
    return make_error(ErrorCode::kUsage,
                      "--format awq has zero points; leave --symmetric out, or take gptq");
  }
  s.symmetric = false;
  return {};
}

Status set_cache(QuantizeScheme& s, const std::string& kv_cache) {
  if (kv_cache.empty()) return {};
  if (kv_cache != "fp8")
    return make_error(ErrorCode::kUsage, "--kv-cache {} is not known; there is fp8", kv_cache);
  if (s.format != Format::kCompressedTensors) {
    return make_error(ErrorCode::kUsage,
                      "--kv-cache is for --format compressed-tensors; the others have no place for "
                      "its scales");
  }
  s.fp8_cache = true;
  return {};
}

Json numbers(int bits, const char* type, const char* strategy) {
  Json j = Json::object();
  j.set("num_bits", bits);
  j.set("type", type);
  j.set("symmetric", true);
  j.set("strategy", strategy);
  j.set("group_size", nullptr);
  j.set("dynamic", false);
  return j;
}

Json weights(const QuantizeScheme& s) {
  const char* type = s.codes == Codes::kInteger ? "int" : "float";
  const char* strategy = s.whole                    ? "tensor"
                         : s.block > 0              ? "block"
                         : s.group == 0             ? "channel"
                         : s.codes == Codes::kNvfp4 ? "tensor_group"
                                                    : "group";
  Json j = numbers(s.bits, type, strategy);
  j.set("symmetric", s.symmetric);
  if (s.block > 0) {
    Json side = Json::array();
    side.push_back(static_cast<int64_t>(s.block));
    side.push_back(static_cast<int64_t>(s.block));
    j.set("block_structure", std::move(side));
  } else if (s.group > 0) {
    j.set("group_size", static_cast<int64_t>(s.group));
  }
  if (s.codes == Codes::kNvfp4) j.set("scale_dtype", "torch.float8_e4m3fn");
  if (s.codes == Codes::kMxfp4) j.set("scale_dtype", "torch.uint8");
  return j;
}

Json activations(const QuantizeScheme& s) {
  Json j;
  switch (s.activations) {
    case Activations::kNone:
      return j;
    case Activations::kInt8:
      j = numbers(8, "int", "token");
      break;
    case Activations::kE4m3:
      j = numbers(8, "float", "token");
      break;
    case Activations::kE4m3Groups:
      j = numbers(8, "float", "group");
      j.set("group_size", 128);
      break;
    case Activations::kMxfp4:
      j = numbers(4, "float", "group");
      j.set("group_size", 32);
      j.set("scale_dtype", "torch.uint8");
      break;
    case Activations::kE4m3Fixed:
      return numbers(8, "float", "tensor");
    case Activations::kNvfp4:
      j = numbers(4, "float", "tensor_group");
      j.set("group_size", 16);
      j.set("scale_dtype", "torch.float8_e4m3fn");
      j.set("dynamic", "local");
      return j;
  }
  j.set("dynamic", true);
  return j;
}

const char* stored_format(const QuantizeScheme& s) {
  switch (s.codes) {
    case Codes::kNone:
      return "dense";
    case Codes::kInteger:
      return s.packed ? "pack-quantized" : "int-quantized";
    case Codes::kE4m3:
      return "float-quantized";
    case Codes::kNvfp4:
      return "nvfp4-pack-quantized";
    case Codes::kMxfp4:
      return "mxfp4-pack-quantized";
  }
  return "";
}

Json list(std::span<const std::string> names) {
  Json j = Json::array();
  for (const std::string& n : names) j.push_back(n);
  return j;
}

Json compressed_tensors_config(const QuantizeScheme& s, std::span<const std::string> kept) {
  const char* format = stored_format(s);
  Json groups = Json::object();
  if (s.quantizes()) {
    Json targets = Json::array();
    targets.push_back("Linear");
    Json group = Json::object();
    group.set("targets", std::move(targets));
    group.set("weights", weights(s));
    group.set("input_activations", activations(s));
    group.set("output_activations", nullptr);
    group.set("format", format);
    groups.set("group_0", std::move(group));
  }
  Json j = Json::object();
  j.set("quant_method", "compressed-tensors");
  j.set("format", format);
  j.set("quantization_status", s.quantizes() ? "compressed" : "frozen");
  j.set("config_groups", std::move(groups));
  j.set("ignore", list(kept));
  j.set("kv_cache_scheme", s.fp8_cache ? numbers(8, "float", "tensor") : Json());
  j.set("global_compression_ratio", nullptr);
  return j;
}

// A regular expression for exactly this name, as GPTQModel has it for modules that it leaves out.
std::string left_out(std::string_view name) {
  std::string pattern = "-:^";
  for (const char c : name) pattern += c == '.' ? std::string("\\.") : std::string(1, c);
  return pattern + "$";
}

Json gptq_config(const QuantizeScheme& s, std::span<const std::string> kept) {
  Json j = Json::object();
  j.set("quant_method", "gptq");
  j.set("checkpoint_format", "gptq");
  j.set("bits", s.bits);
  j.set("group_size", static_cast<int64_t>(s.group));
  j.set("sym", s.symmetric);
  j.set("desc_act", false);
  j.set("lm_head", false);
  j.set("pack_dtype", "int32");
  Json dynamic = Json::object();
  for (const std::string& name : kept) {
    if (name != "lm_head") dynamic.set(left_out(name), Json::object());
  }
  if (dynamic.size() > 0) j.set("dynamic", std::move(dynamic));
  return j;
}

Json awq_config(const QuantizeScheme& s, std::span<const std::string> kept) {
  Json j = Json::object();
  j.set("quant_method", "awq");
  j.set("version", "gemm");
  j.set("bits", s.bits);
  j.set("group_size", static_cast<int64_t>(s.group));
  j.set("zero_point", true);
  j.set("modules_to_not_convert", list(kept));
  return j;
}

}  // namespace

Result<QuantizeScheme> find_scheme(const SchemeRequest& request) {
  QuantizeScheme s;
  WEIR_ASSIGN(s.format, parse_format(request.format));
  const bool needed = s.format == Format::kCompressedTensors;
  const Row* row = &kNoScheme;
  if (!needed || !request.scheme.empty() || request.kv_cache.empty()) {
    WEIR_ASSIGN(row, find_row(request.scheme.empty() && !needed ? "W4A16" : request.scheme));
  }
  s.name = row->name;
  s.codes = row->codes;
  s.bits = row->bits;
  s.symmetric = row->symmetric;
  s.packed = row->packed;
  s.group = row->group;
  s.block = row->block;
  s.whole = row->activations == Activations::kE4m3Fixed;
  s.activations = row->activations;
  if (request.group_size) WEIR_TRY(set_group(s, *request.group_size));
  if (request.symmetric && s.format != Format::kAwq)
    WEIR_TRY(set_symmetric(s, row->name, *request.symmetric));
  WEIR_TRY(check_format(s, request.symmetric));
  WEIR_TRY(set_cache(s, request.kv_cache));
  return s;
}

Json quantization_config(const QuantizeScheme& scheme, std::span<const std::string> kept) {
  switch (scheme.format) {
    case Format::kCompressedTensors:
      return compressed_tensors_config(scheme, kept);
    case Format::kGptq:
      return gptq_config(scheme, kept);
    case Format::kAwq:
      return awq_config(scheme, kept);
  }
  return {};
}

}  // namespace weir::checkpoint
