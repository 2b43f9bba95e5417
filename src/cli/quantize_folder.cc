#include "cli/quantize_folder.h"

#include <fmt/format.h>

#include <cstdio>

#include "base/clock.h"
#include "checkpoint/quantize_folder.h"
#include "cli/command.h"
#include "cli/model_path.h"
#include "cli/terminal.h"
#include "kernels/thread_pool.h"
#include "ops/quantize/channel_scales.h"
#include "ops/quantize/folder_calibration.h"
#include "os/atomic_folder.h"
#include "os/cpu.h"
#include "text/json.h"

namespace weir::cli {
namespace {

using checkpoint::FolderPlan;
using text::Json;

double bits_per_weight(const FolderPlan& plan) {
  return plan.weights() == 0
             ? 0
             : static_cast<double>(plan.bytes()) * 8 / static_cast<double>(plan.weights());
}

size_t quantized_tensors(const FolderPlan& plan) {
  size_t n = 0;
  for (const FolderPlan::Tensor& t : plan.tensors()) n += t.quantized ? 1U : 0U;
  return n;
}

Json tensor_list(const FolderPlan& plan) {
  Json list = Json::array();
  for (const FolderPlan::Tensor& t : plan.tensors()) {
    Json j = Json::object();
    j.set("name", t.name);
    j.set("bytes", static_cast<int64_t>(t.bytes));
    j.set("quantized", t.quantized);
    list.push_back(std::move(j));
  }
  return list;
}

void print_json(const FolderOptions& o, const FolderPlan& plan, double seconds) {
  Json j = Json::object();
  j.set("out", o.out);
  j.set("format", o.scheme.format);
  j.set("scheme", plan.scheme().name);
  j.set("method", o.method);
  j.set("kv_cache", plan.scheme().fp8_cache ? Json("fp8") : Json());
  j.set("dry_run", o.dry_run);
  j.set("source_bytes", static_cast<int64_t>(plan.source_bytes()));
  j.set("bytes", static_cast<int64_t>(plan.bytes()));
  j.set("weights", static_cast<int64_t>(plan.weights()));
  j.set("bits_per_weight", bits_per_weight(plan));
  j.set("quantized_tensors", static_cast<int64_t>(quantized_tensors(plan)));
  j.set("seconds", seconds);
  if (o.dry_run) j.set("tensors", tensor_list(plan));
  fmt::print("{}\n", j.dump());
}

void print_text(const FolderOptions& o, const FolderPlan& plan, double seconds) {
  fmt::print("{}: {} {}, {} to {} ({:.2f} bits per weight), {} of {} tensors quantized", o.out,
             o.scheme.format, plan.scheme().name, format_bytes(plan.source_bytes()),
             format_bytes(plan.bytes()), bits_per_weight(plan), quantized_tensors(plan),
             plan.tensors().size());
  if (plan.scheme().fp8_cache) fmt::print(", scales for an FP8 KV cache");
  if (o.dry_run) {
    fmt::print("; nothing was written\n");
  } else {
    fmt::print(", {:.1f} s\n", seconds);
  }
}

// The files that were measured.
struct Measurements {
  std::optional<ops::ImportanceMatrix> importance;
  std::optional<ops::Moments> moments;

  ops::Calibration calibration() const {
    return {importance ? &*importance : nullptr, moments ? &*moments : nullptr};
  }
  // Without moments that are for AWQ alone.
  ops::Calibration for_codes(bool gptq) const {
    ops::Calibration c = calibration();
    if (!gptq) c.moments = nullptr;
    return c;
  }
};

struct Methods {
  bool awq = false, smoothquant = false, gptq = false;
};

Methods methods_of(const std::string& method) {
  return {method.starts_with("awq"), method.starts_with("smoothquant"), method.ends_with("gptq")};
}

Status check_method(const FolderOptions& o, const checkpoint::QuantizeScheme& scheme) {
  using Scheme = checkpoint::QuantizeScheme;
  const Methods m = methods_of(o.method);
  if (scheme.fixed_inputs() && o.imatrix.empty()) {
    return make_error(
        ErrorCode::kUsage,
        "--scheme {} has fixed scales of activations: give what weir imatrix measures "
        "with --imatrix; {} needs nothing",
        scheme.name, scheme.whole ? "FP8_DYNAMIC" : "NVFP4A16");
  }
  if (scheme.fp8_cache && o.imatrix.empty()) {
    return make_error(ErrorCode::kUsage,
                      "--kv-cache fp8 takes the largest keys and values: measure them with weir "
                      "imatrix MODEL --data TEXT -o FILE, and give FILE with --imatrix");
  }
  if (!scheme.quantizes() && (o.method != "search" || !o.moments.empty())) {
    return make_error(ErrorCode::kUsage,
                      "--method and --moments are for a --scheme; --kv-cache alone leaves weights "
                      "as they are");
  }
  const bool needed = scheme.fixed_inputs() || scheme.fp8_cache;
  const bool calibrated =
      o.method != "search" || !o.moments.empty() || (!o.imatrix.empty() && !needed);
  if (calibrated && scheme.codes != Scheme::Codes::kInteger) {
    return make_error(ErrorCode::kUsage,
                      "{} has floats for codes, which are rounded to the nearest; --method, "
                      "--imatrix and --moments are for W4A16, W4A16_ASYM, W8A16 and W8A8",
                      scheme.name);
  }
  if (m.gptq && o.moments.empty()) {
    return make_error(ErrorCode::kUsage,
                      "--method {} takes second moments: give them with --moments (weir imatrix "
                      "--moments makes them)",
                      o.method);
  }
  if (!m.gptq && !m.awq && !o.moments.empty())
    return make_error(ErrorCode::kUsage, "--moments are for --method gptq and awq");
  if (m.awq && o.imatrix.empty() && o.moments.empty()) {
    return make_error(ErrorCode::kUsage,
                      "--method awq takes what weir imatrix measures: give it with --imatrix, "
                      "--moments or both");
  }
  if (m.smoothquant && scheme.activations != Scheme::Activations::kInt8) {
    return make_error(ErrorCode::kUsage,
                      "--method smoothquant is for W8A8, whose engines round the inputs; for {} "
                      "take awq",
                      scheme.name);
  }
  if (m.smoothquant && o.imatrix.empty()) {
    return make_error(ErrorCode::kUsage,
                      "--method smoothquant takes the largest inputs of columns: give them with "
                      "--imatrix (weir imatrix measures them)");
  }
  return {};
}

Result<Measurements> read_measurements(const FolderOptions& o, bool cache) {
  Measurements m;
  if (!o.imatrix.empty()) {
    WEIR_ASSIGN(m.importance, ops::read_imatrix(o.imatrix));
  }
  if (cache && m.importance->cache.empty()) {
    return make_error(ErrorCode::kUnsupported,
                      "{} has no largest keys and values, which --kv-cache fp8 takes; collect it "
                      "anew: weir imatrix MODEL --data TEXT -o FILE",
                      o.imatrix);
  }
  if (!o.moments.empty()) {
    WEIR_ASSIGN(m.moments, ops::Moments::open(o.moments));
  }
  return m;
}

Status fold(const FolderOptions& o, const Measurements& measured, FolderPlan& plan,
            kernels::ThreadPool& pool) {
  const Methods m = methods_of(o.method);
  if (!m.awq && !m.smoothquant) return {};
  const SystemClock clock;
  ProgressBar bar("scales", plan.places().size(), clock);
  const auto progress = [&](uint64_t done, uint64_t /*all*/) { bar.update(done, ""); };
  ops::ChannelScales scales;
  if (m.awq) {
    WEIR_ASSIGN(scales, ops::fold_awq(plan, measured.calibration(), pool, progress));
  } else {
    WEIR_ASSIGN(scales, ops::fold_smoothquant(plan, *measured.importance, o.alpha, progress));
  }
  if (scales.places == 0) {
    fmt::print(stderr, "weir: warning: no scales were folded: {} places, {} not measured\n",
               plan.places().size(), scales.unmeasured);
  }
  return {};
}

Status write(const FolderOptions& o, const Measurements& measured, FolderPlan& plan) {
  kernels::ThreadPool pool(o.threads > 0 ? o.threads : os::usable_cores());
  WEIR_TRY(fold(o, measured, plan, pool));
  const SystemClock clock;
  ProgressBar bar("quantize", plan.source_bytes(), clock);
  const ops::Calibration found = measured.for_codes(methods_of(o.method).gptq);
  ops::MeasuredMatrices matrices(found, pool);
  const bool any = found.importance != nullptr || found.moments != nullptr;
  WEIR_TRY(plan.write(o.out, pool, any ? &matrices : nullptr, [&](const FolderPlan::Progress& p) {
    bar.update(p.done_bytes, std::string(p.tensor));
  }));
  if (matrices.unknown() > 0) {
    fmt::print(stderr,
               "weir: warning: {} matrices were not measured; their codes are the nearest ones\n",
               matrices.unknown());
  }
  if (matrices.unseen() > 0) {
    fmt::print(stderr,
               "weir: warning: {} experts' matrices met no token of the calibration text; what "
               "their layer's other experts met stands for it; take more, or more varied, text\n",
               matrices.unseen());
  }
  return {};
}

}  // namespace

Result<int> quantize_folder(const FolderOptions& o) {
  const SystemClock clock;
  const int64_t start = clock.now_ns();
  WEIR_ASSIGN(const checkpoint::QuantizeScheme scheme, checkpoint::find_scheme(o.scheme));
  WEIR_TRY(check_method(o, scheme));
  // What the end will do is tried: factors take minutes.
  if (!o.dry_run) {
    const auto place = os::AtomicFolder::create(o.out);
    if (!place.ok()) return place.error().with_context("OUT");
  }
  WEIR_ASSIGN(const Measurements measured, read_measurements(o, scheme.fp8_cache));
  WEIR_ASSIGN(const std::string path, resolve_model(o.in));
  WEIR_ASSIGN(FolderPlan plan, FolderPlan::make(path, scheme));
  if (!plan.unknown().empty()) {
    fmt::print(stderr, "weir: warning: {} matrices are of no known use and stay as they are: {}\n",
               plan.unknown().size(), plan.unknown().front());
  }
  if (!o.dry_run) WEIR_TRY(write(o, measured, plan));
  const double seconds = static_cast<double>(clock.now_ns() - start) * 1e-9;
  if (o.json) {
    print_json(o, plan, seconds);
  } else {
    print_text(o, plan, seconds);
  }
  return kExitOk;
}

}  // namespace weir::cli
