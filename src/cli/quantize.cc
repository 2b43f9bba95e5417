// weir quantize: a smaller model from a larger one.
#include <memory>
#include <string_view>
#include <tuple>

#include "cli/command.h"
#include "cli/load.h"
#include "cli/quantize_folder.h"
#include "cli/quantize_mixed.h"
#include "cli/quantize_options.h"

namespace weir::cli {
namespace {

// Options of folders for GPU engines, with --format gguf, which is the default.
Status check_gguf_options(const QuantizeOptions& o) {
  constexpr const char* kOne = "--format compressed-tensors";
  constexpr const char* kAll = "--format compressed-tensors, gptq or awq";
  const std::tuple<const char*, bool, const char*> given[] = {
      {"--scheme", !o.scheme.empty(), kOne},     {"--kv-cache", !o.kv_cache.empty(), kOne},
      {"--group-size", o.group_size != 0, kAll}, {"--symmetric", o.symmetric, kAll},
      {"--asymmetric", o.asymmetric, kAll},
  };
  for (const auto& [flag, is_given, format] : given) {
    if (is_given) {
      return make_error(ErrorCode::kUsage, "{} is of folders for GPU engines: give {}", flag,
                        format);
    }
  }
  return {};
}

// Options of GGUF files, with another format.
Status check_folder_options(const QuantizeOptions& o) {
  const std::pair<const char*, bool> given[] = {
      {"--type", !o.type.empty()},
      {"--target-bpw", o.mixed.target_bpw > 0},
      {"--max-kl", o.mixed.max_kl > 0},
      {"--tensor", !o.tensors.empty()},
      {"--output-type", !o.output_type.empty()},
      {"--embedding-type", !o.embedding_type.empty()},
      {"--keep-output", o.keep_output},
      {"--pure", o.pure},
      {"--split-max-size", !o.split_max_size.empty()},
      {"--split-max-tensors", o.split_max_tensors > 0},
      {"--resume", o.resume},
      {"--rotations", !o.rotations.empty()},
      {"--seed", o.seed.has_value()},
      {"--transform-type", o.transform_type.has_value()},
  };
  const bool schemes = o.format == "compressed-tensors" && o.scheme.empty();
  for (const auto& [flag, is_given] : given) {
    if (!is_given) continue;
    const bool type = flag == std::string_view("--type");
    return make_error(ErrorCode::kUsage, "{} is not for --format {}, but for GGUF files{}", flag,
                      o.format, type && schemes ? ": give --scheme, such as W4A16" : "");
  }
  return {};
}

Result<int> quantize_any(const QuantizeOptions& o) {
  const bool gguf = o.format == "gguf";
  WEIR_TRY(gguf ? check_gguf_options(o) : check_folder_options(o));
  if (o.alpha && !o.method.starts_with("smoothquant")) {
    return make_error(ErrorCode::kUsage, "--alpha is of --method smoothquant{}",
                      gguf ? ", which is for --format compressed-tensors" : "");
  }
  if (gguf) return quantize_gguf(o);
  FolderOptions folder;
  folder.in = o.in;
  folder.out = o.out;
  folder.scheme = {o.format, o.scheme, {}, {}, o.kv_cache};
  folder.method = o.method;
  folder.alpha = o.alpha.value_or(folder.alpha);
  folder.imatrix = o.imatrix;
  folder.moments = o.moments;
  folder.threads = o.threads;
  folder.dry_run = o.dry_run;
  folder.json = o.json;
  if (o.group_size != 0) folder.scheme.group_size = o.group_size;
  if (o.symmetric || o.asymmetric) folder.scheme.symmetric = o.symmetric;
  return quantize_folder(folder);
}

}  // namespace

namespace {

void add_folder_options(CLI::App* c, QuantizeOptions& o) {
  c->add_option("--format", o.format, "gguf (default), compressed-tensors, gptq or awq");
  c->add_option(
      "--scheme", o.scheme,
      "of the other formats: W4A16, W4A16_ASYM, W8A16, W8A8, FP8, FP8_DYNAMIC, FP8_BLOCK, NVFP4, "
      "NVFP4A16, MXFP4, MXFP4A16");
  c->add_option("--group-size", o.group_size,
                "weights that share a scale in W4A16 and W8A16: 32, 64 or 128 (default)");
  CLI::Option* symmetric = c->add_flag("--symmetric", o.symmetric, "no zero points");
  c->add_flag("--asymmetric", o.asymmetric, "a zero point for each group")->excludes(symmetric);
  c->add_option("--kv-cache", o.kv_cache,
                "fp8: of compressed-tensors, fixed scales for an engine's FP8 KV cache, from "
                "--imatrix; without --scheme they alone");
}

void add_calibration_options(CLI::App* c, QuantizeOptions& o) {
  c->add_option("--imatrix", o.imatrix, "importance of columns, as weir imatrix writes it");
  std::vector<std::string> methods(kFolderMethods.begin(), kFolderMethods.end());
  methods.insert(methods.begin(), "search");
  c->add_option(
       "--method", o.method,
       "search: scales and codes with the least weighted error; gptq: then codes anew, each "
       "column making good the errors of those before it; awq: scales of columns folded into the "
       "norms and matrices before, then the search; of the other formats also smoothquant")
      ->check(CLI::IsMember(methods))
      ->capture_default_str();
  c->add_option("--alpha", o.alpha,
                "of smoothquant: how much of the inputs' outliers goes to the weights (0.5)")
      ->check(CLI::Range(0.0F, 1.0F));
  c->add_option("--moments", o.moments,
                "second moments, as weir imatrix --moments writes them: for gptq and awq; without "
                "--imatrix importance as well");
}

// The names are those of llm-compressor's SpinQuantModifier.
void add_rotation_options(CLI::App* c, QuantizeOptions& o) {
  c->add_option("--rotations", o.rotations,
                "spread outliers over the channels before anything is rounded, the model staying "
                "the same function: R1 rotates the residual stream, R1,R2 values of heads as well; "
                "importance comes from --moments, an embedding that is the output too is doubled")
      ->delimiter(',')
      ->check(CLI::IsMember({"R1", "R2"}));
  c->add_option("--transform-type", o.transform_type,
                "of --rotations: random-hadamard, which has random signs, is the default")
      ->check(CLI::IsMember({"hadamard", "random-hadamard"}));
  c->add_option("--seed", o.seed, "of the signs of random-hadamard (1)")->check(seed_problem);
}

void add_type_options(CLI::App* c, QuantizeOptions& o) {
  c->add_option("--tensor", o.tensors,
                "EXPRESSION=TYPE: for tensors whose name the regular expression finds; repeatable, "
                "the first that matches wins");
  c->add_option("--output-type", o.output_type, "type of the output matrix");
  c->add_option("--embedding-type", o.embedding_type, "type of the token embedding");
  c->add_flag("--keep-output", o.keep_output,
              "leave the output matrix (or the embedding that serves as it) as it is");
  c->add_flag("--pure", o.pure, "one type for all, without the mix's exceptions");
}

void add_file_options(CLI::App* c, QuantizeOptions& o) {
  c->add_option("--split-max-size", o.split_max_size,
                "write parts OUT-00001-of-0000N.gguf of at most N(M|G) bytes: 500M, 2G");
  c->add_option("--split-max-tensors", o.split_max_tensors,
                "write parts of at most so many tensors")
      ->check(CLI::Range(uint64_t{1}, uint64_t{1} << 20));
  c->add_flag("--resume", o.resume,
              "a run that was killed goes on when it is given again; with this anything else that "
              "is unfinished there is an error, and a full disk loses nothing");
  c->add_flag("--dry-run", o.dry_run, "only say what would be written");
}

}  // namespace

void add_quantize(CLI::App& root, Selected& selected) {
  // shared: the parser's callback and the action outlive this call
  auto o = std::make_shared<QuantizeOptions>();
  CLI::App* c = add_command(
      root, "quantize", "Write a model in a smaller type: as GGUF, or as a folder for GPU engines",
      "  weir quantize model-f16.gguf model-q4_k_m.gguf --type Q4_K_M --imatrix model.imatrix\n"
      "  weir quantize folder/ model.gguf --type Q5_K_M --tensor 'attn_v=q6_k'\n"
      "  weir quantize model.gguf out.gguf --type Q4_0 --dry-run\n"
      "  weir quantize model.gguf out.gguf --type Q8_0 --split-max-size 2G\n"
      "  weir quantize folder/ out/ --format compressed-tensors --scheme FP8_DYNAMIC\n"
      "  weir quantize folder/ out/ --format compressed-tensors --scheme FP8 --kv-cache fp8 "
      "--imatrix model.imatrix\n"
      "  weir quantize folder/ out/ --format awq --group-size 64\n"
      "  weir quantize model.gguf out.gguf --target-bpw 4.5 --imatrix model.imatrix --data "
      "text.txt\n");
  c->add_option("IN", o->in, "a GGUF file, a Hugging Face folder, or a name")->required();
  c->add_option("OUT", o->out, "the GGUF file or the folder to write")->required();
  c->add_option("--type", o->type, "of GGUF: Q4_K_M, Q8_0, IQ4_XS ...: a type, or a mix of types");
  add_mixed_options(c, o->mixed);
  add_folder_options(c, *o);
  add_calibration_options(c, *o);
  add_rotation_options(c, *o);
  add_type_options(c, *o);
  add_file_options(c, *o);
  add_threads_option(c, o->threads);
  c->add_flag("--json", o->json, "one JSON document");
  c->callback([o, &selected] { selected.action = [o] { return quantize_any(*o); }; });
}

}  // namespace weir::cli
