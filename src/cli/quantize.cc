// weir quantize: a smaller model file from a larger one.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>

#include "base/clock.h"
#include "checkpoint/open.h"
#include "cli/command.h"
#include "cli/load.h"
#include "cli/model_path.h"
#include "cli/quantize_folder.h"
#include "cli/quantize_mixed.h"
#include "cli/terminal.h"
#include "engine/model_identity.h"
#include "ops/quantize/quantize.h"
#include "os/cpu.h"
#include "text/json.h"

namespace weir::cli {
namespace {

struct Options {
  std::string in;
  std::string out;
  std::string type;
  std::string imatrix;
  std::string method = "search";
  std::string moments;
  std::optional<float> alpha;  // of smoothquant
  std::string output_type;
  std::string embedding_type;
  std::vector<std::string> tensors;
  MixedFlags mixed;
  int threads = 0;
  bool pure = false;
  bool keep_output = false;
  bool dry_run = false;
  bool json = false;
  // Of other formats than GGUF.
  std::string format = "gguf";
  std::string scheme;
  int group_size = 0;
  bool symmetric = false;
  bool asymmetric = false;
};

Result<ops::MixOptions> mix_options(const Options& o) {
  ops::MixOptions m;
  m.pure = o.pure;
  m.keep_output = o.keep_output;
  m.importance = !o.imatrix.empty();
  if (!o.output_type.empty()) {
    WEIR_ASSIGN(m.output_type, parse_type(o.output_type, "--output-type"));
  }
  if (!o.embedding_type.empty()) {
    WEIR_ASSIGN(m.embedding_type, parse_type(o.embedding_type, "--embedding-type"));
  }
  for (const std::string& text : o.tensors) {
    const size_t equals = text.rfind('=');
    if (equals == std::string::npos || equals == 0) {
      return make_error(ErrorCode::kUsage,
                        "--tensor '{}' is not EXPRESSION=TYPE, such as 'attn_v=q6_k'", text);
    }
    WEIR_ASSIGN(const gguf::TensorType type, parse_type(text.substr(equals + 1), "--tensor"));
    m.overrides.emplace_back(text.substr(0, equals), type);
  }
  return m;
}

struct TypeTotals {
  size_t tensors = 0;
  uint64_t bytes = 0;
};

struct Outcome {
  const Options* options = nullptr;
  const ops::QuantizePlan* plan = nullptr;
  const ops::MixedPlan* mixed = nullptr;
  std::map<std::string, TypeTotals> types;
  std::vector<std::string> warnings;
  double seconds = 0;
};

Outcome describe(const Options& o, const ops::QuantizePlan& plan,
                 const ops::Calibration& calibration) {
  const ops::ImportanceMatrix* importance = calibration.importance;
  Outcome out{&o, &plan, nullptr, {}, {}, 0};
  size_t fallbacks = 0;
  size_t without = 0;
  for (const ops::PlannedTensor& p : plan.tensors) {
    TypeTotals& sum = out.types[gguf::type_name(p.type)];
    ++sum.tensors;
    sum.bytes += p.bytes;
    fallbacks += p.wanted ? 1U : 0U;
    without += importance != nullptr && !p.copied && !p.important && p.source->rows() > 1 ? 1U : 0U;
  }
  if (plan.requantized > 0) {
    out.warnings.push_back(fmt::format(
        "{} tensors of the source are quantized already; what that cost stays, so quantize the "
        "original where you can (weir.quantize.requantized in the file says so)",
        plan.requantized));
  }
  if (fallbacks > 0) {
    out.warnings.push_back(fmt::format(
        "rows of {} tensors are no multiple of the type's blocks; they get a type that fits "
        "(--dry-run --json lists them)",
        fallbacks));
  }
  if (without > 0) {
    out.warnings.push_back(fmt::format(
        "the importance matrix has nothing of {} tensors; their columns count alike", without));
  }
  if (calibration.moments != nullptr) {
    const auto plain =
        std::count_if(plan.tensors.begin(), plan.tensors.end(), [](const ops::PlannedTensor& p) {
          return !p.copied && !p.compensated && p.source->rows() > 1;
        });
    if (plain > 0) {
      out.warnings.push_back(
          fmt::format("{} tensors have no second moments, or a type whose codes stand for several "
                      "values; GPTQ leaves them to the search",
                      plain));
    }
  }
  if (importance != nullptr) {
    size_t unseen = 0;
    for (const ops::ImportanceEntry& e : importance->entries) unseen += e.unseen();
    if (unseen > 0) {
      out.warnings.push_back(fmt::format(
          "{} experts never met a token of the calibration text; their columns count alike",
          unseen));
    }
  }
  return out;
}

text::Json tensor_json(const ops::PlannedTensor& p) {
  text::Json j = text::Json::object();
  j.set("name", p.source->name);
  j.set("from", gguf::type_name(p.source->type));
  j.set("type", gguf::type_name(p.type));
  if (p.wanted) j.set("wanted", gguf::type_name(*p.wanted));
  j.set("bytes", static_cast<int64_t>(p.bytes));
  j.set("importance", p.important);
  j.set("gptq", p.compensated);
  return j;
}

void print_json(const Outcome& r) {
  const ops::QuantizePlan& plan = *r.plan;
  text::Json root = text::Json::object();
  root.set("out", r.options->out);
  root.set("type", std::string(plan.mix.name));
  root.set("dry_run", r.options->dry_run);
  root.set("source_bytes", static_cast<int64_t>(plan.source_bytes));
  root.set("bytes", static_cast<int64_t>(plan.bytes));
  root.set("weights", static_cast<int64_t>(plan.weights));
  root.set("bits_per_weight", plan.bits_per_weight());
  root.set("requantized", static_cast<int64_t>(plan.requantized));
  root.set("seconds", r.seconds);
  text::Json types = text::Json::object();
  for (const auto& [name, sum] : r.types) {
    text::Json row = text::Json::object();
    row.set("tensors", static_cast<int64_t>(sum.tensors));
    row.set("bytes", static_cast<int64_t>(sum.bytes));
    types.set(name, std::move(row));
  }
  root.set("types", std::move(types));
  if (r.mixed != nullptr) root.set("mixed", mixed_json(*r.mixed));
  text::Json warnings = text::Json::array();
  for (const std::string& w : r.warnings) warnings.push_back(w);
  root.set("warnings", std::move(warnings));
  if (r.options->dry_run) {
    text::Json tensors = text::Json::array();
    for (const ops::PlannedTensor& p : plan.tensors) tensors.push_back(tensor_json(p));
    root.set("tensors", std::move(tensors));
  }
  fmt::print("{}\n", root.dump());
}

void print_text(const Outcome& r) {
  const ops::QuantizePlan& plan = *r.plan;
  fmt::print("{}: {}, {} to {} ({:.2f} bits per weight)", r.options->out, plan.mix.name,
             format_bytes(plan.source_bytes), format_bytes(plan.bytes), plan.bits_per_weight());
  if (r.options->dry_run) {
    fmt::print("; nothing was written\n");
  } else {
    fmt::print(", {:.1f} s\n", r.seconds);
  }
  for (const auto& [name, sum] : r.types)
    fmt::print("  {:<8} {:>5} tensors {:>12}\n", name, sum.tensors, format_bytes(sum.bytes));
  if (r.mixed != nullptr) print_mixed(*r.mixed);
}

Status write(const Options& o, const checkpoint::OpenedModel& model, const ops::QuantizePlan& plan,
             const ops::Calibration& calibration, kernels::ThreadPool& pool) {
  ops::Provenance from;
  from.version = WEIR_VERSION;
  from.source = std::filesystem::path(model.file.path()).filename().string();
  from.source_identity = engine::model_identity(model.file);
  from.importance_file = std::filesystem::path(o.imatrix).filename().string();
  from.moments_file = std::filesystem::path(o.moments).filename().string();
  const SystemClock clock;
  ProgressBar bar("quantize", plan.source_bytes, clock);
  return ops::write_quantized(
      model.file, plan, calibration, from, pool, o.out,
      [&](const ops::QuantizeProgress& p) { bar.update(p.done_bytes, std::string(p.tensor)); });
}

// The source must not be what is written: it is read while the new file grows, and lost at the end.
Status check_out(const std::string& in, const std::string& out) {
  std::error_code ec;
  if (std::filesystem::exists(out, ec) && std::filesystem::equivalent(in, out, ec)) {
    return make_error(ErrorCode::kUsage, "{} is the source itself; write to another file", out);
  }
  if (std::filesystem::is_directory(out, ec)) {
    return make_error(ErrorCode::kUsage, "{} is a folder; name the file to write", out);
  }
  return {};
}

// Without --type what is not chosen otherwise is Q8_0, which is safe anywhere.
Result<ops::Mix> mix_of(const Options& o) {
  if (o.mixed.wanted() == !o.type.empty()) {
    return make_error(ErrorCode::kUsage,
                      "give one of --type, --target-bpw and --max-kl: what is to be written");
  }
  WEIR_ASSIGN(ops::Mix mix, ops::find_mix(o.type.empty() ? "Q8_0" : o.type));
  if (o.type.empty()) mix.name = "mixed";
  return mix;
}

Result<ops::Moments> open_moments(const Options& o) {
  if (o.moments.empty()) {
    return make_error(
        ErrorCode::kUsage,
        "--method gptq takes the second moments of the model's inputs: give them with "
        "--moments (weir imatrix --moments makes them)");
  }
  return ops::Moments::open(o.moments);
}

Result<int> quantize(const Options& o) {
  const SystemClock clock;
  const int64_t start = clock.now_ns();
  WEIR_ASSIGN(const ops::Mix mix, mix_of(o));
  WEIR_ASSIGN(ops::MixOptions options, mix_options(o));
  WEIR_ASSIGN(const std::string path, resolve_model(o.in));
  WEIR_TRY(check_out(path, o.out));
  std::optional<ops::ImportanceMatrix> importance;
  if (!o.imatrix.empty()) {
    WEIR_ASSIGN(importance, ops::read_imatrix(o.imatrix));
  }
  std::optional<ops::Moments> moments;
  if (o.method == "gptq") {
    WEIR_ASSIGN(moments, open_moments(o));
  }
  const ops::Calibration calibration{importance ? &*importance : nullptr,
                                     moments ? &*moments : nullptr};
  WEIR_ASSIGN(checkpoint::OpenedModel model, checkpoint::open_model(path));
  kernels::ThreadPool pool(o.threads > 0 ? o.threads : os::usable_cores());
  WEIR_ASSIGN(ops::QuantizePlan plan, ops::plan_quantize(model.file, mix, options, calibration));
  if (model.fill && (!o.dry_run || o.mixed.wanted())) WEIR_TRY(model.fill(pool));
  std::optional<ops::MixedPlan> mixed;
  if (o.mixed.wanted()) {
    WEIR_ASSIGN(mixed, choose_mixed(o.mixed, model.file, plan, calibration, pool, options));
    WEIR_ASSIGN(plan, ops::plan_quantize(model.file, mix, options, calibration));
  }
  Outcome outcome = describe(o, plan, calibration);
  outcome.mixed = mixed ? &*mixed : nullptr;
  for (const std::string& w : outcome.warnings) fmt::print(stderr, "weir: warning: {}\n", w);
  if (!o.dry_run) WEIR_TRY(write(o, model, plan, calibration, pool));
  outcome.seconds = static_cast<double>(clock.now_ns() - start) * 1e-9;
  if (o.json) {
    print_json(outcome);
  } else {
    print_text(outcome);
  }
  return kExitOk;
}

// The options of one kind of output only, and with the other, an error.
Result<int> quantize_any(const Options& o) {
  const bool gguf = o.format == "gguf";
  const std::pair<const char*, bool> given[] = {
      {"--scheme", gguf && !o.scheme.empty()},
      {"--group-size", gguf && o.group_size != 0},
      {"--symmetric", gguf && o.symmetric},
      {"--asymmetric", gguf && o.asymmetric},
      {"--alpha", o.alpha && !o.method.starts_with("smoothquant")},
      {"--method", gguf && o.method != "search" && o.method != "gptq"},
      {"--type", !gguf && !o.type.empty()},
      {"--target-bpw", !gguf && o.mixed.target_bpw > 0},
      {"--max-kl", !gguf && o.mixed.max_kl > 0},
      {"--tensor", !gguf && !o.tensors.empty()},
      {"--output-type", !gguf && !o.output_type.empty()},
      {"--embedding-type", !gguf && !o.embedding_type.empty()},
      {"--keep-output", !gguf && o.keep_output},
      {"--pure", !gguf && o.pure},
  };
  for (const auto& [flag, is_given] : given) {
    if (is_given) {
      return make_error(ErrorCode::kUsage, "{} is not for --format {} and --method {}", flag,
                        o.format, o.method);
    }
  }
  if (gguf) return quantize(o);
  FolderOptions folder;
  folder.in = o.in;
  folder.out = o.out;
  folder.scheme = {o.format, o.scheme, {}, {}};
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

void add_quantize(CLI::App& root, Selected& selected) {
  auto o = std::make_shared<Options>();  // shared: the parser's callback and the action outlive
                                         // this call
  CLI::App* c = add_command(
      root, "quantize", "Write a model in a smaller type: as GGUF, or as a folder for GPU engines",
      "  weir quantize model-f16.gguf model-q4_k_m.gguf --type Q4_K_M --imatrix model.imatrix\n"
      "  weir quantize folder/ model.gguf --type Q5_K_M --tensor 'attn_v=q6_k'\n"
      "  weir quantize model.gguf out.gguf --type Q4_0 --dry-run\n"
      "  weir quantize folder/ out/ --format compressed-tensors --scheme FP8_DYNAMIC\n"
      "  weir quantize folder/ out/ --format awq --group-size 64\n"
      "  weir quantize model.gguf out.gguf --target-bpw 4.5 --imatrix model.imatrix --data "
      "text.txt\n");
  c->add_option("IN", o->in, "a GGUF file, a Hugging Face folder, or a name")->required();
  c->add_option("OUT", o->out, "the GGUF file or the folder to write")->required();
  c->add_option("--type", o->type, "of GGUF: Q4_K_M, Q8_0, IQ4_XS ...: a type, or a mix of types");
  add_mixed_options(c, o->mixed);
  c->add_option("--format", o->format, "gguf (default), compressed-tensors, gptq or awq");
  c->add_option(
      "--scheme", o->scheme,
      "of the other formats: W4A16, W4A16_ASYM, W8A16, W8A8, FP8, FP8_DYNAMIC, FP8_BLOCK, NVFP4, "
      "NVFP4A16, MXFP4, MXFP4A16");
  c->add_option("--group-size", o->group_size,
                "weights that share a scale in W4A16 and W8A16: 32, 64 or 128 (default)");
  CLI::Option* symmetric = c->add_flag("--symmetric", o->symmetric, "no zero points");
  c->add_flag("--asymmetric", o->asymmetric, "a zero point for each group")->excludes(symmetric);
  c->add_option("--imatrix", o->imatrix, "importance of columns, as weir imatrix writes it");
  std::vector<std::string> methods(kFolderMethods.begin(), kFolderMethods.end());
  methods.insert(methods.begin(), "search");
  c->add_option(
       "--method", o->method,
       "search: scales and codes with the least weighted error; gptq: then codes anew, each "
       "column making good the errors of those before it; of the other formats also awq, "
       "smoothquant: scales of columns folded into norms before")
      ->check(CLI::IsMember(methods))
      ->capture_default_str();
  c->add_option("--alpha", o->alpha,
                "of smoothquant: how much of the inputs' outliers goes to the weights (0.5)")
      ->check(CLI::Range(0.0F, 1.0F));
  c->add_option("--moments", o->moments, "second moments, as weir imatrix --moments writes them");
  c->add_option("--tensor", o->tensors,
                "EXPRESSION=TYPE: for tensors whose name the regular expression finds; repeatable, "
                "the first that matches wins");
  c->add_option("--output-type", o->output_type, "type of the output matrix");
  c->add_option("--embedding-type", o->embedding_type, "type of the token embedding");
  c->add_flag("--keep-output", o->keep_output,
              "leave the output matrix (or the embedding that serves as it) as it is");
  c->add_flag("--pure", o->pure, "one type for all, without the mix's exceptions");
  c->add_flag("--dry-run", o->dry_run, "only say what would be written");
  add_threads_option(c, o->threads);
  c->add_flag("--json", o->json, "one JSON document");
  c->callback([o, &selected] { selected.action = [o] { return quantize_any(*o); }; });
}

}  // namespace weir::cli
