// weir quantize to GGUF: from what the command line says to the file and the report.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <optional>

#include "base/clock.h"
#include "checkpoint/open.h"
#include "cli/command.h"
#include "cli/load.h"
#include "cli/model_path.h"
#include "cli/outputs.h"
#include "cli/quantize_options.h"
#include "cli/quantize_report.h"
#include "cli/terminal.h"
#include "engine/model_identity.h"
#include "ops/quantize/channel_scales.h"
#include "ops/quantize/parts.h"
#include "ops/quantize/plan_scales.h"
#include "ops/quantize/quantize.h"
#include "ops/quantize/rotate_model.h"
#include "os/cpu.h"
#include "os/signals.h"

namespace weir::cli {
namespace {

Result<ops::MixOptions> mix_options(const QuantizeOptions& o) {
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

// Without --type what is not chosen otherwise is Q8_0, which is safe anywhere.
Result<ops::Mix> mix_of(const QuantizeOptions& o) {
  if (o.mixed.wanted() == !o.type.empty()) {
    return make_error(ErrorCode::kUsage,
                      "give one of --type, --target-bpw and --max-kl: what is to be written");
  }
  WEIR_ASSIGN(ops::Mix mix, ops::find_mix(o.type.empty() ? "Q8_0" : o.type));
  if (o.type.empty()) mix.name = "mixed";
  return mix;
}

// What is read must not be what is written: it would be lost at the end.
Status check_out(const QuantizeOptions& o, const std::string& in,
                 const std::vector<std::string>& out) {
  std::error_code ec;
  const std::vector<std::string> sources = model_files(in);
  for (const std::string& file : out) {
    if (std::filesystem::is_directory(file, ec))
      return make_error(ErrorCode::kUsage, "{} is a folder; name the file to write", file);
    if (!std::filesystem::exists(file, ec)) continue;
    for (const std::string& source : sources) {
      if (std::filesystem::equivalent(source, file, ec)) {
        return make_error(ErrorCode::kUsage, "{} is the source itself; write to another file",
                          file);
      }
    }
    for (const std::string& read : {o.imatrix, o.moments, o.mixed.data, o.mixed.sensitivity}) {
      if (!read.empty() && std::filesystem::equivalent(read, file, ec))
        return make_error(ErrorCode::kUsage, "{} is read as well; write to another file", file);
    }
  }
  return {};
}

// Before what takes minutes. Sensitivities that are there may be complete, and only read.
Status check_places(const QuantizeOptions& o) {
  std::error_code ec;
  WEIR_TRY(check_writable("OUT", o.out));
  if (o.mixed.sensitivity.empty() || std::filesystem::exists(o.mixed.sensitivity, ec)) return {};
  return check_writable("--sensitivity", o.mixed.sensitivity);
}

// "500M", "2G": as llama.cpp's gguf-split has them, of 1000.
Result<uint64_t> split_bytes(const std::string& text) {
  uint64_t count = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, count);
  const bool giga = stop + 1 == end && *stop == 'G';
  const bool mega = stop + 1 == end && *stop == 'M';
  constexpr uint64_t kMost = 1'000'000;  // a petabyte
  if (error != std::errc() || (!giga && !mega) || count == 0 || count > kMost) {
    return make_error(ErrorCode::kUsage, "--split-max-size '{}' is not N(M|G), such as 500M or 2G",
                      text);
  }
  return count * (giga ? 1'000'000'000 : 1'000'000);
}

Result<ops::OutputOptions> output_options(const QuantizeOptions& o) {
  ops::OutputOptions out;
  out.path = o.out;
  out.resume = o.resume;
  if (o.split_max_size.empty() && o.split_max_tensors == 0) return out;
  out.split.emplace();
  if (!o.split_max_size.empty()) {
    WEIR_ASSIGN(out.split->max_bytes, split_bytes(o.split_max_size));
  }
  if (o.split_max_tensors > 0) out.split->max_tensors = o.split_max_tensors;
  return out;
}

// What the files of calibration hold; Calibration borrows it.
struct CalibrationFiles {
  std::optional<ops::ImportanceMatrix> importance;
  std::optional<ops::Moments> moments;

  ops::Calibration calibration(bool gptq) const {
    return {importance ? &*importance : nullptr, moments ? &*moments : nullptr, gptq};
  }
};

bool uses_gptq(const QuantizeOptions& o) { return o.method.ends_with("gptq"); }
bool uses_awq(const QuantizeOptions& o) { return o.method.starts_with("awq"); }

Status check_method(const QuantizeOptions& o) {
  if (o.method.starts_with("smoothquant")) {
    return make_error(ErrorCode::kUsage,
                      "--method {} is for engines that round the inputs of matrices to 8 bits with "
                      "fixed scales; for GGUF take awq",
                      o.method);
  }
  if (uses_gptq(o) && o.moments.empty()) {
    return make_error(ErrorCode::kUsage,
                      "--method {} takes the second moments of the model's inputs: give them with "
                      "--moments (weir imatrix --moments makes them)",
                      o.method);
  }
  if (uses_awq(o) && o.imatrix.empty() && o.moments.empty()) {
    return make_error(ErrorCode::kUsage,
                      "--method awq takes what weir imatrix measures: give it with --imatrix, "
                      "--moments or both (weir imatrix MODEL --data TEXT -o IMATRIX --moments "
                      "MOMENTS makes them)");
  }
  return {};
}

std::optional<uint64_t> rotation_seed(const QuantizeOptions& o) {
  if (transform_type(o) == "hadamard") return std::nullopt;
  return o.seed.value_or(1);
}

Status check_rotations(const QuantizeOptions& o) {
  if (o.rotations.empty()) {
    if (!o.seed && !o.transform_type) return {};
    return make_error(ErrorCode::kUsage, "{} is of --rotations, which are not given",
                      o.seed ? "--seed" : "--transform-type");
  }
  if (std::count(o.rotations.begin(), o.rotations.end(), "R1") > 1 || o.rotations.size() > 2)
    return make_error(ErrorCode::kUsage, "--rotations {} names one twice: give R1 or R1,R2",
                      fmt::join(o.rotations, ","));
  if (std::find(o.rotations.begin(), o.rotations.end(), "R1") == o.rotations.end())
    return make_error(ErrorCode::kUsage, "--rotations R2 goes with R1: give R1,R2");
  if (o.seed && transform_type(o) == "hadamard")
    return make_error(ErrorCode::kUsage, "--seed is of random-hadamard; hadamard has no signs");
  if (uses_awq(o)) {
    return make_error(ErrorCode::kUsage,
                      "--method {} scales the channels that --rotations mix: take one of the two; "
                      "gptq goes with --rotations",
                      o.method);
  }
  if (o.mixed.wanted()) {
    return make_error(ErrorCode::kUsage,
                      "--target-bpw and --max-kl choose types by sensitivities of tensors as they "
                      "stand in IN, not of rotated ones; give --type");
  }
  if (!o.imatrix.empty() && o.moments.empty()) {
    return make_error(ErrorCode::kUsage,
                      "--imatrix is of channels before they are rotated; what rotated ones meet is "
                      "known from second moments: give them with --moments (weir imatrix "
                      "--moments makes them)");
  }
  return {};
}

Result<std::optional<ops::RotatedModel>> rotate(const QuantizeOptions& o,
                                                const checkpoint::OpenedModel& model,
                                                kernels::ThreadPool& pool) {
  std::optional<ops::RotatedModel> rotated;
  if (o.rotations.empty()) return rotated;
  if (model.fill) WEIR_TRY(model.fill(pool));
  ops::RotateOptions options;
  options.heads = std::find(o.rotations.begin(), o.rotations.end(), "R2") != o.rotations.end();
  options.seed = rotation_seed(o);
  WEIR_ASSIGN(rotated, ops::rotate_model(model.file, options));
  return rotated;
}

void warn_of_rotation(const QuantizeOptions& o, const gguf::File& source,
                      const ops::RotatedModel& rotated, std::vector<std::string>& warnings) {
  if (o.rotations.size() > 1 && rotated.head_layers == 0) {
    warnings.push_back(
        "R2 found no layer with a value matrix of its own: the residual stream alone is rotated");
  }
  const auto architecture = source.get_string("general.architecture");
  if (rotated.file && architecture.ok() && *architecture == "gemma") {
    warnings.push_back(
        "llama.cpp's reader of gemma models knows no output matrix, which the file has now: it "
        "runs in weir alone");
  }
}

Result<CalibrationFiles> read_calibration(const QuantizeOptions& o) {
  CalibrationFiles files;
  if (!o.imatrix.empty()) {
    WEIR_ASSIGN(files.importance, ops::read_imatrix(o.imatrix));
  }
  if (!o.moments.empty()) {
    WEIR_ASSIGN(files.moments, ops::Moments::open(o.moments));
  }
  return files;
}

// What the source was calibrated on, and what the new types and codes are.
Result<std::optional<ops::TextWindows>> windows_of(const gguf::File& source,
                                                   const ops::Calibration& calibration,
                                                   const ops::MixedPlan* mixed) {
  WEIR_ASSIGN(std::optional<ops::TextWindows> all, ops::read_windows(source));
  const std::optional<ops::TextWindows> none;
  for (const auto* more :
       {calibration.importance == nullptr ? &none : &calibration.importance->windows,
        calibration.moments == nullptr ? &none : &calibration.moments->windows(),
        mixed == nullptr ? &none : &mixed->windows}) {
    if (!*more) continue;
    if (!all) {
      all = *more;
    } else {
      WEIR_ASSIGN(all, ops::merge(*all, **more));
    }
  }
  return all;
}

// Size, time and number of each file of the source: a GGUF file with its other parts, or a
// folder's.
std::string source_stamp(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code ec;
  const bool folder = fs::is_directory(path, ec);
  const std::string name = fs::path(path).filename().string();
  const auto part_of_it = [&](const std::string& other) {  // NAME-00001-of-00003.gguf
    constexpr size_t kTail = std::string_view("00001-of-00003.gguf").size();
    return other == name ||
           (name.size() > kTail && other.size() == name.size() && name.ends_with(".gguf") &&
            other.compare(0, name.size() - kTail, name, 0, name.size() - kTail) == 0 &&
            other.ends_with(std::string_view(name).substr(name.size() - kTail + 5)));
  };
  std::vector<std::string> lines;
  const fs::path at = folder ? fs::path(path) : fs::absolute(path, ec).parent_path();
  for (const auto& entry : fs::directory_iterator(at, ec)) {
    const std::string other = entry.path().filename().string();
    struct stat info {};
    if ((!folder && !part_of_it(other)) || ::stat(entry.path().c_str(), &info) != 0) continue;
    lines.push_back(fmt::format("{} {} {}.{:09} {}\n", other, info.st_size, info.st_mtim.tv_sec,
                                info.st_mtim.tv_nsec, info.st_ino));
  }
  std::sort(lines.begin(), lines.end());
  return fmt::format("{}", fmt::join(lines, ""));
}

// AWQ's factors for the types of the plan.
Result<ops::ChannelScales> fold_scales(const gguf::File& file, ops::QuantizePlan& plan,
                                       const ops::Calibration& calibration,
                                       kernels::ThreadPool& pool,
                                       std::vector<std::string>& warnings) {
  WEIR_ASSIGN(ops::PlanScales places, ops::PlanScales::make(file, plan));
  const SystemClock clock;
  ProgressBar bar("scales", places.places().size(), clock);
  WEIR_ASSIGN(const ops::ChannelScales scales,
              ops::fold_awq(places, calibration, pool,
                            [&](uint64_t done, uint64_t /*all*/) { bar.update(done, ""); }));
  if (scales.unmeasured > 0 || places.left_out() > 0) {
    warnings.push_back(fmt::format(
        "scales were folded in {} places; of {} more {} were not measured, and {} others have "
        "tensors that stay as they are",
        scales.places, places.places().size() - scales.places, scales.unmeasured,
        places.left_out()));
  }
  return scales;
}

// Writes the files, or for a dry run says what they would be. file: the source, or what it became.
Status write_or_predict(const QuantizeOptions& o, const gguf::File& source, const gguf::File& file,
                        const ops::Calibration& calibration, kernels::ThreadPool& pool,
                        const ops::OutputOptions& output, QuantizeReport& report) {
  ops::Provenance from;
  from.version = WEIR_VERSION;
  from.source = std::filesystem::path(source.path()).filename().string();
  // Tensors of a folder need not be filled in for a dry run.
  if (!o.dry_run) from.source_identity = engine::model_identity(source);
  from.source_stamp = source_stamp(source.path());
  if (!o.moments.empty()) from.source_stamp += source_stamp(o.moments);
  from.importance_file = std::filesystem::path(o.imatrix).filename().string();
  if (o.method != "search") from.method = o.method;
  if (!o.rotations.empty()) {
    from.rotations = fmt::format("{}", fmt::join(o.rotations, ","));
    from.transform_type = transform_type(o);
    from.rotation_seed = rotation_seed(o);
  }
  from.moments_file = std::filesystem::path(o.moments).filename().string();
  WEIR_ASSIGN(from.windows, windows_of(source, calibration, report.mixed));
  WEIR_ASSIGN(const std::vector<ops::QuantizedPart> parts,
              ops::make_parts(file, report.plan, calibration, from, output.path, output.split));
  for (const ops::QuantizedPart& part : parts) report.files.push_back(part.path);
  WEIR_TRY(check_out(o, source.path(), report.files));
  if (o.dry_run) {
    report.predicted = predict_speed(file, report.plan, pool);
    return {};
  }
  const SystemClock clock;
  const os::LastWords words(last_words("what is written", output.path + ".partial"));
  ProgressBar bar("quantize", report.plan.source_bytes, clock);
  WEIR_ASSIGN(const ops::Written written,
              ops::write_quantized(file, report.plan, calibration, from, pool, output,
                                   [&](const ops::QuantizeProgress& p) {
                                     bar.update(p.done_bytes, std::string(p.tensor));
                                   }));
  report.taken_over = written.taken_over;
  if (!written.discarded.empty()) {
    report.warnings.push_back(
        fmt::format("an unfinished run was there and did not count: {}", written.discarded));
    fmt::print(stderr, "weir: warning: {}\n", report.warnings.back());
  }
  return {};
}

}  // namespace

Result<int> quantize_gguf(const QuantizeOptions& o) {
  const SystemClock clock;
  const int64_t start = clock.now_ns();
  WEIR_TRY(check_method(o));
  WEIR_TRY(check_rotations(o));
  WEIR_ASSIGN(const ops::Mix mix, mix_of(o));
  WEIR_ASSIGN(ops::MixOptions options, mix_options(o));
  WEIR_ASSIGN(const std::string path, resolve_model(o.in));
  WEIR_ASSIGN(const ops::OutputOptions output, output_options(o));
  if (!output.split) WEIR_TRY(check_out(o, path, {o.out}));
  if (!o.dry_run) WEIR_TRY(check_places(o));
  WEIR_ASSIGN(const CalibrationFiles files, read_calibration(o));
  const ops::Calibration calibration = files.calibration(uses_gptq(o));
  WEIR_ASSIGN(checkpoint::OpenedModel model, checkpoint::open_model(path));
  kernels::ThreadPool pool(o.threads > 0 ? o.threads : os::usable_cores());
  WEIR_ASSIGN(std::optional<ops::RotatedModel> rotated, rotate(o, model, pool));
  const gguf::File& file = rotated && rotated->file ? *rotated->file : model.file;
  WEIR_ASSIGN(ops::QuantizePlan plan, ops::plan_quantize(file, mix, options, calibration));
  if (rotated) {
    plan.lender = &model.file;
    WEIR_TRY(ops::transform_plan(plan, std::move(rotated->transforms), calibration));
  } else if (model.fill && (!o.dry_run || o.mixed.wanted())) {
    WEIR_TRY(model.fill(pool));
  }
  std::optional<ops::MixedPlan> mixed;
  if (o.mixed.wanted()) {
    WEIR_ASSIGN(mixed, choose_mixed(o.mixed, file, plan, calibration, pool, options));
    WEIR_ASSIGN(plan, ops::plan_quantize(file, mix, options, calibration));
  }
  std::optional<ops::ChannelScales> scales;
  std::vector<std::string> warnings;
  if (uses_awq(o) && !o.dry_run) {
    WEIR_ASSIGN(scales, fold_scales(file, plan, calibration, pool, warnings));
  }
  if (rotated) warn_of_rotation(o, model.file, *rotated, warnings);
  QuantizeReport report = report_of(o, plan, calibration, mixed ? &*mixed : nullptr);
  report.scales = scales;
  report.rotated = rotated ? &*rotated : nullptr;
  report.warnings.insert(report.warnings.end(), warnings.begin(), warnings.end());
  for (const std::string& w : report.warnings) fmt::print(stderr, "weir: warning: {}\n", w);
  WEIR_TRY(write_or_predict(o, model.file, file, ops::used_calibration(plan, calibration), pool,
                            output, report));
  report.seconds = static_cast<double>(clock.now_ns() - start) * 1e-9;
  o.json ? print_json(report) : print_text(report);
  return kExitOk;
}

}  // namespace weir::cli
