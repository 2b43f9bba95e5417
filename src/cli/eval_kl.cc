// weir eval kl: how far a model's predictions are from those of a base.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/load.h"
#include "cli/outputs.h"
#include "cli/overlap.h"
#include "cli/terminal.h"
#include "engine/loaded_model.h"
#include "ops/eval/fingerprint.h"
#include "ops/eval/kl.h"
#include "ops/eval/result.h"
#include "ops/eval/scored_rows.h"
#include "ops/eval/windows.h"
#include "text/json.h"

namespace weir::cli {
namespace {

constexpr uint64_t kMaxTextBytes = uint64_t{1} << 30;
constexpr int32_t kPromptTokens = 64;  // of a worst prompt: what is shown before the position

struct Options {
  std::string model;
  std::string load_type;
  std::string file;
  std::string base;
  std::string save_base;
  std::string base_model;
  std::string out;
  int32_t context_tokens = 512;
  int64_t chunks = 0;
  int threads = 0;
  KvTypeFlags kv;
  bool allow_overlap = false;
  bool json = false;
};

Result<std::unique_ptr<engine::LoadedModel>> load(const Options& o, const std::string& model,
                                                  int32_t context_tokens) {
  LoadRequest request;
  request.model = model;
  request.load_type = o.load_type;
  request.threads = o.threads;
  request.kv_tokens = context_tokens;
  WEIR_ASSIGN(request.kv_types, o.kv.types());
  return load_model(request);
}

// What `base` is to compute on the text.
Result<ops::KlBaseHeader> header_of(const Options& o, const std::string& name,
                                    engine::LoadedModel& base) {
  WEIR_ASSIGN(const std::string text, read_input(o.file, kMaxTextBytes));
  const text::Tokenizer& tokenizer = base.tokenizer();
  ops::KlBaseHeader h;
  h.tokens = tokenizer.encode(text, {.add_bos_eos = true, .parse_special = false});
  WEIR_ASSIGN(const int64_t chunks,
              ops::count_chunks(h.tokens.size(), o.context_tokens,
                                base.runner().max_context_tokens(), o.chunks));
  if (chunks > ops::KlBaseLimits::kChunks) {
    return make_error(ErrorCode::kLimit, "{} chunks are over the limit of {}: give --chunks",
                      chunks, ops::KlBaseLimits::kChunks);
  }
  h.tokens.resize(static_cast<size_t>(chunks * o.context_tokens));
  h.vocab = base.runner().vocab_size();
  h.context_tokens = o.context_tokens;
  h.chunks = static_cast<int32_t>(chunks);
  h.bos = tokenizer.adds_bos() ? tokenizer.bos().value_or(-1) : -1;
  h.vocabulary = ops::vocabulary_hash(tokenizer);
  h.text = ops::text_hash(text);
  h.model = base.identity();
  h.name = name;
  return h;
}

struct Measured {
  ops::KlBaseHeader header;
  ops::KlResult result;
  double seconds = 0;
  std::optional<double> overlap = std::nullopt;  // the larger one, of candidate and base
};

ops::KlProgress shown_by(ProgressBar& bar) {
  return [&bar](int64_t done, int64_t all, double kl) {
    bar.update(static_cast<uint64_t>(done * 1000 / all),
               kl > 0 ? fmt::format("KL {:.5f}", kl) : fmt::format("chunk {} of {}", done, all));
  };
}

Status check(const ops::KlBaseHeader& header, engine::LoadedModel& model, const Hash128* text) {
  return ops::check_kl_candidate(header, model.runner().vocab_size(),
                                 ops::vocabulary_hash(model.tokenizer()),
                                 model.runner().max_context_tokens(), text);
}

Result<std::optional<double>> overlap_of(const Options& o, const ops::KlBaseHeader& header,
                                         engine::LoadedModel& model) {
  return ops::check_overlap(model.file(), ops::hex(header.vocabulary), header.tokens,
                            o.allow_overlap);
}

Result<Measured> against_file(const Options& o, ops::KlBaseFile& base, engine::LoadedModel& model) {
  std::optional<Hash128> text;
  if (!o.file.empty()) {
    WEIR_ASSIGN(const std::string bytes, read_input(o.file, kMaxTextBytes));
    text = ops::text_hash(bytes);
  }
  WEIR_TRY(check(base.header(), model, text ? &*text : nullptr));
  const SystemClock clock;
  const int64_t start = clock.now_ns();
  ProgressBar bar("KL divergence", 1000, clock);
  Measured m;
  WEIR_ASSIGN(m.overlap, overlap_of(o, base.header(), model));
  WEIR_ASSIGN(m.result, ops::measure_kl(model.runner(), base, shown_by(bar)));
  m.header = base.header();
  m.seconds = static_cast<double>(clock.now_ns() - start) * 1e-9;
  return m;
}

Result<Measured> against_model(const Options& o, engine::LoadedModel& model) {
  WEIR_ASSIGN(const auto base, load(o, o.base_model, o.context_tokens));
  Measured m;
  WEIR_ASSIGN(m.header, header_of(o, o.base_model, *base));
  WEIR_TRY(check(m.header, model, nullptr));
  WEIR_ASSIGN(m.overlap, overlap_of(o, m.header, model));
  WEIR_ASSIGN(const std::optional<double> of_base, overlap_of(o, m.header, *base));
  m.overlap = std::max(m.overlap, of_base);
  const SystemClock clock;
  const int64_t start = clock.now_ns();
  ProgressBar bar("KL divergence", 1000, clock);
  WEIR_ASSIGN(m.result, ops::measure_kl(model.runner(), base->runner(), m.header, shown_by(bar)));
  m.seconds = static_cast<double>(clock.now_ns() - start) * 1e-9;
  return m;
}

ops::EvalScores summary_of(const ops::KlResult& r) {
  return {{"kl_mean", r.kl.value},
          {"kl_error", r.kl.error},
          {"kl_median", r.median},
          {"kl_p90", r.p90},
          {"kl_p99", r.p99},
          {"kl_p99.9", r.p999},
          {"kl_max", r.max},
          {"kl_min", r.min},
          {"top1", r.top1.value},
          {"top1_error", r.top1.error},
          {"ppl", r.perplexity.value},
          {"ppl_error", r.perplexity.error},
          {"ppl_base", r.base_perplexity.value},
          {"ppl_base_error", r.base_perplexity.error},
          {"ppl_ratio", r.ratio.value},
          {"ppl_ratio_error", r.ratio.error},
          {"delta_p", r.delta_p.value},
          {"delta_p_error", r.delta_p.error},
          {"delta_p_rms", r.delta_p_rms}};
}

ops::EvalItem item_of(const ops::KlBaseHeader& header, const text::Tokenizer& tokenizer,
                      const ops::KlChunk& c, size_t index) {
  ops::EvalItem item;
  item.id = fmt::format("chunk/{}", index);
  item.scores = {{"kl", c.kl},    {"kl_max", c.worst.kl},    {"top1", c.top1},
                 {"nll", c.loss}, {"nll_base", c.base_loss}, {"delta_p", c.delta_p}};
  const int32_t from = std::max(0, c.worst_position + 1 - kPromptTokens);
  const size_t at = index * static_cast<size_t>(header.context_tokens);
  item.prompt = tokenizer.decode(std::span<const int32_t>(header.tokens)
                                     .subspan(at + static_cast<size_t>(from),
                                              static_cast<size_t>(c.worst_position + 1 - from)),
                                 false);
  item.expected = tokenizer.decode({&c.worst.base_top, 1}, false);
  item.answer = tokenizer.decode({&c.worst.top, 1}, false);
  return item;
}

ops::EvalRun run_of(const Options& o, const Measured& m, engine::LoadedModel& model) {
  const ops::KlBaseHeader& h = m.header;
  ops::EvalRun run;
  run.model = {o.model, "local", ops::hex(model.identity()), ops::hex(h.vocabulary)};
  run.suite_name = "kl";
  run.suite_hash = ops::hex(ops::text_hash(fmt::format(
      "{} {} {} {} {}", ops::hex(h.model), ops::hex(h.text), h.context_tokens, h.chunks, h.bos)));
  run.params.set("base", h.name);
  run.params.set("context", int64_t{h.context_tokens});
  run.params.set("chunks", int64_t{h.chunks});
  if (m.overlap) run.params.set(ops::kOverlapParam, *m.overlap);
  ops::EvalTask task;
  task.name = "kl";
  task.kind = "kl";
  task.metric = "kl";
  task.higher_is_better = false;
  task.value = m.result.kl.value;
  task.error = m.result.kl.error;
  task.summary = summary_of(m.result);
  task.histogram = m.result.histogram;
  for (size_t i = 0; i < m.result.chunks.size(); ++i) {
    task.items.push_back(item_of(h, model.tokenizer(), m.result.chunks[i], i));
  }
  run.tasks.push_back(std::move(task));
  run.speed.seconds = m.seconds;
  run.speed.prompt_tokens = int64_t{h.context_tokens} * h.chunks;
  run.speed.tokens_per_s =
      m.seconds > 0 ? static_cast<double>(run.speed.prompt_tokens) / m.seconds : 0;
  return run;
}

void print_json(const Options& o, const Measured& m) {
  text::Json j = text::Json::object();
  j.set("model", o.model);
  j.set("base", m.header.name);
  for (const auto& [name, value] : summary_of(m.result)) j.set(name, value);
  j.set("scored_tokens", m.result.tokens);
  j.set("chunks", int64_t{m.header.chunks});
  j.set("context", int64_t{m.header.context_tokens});
  j.set("seconds", m.seconds);
  if (m.overlap) j.set(ops::kOverlapParam, *m.overlap);
  fmt::print("{}\n", j.dump());
}

void print_text(const Options& o, const Measured& m) {
  const ops::KlResult& r = m.result;
  fmt::print("{} against {}: {} chunks of {} tokens, {} scored, {:.1f} s\n", o.model, m.header.name,
             m.header.chunks, m.header.context_tokens, r.tokens, m.seconds);
  fmt::print("KL divergence  mean {:.6f} ± {:.6f} nats\n", r.kl.value, r.kl.error);
  fmt::print("               median {:.6f}  p90 {:.6f}  p99 {:.6f}  p99.9 {:.6f}  max {:.6f}\n",
             r.median, r.p90, r.p99, r.p999, r.max);
  fmt::print("same top-1     {:.3f} ± {:.3f} %\n", 100 * r.top1.value, 100 * r.top1.error);
  fmt::print("perplexity     {:.4f} ± {:.4f}, base {:.4f} ± {:.4f}, ratio {:.6f} ± {:.6f}\n",
             r.perplexity.value, r.perplexity.error, r.base_perplexity.value,
             r.base_perplexity.error, r.ratio.value, r.ratio.error);
  fmt::print("mean Δp        {:.4f} ± {:.4f} %, RMS {:.4f} %\n", 100 * r.delta_p.value,
             100 * r.delta_p.error, 100 * r.delta_p_rms);
  if (m.overlap && *m.overlap > ops::kMaxOverlap) print_overlap(*m.overlap);
}

Result<int> save(const Options& o) {
  WEIR_ASSIGN(const auto model, load(o, o.model, o.context_tokens));
  WEIR_ASSIGN(const ops::KlBaseHeader header, header_of(o, o.model, *model));
  WEIR_ASSIGN(const std::optional<double> overlap, overlap_of(o, header, *model));
  const SystemClock clock;
  ProgressBar bar("base", 1000, clock);
  WEIR_TRY(ops::save_kl_base(model->runner(), header, o.save_base, shown_by(bar)));
  fmt::print("{}: {} chunks of {} tokens of {}\n", o.save_base, header.chunks,
             header.context_tokens, o.model);
  if (overlap && *overlap > ops::kMaxOverlap) print_overlap(*overlap);
  return kExitOk;
}

Result<int> eval_kl(const Options& o) {
  const int ways = int{!o.base.empty()} + int{!o.save_base.empty()} + int{!o.base_model.empty()};
  if (ways != 1) {
    return make_error(ErrorCode::kUsage,
                      "give one of --base FILE (saved before), --base-model MODEL (runs now) and "
                      "--save-base FILE (MODEL is the base)");
  }
  if (o.base.empty() && o.file.empty()) {
    return make_error(ErrorCode::kUsage, "-f TEXT is missing; only --base brings its own text");
  }
  if (!o.base.empty() && o.chunks > 0) {
    return make_error(ErrorCode::kUsage,
                      "--chunks goes with --save-base or --base-model; a base file has its own");
  }
  WEIR_TRY(check_outputs_of_models({{"--save-base", o.save_base}, {"--out", o.out}},
                                   {o.model, o.base_model}, {o.file, o.base}));
  if (!o.save_base.empty() && !o.out.empty()) {
    return make_error(ErrorCode::kUsage,
                      "--out is of a result, and --save-base makes none: give it to the run with "
                      "--base");
  }
  if (!o.save_base.empty()) return save(o);
  std::optional<ops::KlBaseFile> base;
  int32_t context = o.context_tokens;
  if (!o.base.empty()) {
    WEIR_ASSIGN(base, ops::KlBaseFile::open(o.base));
    context = base->header().context_tokens;
  }
  WEIR_ASSIGN(const auto model, load(o, o.model, context));
  auto measured = base ? against_file(o, *base, *model) : against_model(o, *model);
  if (!measured.ok()) return std::move(measured).error();
  if (!o.out.empty()) WEIR_TRY(ops::write_eval_run(o.out, run_of(o, *measured, *model)));
  o.json ? print_json(o, *measured) : print_text(o, *measured);
  return kExitOk;
}

}  // namespace

void add_eval_kl(CLI::App& eval, Selected& selected) {
  auto o =
      std::make_shared<Options>();  // shared: the parser's callbacks and actions outlive this call
  CLI::App* kl = add_command(
      eval, "kl", "KL divergence from a base over the whole vocabulary, as llama-perplexity has it",
      "  weir eval kl base.gguf -f text.txt --save-base text.klb\n"
      "  weir eval kl small.gguf --base text.klb -o small.json\n"
      "  weir eval kl small.gguf -f text.txt --base-model base.gguf --chunks 20 --json\n");
  add_model_argument(kl, o->model);
  add_load_type(kl, o->load_type);
  kl->add_option("-f,--file", o->file, "the text; - is standard input");
  kl->add_option("--base", o->base, "a base's log-probabilities, written by --save-base");
  kl->add_option("--save-base", o->save_base,
                 "run MODEL as the base and keep its log-probabilities (2 bytes × vocabulary a "
                 "scored token)");
  kl->add_option("--base-model", o->base_model, "a base that runs beside MODEL");
  kl->add_option("--ctx", o->context_tokens, "tokens of a chunk")
      ->check(CLI::Range(4, 1 << 20))
      ->capture_default_str();
  kl->add_option("--chunks", o->chunks, "score only the first chunks")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 24));
  add_threads_option(kl, o->threads);
  add_kv_type_options(kl, o->kv);
  kl->add_option("-o,--out", o->out, "write the result, chunk by chunk, for weir eval compare");
  add_allow_overlap(kl, o->allow_overlap);
  kl->add_flag("--json", o->json, "one JSON document");
  kl->callback([o, &selected] { selected.action = [o] { return eval_kl(*o); }; });
}

}  // namespace weir::cli
