// weir bench: what this machine does with a model.
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "bench/engine_bench.h"
#include "bench/machine.h"
#include "cli/command.h"
#include "cli/load.h"
#include "engine/calibration.h"
#include "os/cpu.h"
#include "text/json.h"

namespace weir::cli {
namespace {

struct Options {
  std::string model;
  std::string load_type;
  bench::EngineBenchOptions bench;
  int threads = 0;
  KvTypeFlags kv;
  bool calibrate = false;
  bool json = false;
};

// KV cache that the steps of the cost model's fit have for themselves: 8 sequences of 256 tokens.
constexpr int64_t kCalibrationKvTokens = 2048;

// A row's share of the machine's limit, and the cost model; 0 without --calibrate.
struct Yardstick {
  bench::MachineLimits limits;
  bench::ModelCost cost;
  engine::Calibration steps;

  double fraction(const bench::EngineBenchRow& row) const {
    return bench::peak_fraction(limits, cost, row.test.starts_with("pp"), row.batch,
                                row.context_tokens, row.tokens_per_s);
  }
};

text::Json row_json(const bench::EngineBenchRow& row, double fraction) {
  text::Json o = text::Json::object();
  o.set("test", row.test);
  o.set("batch", static_cast<int64_t>(row.batch));
  o.set("context_tokens", static_cast<int64_t>(row.context_tokens));
  o.set("tok_s", row.tokens_per_s);
  o.set("min_tok_s", row.min_tokens_per_s);
  o.set("max_tok_s", row.max_tokens_per_s);
  if (fraction > 0) o.set("peak_fraction", fraction);
  return o;
}

void print_costs(const engine::Calibration& c) {
  const engine::StepCosts& k = c.model.costs();
  fmt::print(
      "step ms = {:.3f} + {:.5f} per prompt token + {:.5f} per decode token\n"
      "        + {:.7f} per cached token a decode reads + {:.9f} per pair of prompt and cached "
      "token\n"
      "fitted to {} steps in {:.0f} ms:\n",
      k.fixed_ms, k.prefill_token_ms, k.decode_token_ms, k.decode_kv_token_ms, k.prefill_kv_pair_ms,
      c.samples.size(), c.took_ms);
  for (const engine::StepSample& s : c.samples) {
    fmt::print("  {:>5} prompt, {:>2} decode, {:>6} read: {:>8.2f} ms, model {:>8.2f}\n",
               s.work.prefill_tokens, s.work.decode_tokens, s.work.decode_kv_tokens, s.ms,
               k.predict_ms(s.work));
  }
}

text::Json costs_json(const engine::Calibration& c) {
  const engine::StepCosts& k = c.model.costs();
  text::Json o = text::Json::object();
  o.set("fixed_ms", k.fixed_ms);
  o.set("prefill_token_ms", k.prefill_token_ms);
  o.set("decode_token_ms", k.decode_token_ms);
  o.set("decode_kv_token_ms", k.decode_kv_token_ms);
  o.set("prefill_kv_pair_ms", k.prefill_kv_pair_ms);
  text::Json samples = text::Json::array();
  for (const engine::StepSample& s : c.samples) {
    text::Json row = text::Json::object();
    row.set("prefill_tokens", s.work.prefill_tokens);
    row.set("decode_tokens", s.work.decode_tokens);
    row.set("decode_kv_tokens", s.work.decode_kv_tokens);
    row.set("prefill_kv_pairs", s.work.prefill_kv_pairs);
    row.set("ms", s.ms);
    row.set("model_ms", k.predict_ms(s.work));
    samples.push_back(std::move(row));
  }
  o.set("samples", std::move(samples));
  o.set("took_ms", c.took_ms);
  return o;
}

Result<int> bench_engine(const Options& o) {
  if (o.bench.prompt_tokens == 0 && o.bench.gen_tokens == 0)
    return make_error(ErrorCode::kUsage, "--prompt and --gen are both 0: nothing to measure");
  LoadRequest request;
  request.model = o.model;
  request.load_type = o.load_type;
  request.threads = o.threads;
  request.step_tokens = o.bench.step_tokens;
  request.kv_tokens = bench::required_kv_tokens(o.bench, engine::kPageTokens);
  if (o.calibrate) request.kv_tokens = std::max(request.kv_tokens, kCalibrationKvTokens);
  WEIR_ASSIGN(request.kv_types, o.kv.types());
  WEIR_ASSIGN(const std::unique_ptr<engine::LoadedModel> model, load_model(request));
  const SystemClock clock;
  Yardstick yardstick;
  if (o.calibrate) {
    yardstick.limits =
        bench::measure_machine(model->threads(), model->isa(), os::detect_cpu(), clock);
    yardstick.cost =
        bench::model_cost(model->file(), model->config().kv_bytes_per_token(request.kv_types));
    WEIR_ASSIGN(yardstick.steps, engine::calibrate(model->runner(), clock));
  }
  if (!o.json) {
    fmt::print("{}, {} thread(s), kernels {}; median of {}{}\n", o.model, model->threads(),
               kernels::isa_name(model->isa()), o.bench.reps,
               o.bench.warmup ? " after one warm-up" : "");
    if (o.calibrate) {
      fmt::print("limits measured now: {:.1f} GB/s read, {:.0f} int8 GOPS\n",
                 yardstick.limits.read_bytes_per_s * 1e-9, yardstick.limits.int8_ops_per_s * 1e-9);
      print_costs(yardstick.steps);
    }
    fmt::print("{:<16} {:>5} {:>12} {:>12} {:>12}{}\n", "test", "batch", "tok/s", "min", "max",
               o.calibrate ? "   of the limit" : "");
  }
  const auto print_row = [&](const bench::EngineBenchRow& row) {
    if (o.json) return;
    fmt::print("{:<16} {:>5} {:>12.2f} {:>12.2f} {:>12.2f}", row.test, row.batch, row.tokens_per_s,
               row.min_tokens_per_s, row.max_tokens_per_s);
    const double fraction = yardstick.fraction(row);
    fmt::print("{}\n", fraction > 0 ? fmt::format(" {:>13.1f}%", fraction * 100) : "");
    std::fflush(stdout);
  };
  WEIR_ASSIGN(const std::vector<bench::EngineBenchRow> rows,
              bench::bench_engine(model->runner(), o.bench, clock, print_row));
  if (o.json) {
    text::Json list = text::Json::array();
    for (const bench::EngineBenchRow& row : rows)
      list.push_back(row_json(row, yardstick.fraction(row)));
    text::Json root = text::Json::object();
    root.set("model", o.model);
    root.set("threads", static_cast<int64_t>(model->threads()));
    root.set("isa", std::string(kernels::isa_name(model->isa())));
    root.set("kv_type_k", std::string(kernels::kv_type_name(request.kv_types.k)));
    root.set("kv_type_v", std::string(kernels::kv_type_name(request.kv_types.v)));
    if (o.calibrate) {
      root.set("read_gb_s", yardstick.limits.read_bytes_per_s * 1e-9);
      root.set("int8_gops", yardstick.limits.int8_ops_per_s * 1e-9);
      root.set("step_costs", costs_json(yardstick.steps));
    }
    root.set("rows", std::move(list));
    fmt::print("{}\n", root.dump());
  }
  return kExitOk;
}

struct MachineOptions {
  int threads = 0;
  bool json = false;
};

Result<int> bench_machine(const MachineOptions& o) {
  WEIR_ASSIGN(const kernels::Isa isa, chosen_isa());
  const int threads = o.threads > 0 ? o.threads : os::usable_cores();
  const SystemClock clock;
  const bench::MachineLimits limits = bench::measure_machine(threads, isa, os::detect_cpu(), clock);
  const std::string cpu = os::cpu_model_name();
  if (o.json) {
    const auto giga = [](double per_s) {
      return per_s > 0 ? text::Json(per_s * 1e-9) : text::Json(nullptr);
    };
    text::Json root = text::Json::object();
    root.set("cpu", cpu);
    root.set("threads", static_cast<int64_t>(threads));
    root.set("isa", std::string(kernels::isa_name(isa)));
    root.set("read_gb_s", giga(limits.read_bytes_per_s));
    root.set("int8_gops", giga(limits.int8_ops_per_s));
    root.set("f32_gflops", giga(limits.f32_ops_per_s));
    root.set("bf16_gflops", giga(limits.bf16_ops_per_s));
    fmt::print("{}\n", root.dump());
    return kExitOk;
  }
  const auto line = [](const char* what, double per_s, const char* unit) {
    if (per_s > 0) fmt::print("{:<10} {:>8.1f} {}\n", what, per_s * 1e-9, unit);
    if (per_s <= 0) fmt::print("{:<10} {:>8}\n", what, "none");
  };
  fmt::print("{}, {} thread(s), kernels {}; best of twenty short runs\n", cpu, threads,
             kernels::isa_name(isa));
  line("read", limits.read_bytes_per_s, "GB/s");
  line("int8 dot", limits.int8_ops_per_s, "GOPS");
  line("f32 FMA", limits.f32_ops_per_s, "GFLOPS");
  line("bf16 dot", limits.bf16_ops_per_s, "GFLOPS");
  return kExitOk;
}

void add_machine(CLI::App& bench, Selected& selected) {
  auto o = std::make_shared<MachineOptions>();  // shared: as in add_engine
  CLI::App* c = add_command(bench, "machine", "The limits that rows are set against, measured now",
                            "  weir bench machine\n"
                            "  WEIR_ISA=avx2 weir bench machine --threads 1 --json\n");
  c->add_option("--threads", o->threads, "threads (default: the cores this process may use)")
      ->check(CLI::Range(1, 256));
  c->add_flag("--json", o->json, "one JSON document");
  c->callback([o, &selected] { selected.action = [o] { return bench_machine(*o); }; });
}

void add_engine(CLI::App& bench, Selected& selected) {
  auto o = std::make_shared<Options>();  // shared: the parser's callback and the action outlive
                                         // this call
  CLI::App* c = add_command(
      bench, "engine", "Prefill and decode speed of a model, without a server",
      "  weir bench engine smollm2-135m-instruct\n"
      "  weir bench engine model.gguf --prompt 512 --gen 64 --batch 1,4,16 --reps 3 --json\n"
      "  weir bench engine model.gguf --prompt 0 --gen 32 --depth 8000\n");
  add_model_argument(c, o->model);
  add_load_type(c, o->load_type);
  c->add_option("--prompt", o->bench.prompt_tokens, "tokens of the prefill row, 0 for none")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  c->add_option("--gen", o->bench.gen_tokens, "tokens of each decode row, 0 for none")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  c->add_option("--batch", o->bench.batches, "concurrent sequences, a decode row for each")
      ->delimiter(',')
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  c->add_option("--batched-prompt", o->bench.batched_prompt_tokens,
                "cached tokens before a decode row of several sequences")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  c->add_option("--depth", o->bench.depth_tokens,
                "cached tokens before every row, in place of --batched-prompt")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  c->add_flag("--warmup,!--no-warmup", o->bench.warmup,
              "a run of each row that does not count (default: yes)");
  c->add_option("--reps", o->bench.reps, "counted repetitions")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  add_threads_option(c, o->threads);
  add_kv_type_options(c, o->kv);
  c->add_flag("--calibrate", o->calibrate,
              "measure the machine first, say how much of its limit each row reaches, and what "
              "a step costs by its work");
  c->add_flag("--json", o->json, "one JSON document");
  c->callback([o, &selected] { selected.action = [o] { return bench_engine(*o); }; });
}

}  // namespace

void add_bench(CLI::App& root, Selected& selected) {
  CLI::App* bench =
      add_command(root, "bench", "Measure speed",
                  "  weir bench engine smollm2-135m-instruct --prompt 512 --gen 64 --batch 1,4,16\n"
                  "  weir bench machine\n"
                  "  weir bench load --url http://127.0.0.1:8080 --rate 4 --duration 60\n"
                  "  weir bench mock --ttft 50 --itl 10\n");
  bench->require_subcommand(1);
  add_engine(*bench, selected);
  add_machine(*bench, selected);
  add_bench_load(*bench, selected);
  add_bench_mock(*bench, selected);
  add_bench_report(*bench, selected);
}

}  // namespace weir::cli
