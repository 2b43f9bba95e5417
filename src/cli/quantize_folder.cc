#include "cli/quantize_folder.h"

#include <fmt/format.h>

#include <cstdio>

#include "base/clock.h"
#include "checkpoint/quantize_folder.h"
#include "cli/command.h"
#include "cli/model_path.h"
#include "cli/terminal.h"
#include "kernels/thread_pool.h"
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
  if (o.dry_run) {
    fmt::print("; nothing was written\n");
  } else {
    fmt::print(", {:.1f} s\n", seconds);
  }
}

Status write(const FolderOptions& o, const FolderPlan& plan) {
  kernels::ThreadPool pool(o.threads > 0 ? o.threads : os::usable_cores());
  const SystemClock clock;
  ProgressBar bar("quantize", plan.source_bytes(), clock);
  return plan.write(o.out, pool, [&](const FolderPlan::Progress& p) {
    bar.update(p.done_bytes, std::string(p.tensor));
  });
}

}  // namespace

Result<int> quantize_folder(const FolderOptions& o) {
  const SystemClock clock;
  const int64_t start = clock.now_ns();
  WEIR_ASSIGN(const checkpoint::QuantizeScheme scheme, checkpoint::find_scheme(o.scheme));
  WEIR_ASSIGN(const std::string path, resolve_model(o.in));
  WEIR_ASSIGN(const FolderPlan plan, FolderPlan::make(path, scheme));
  if (!plan.unknown().empty()) {
    fmt::print(stderr, "weir: warning: {} matrices are of no known use and stay as they are: {}\n",
               plan.unknown().size(), plan.unknown().front());
  }
  if (!o.dry_run) WEIR_TRY(write(o, plan));
  const double seconds = static_cast<double>(clock.now_ns() - start) * 1e-9;
  if (o.json) {
    print_json(o, plan, seconds);
  } else {
    print_text(o, plan, seconds);
  }
  return kExitOk;
}

}  // namespace weir::cli
