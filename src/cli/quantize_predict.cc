#include "cli/quantize_predict.h"

#include <fmt/format.h>

#include "base/clock.h"
#include "bench/machine.h"
#include "cli/load.h"
#include "model/config.h"
#include "os/cpu.h"

namespace weir::cli {
namespace {

using text::Json;

constexpr const char* kDecodeHow =
    "hypothesis: the bytes of all matrices as packed for the kernels, read once a token at the "
    "rate "
    "at which this machine sums a buffer of 128 MiB, measured now; one sequence, empty KV cache; "
    "nothing else counts";
constexpr const char* kPrefillHow =
    "hypothesis: the matrices of all layers at the rates of their kernels, measured now on zeros "
    "of "
    "the largest shape of each type, 512 tokens at once; attention, norms and the output matrix do "
    "not count";

Result<bench::SpeedPrediction> predict(const gguf::File& source, const ops::QuantizePlan& plan,
                                       kernels::Isa isa, kernels::ThreadPool& pool) {
  WEIR_ASSIGN(const model::Config config, model::read_config(source));
  std::vector<bench::ModelTensor> tensors;
  for (const ops::PlannedTensor& p : plan.tensors)
    tensors.push_back({p.source->name, p.type, p.source->shape});
  WEIR_ASSIGN(std::vector<bench::TypeWork> work,
              bench::work_of(tensors, config.expert.experts, config.expert.used, isa));
  const SystemClock clock;
  std::vector<double> rates;
  for (const bench::TypeWork& w : work) {
    double rate = 0;
    if (w.layer_weights > 0) {
      WEIR_ASSIGN(rate, bench::measure_matmul(w, isa, pool, clock));
    }
    rates.push_back(rate);
  }
  const auto threads = static_cast<int>(pool.threads());
  const double read =
      bench::measure_machine(threads, isa, os::detect_cpu(), clock).read_bytes_per_s;
  return bench::predict_speed(std::move(work), std::move(rates), read);
}

}  // namespace

PredictedSpeed predict_speed(const gguf::File& source, const ops::QuantizePlan& plan,
                             kernels::ThreadPool& pool) {
  PredictedSpeed p;
  p.threads = static_cast<int>(pool.threads());
  const auto isa = chosen_isa();
  if (!isa.ok()) {
    p.why_not = isa.error().message;
    return p;
  }
  p.isa = kernels::isa_name(*isa);
  auto speed = predict(source, plan, *isa, pool);
  if (speed.ok()) {
    p.speed = std::move(*speed);
  } else {
    p.why_not = speed.error().message;
  }
  return p;
}

void print_speed(const PredictedSpeed& p) {
  if (!p.speed) {
    fmt::print("no speed is predicted: {}\n", p.why_not);
    return;
  }
  const bench::SpeedPrediction& s = *p.speed;
  fmt::print("predicted on this machine, {} thread(s), kernels {}:\n", p.threads, p.isa);
  fmt::print("  decode  {:>9.1f} tok/s = {:.1f} GB/s / {:.1f} MB a token\n    {}\n",
             s.decode_tokens_per_s, s.read_bytes_per_s * 1e-9, s.bytes_per_token * 1e-6,
             kDecodeHow);
  fmt::print("  prefill {:>9.1f} tok/s =", s.prefill_tokens_per_s);
  const char* before = " 1 / (";
  for (size_t i = 0; i < s.work.size(); ++i) {
    if (s.weights_per_s[i] <= 0) continue;
    fmt::print("{}{:.1f} M weights {} / {:.1f} G a second", before, s.work[i].layer_weights * 1e-6,
               gguf::type_name(s.work[i].type), s.weights_per_s[i] * 1e-9);
    before = " + ";
  }
  fmt::print(")\n    {}\n", kPrefillHow);
}

Json speed_json(const PredictedSpeed& p) {
  Json j = Json::object();
  if (!p.speed) {
    j.set("why_not", p.why_not);
    return j;
  }
  const bench::SpeedPrediction& s = *p.speed;
  j.set("threads", int64_t{p.threads});
  j.set("isa", p.isa);
  j.set("decode_tok_s", s.decode_tokens_per_s);
  j.set("decode_how", kDecodeHow);
  j.set("bytes_per_token", s.bytes_per_token);
  j.set("read_gb_s", s.read_bytes_per_s * 1e-9);
  j.set("prefill_tok_s", s.prefill_tokens_per_s);
  j.set("prefill_how", kPrefillHow);
  Json types = Json::array();
  for (size_t i = 0; i < s.work.size(); ++i) {
    Json row = Json::object();
    row.set("type", gguf::type_name(s.work[i].type));
    row.set("bytes_per_token", s.work[i].bytes);
    row.set("layer_weights", s.work[i].layer_weights);
    row.set("weights_per_s", s.weights_per_s[i]);
    types.push_back(std::move(row));
  }
  j.set("types", std::move(types));
  return j;
}

}  // namespace weir::cli
