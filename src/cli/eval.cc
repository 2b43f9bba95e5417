// weir eval: what a model knows: perplexity of a text, and raw logits for other tools.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/load.h"
#include "cli/outputs.h"
#include "cli/overlap.h"
#include "cli/terminal.h"
#include "engine/loaded_model.h"
#include "ops/eval/fingerprint.h"
#include "ops/eval/logits_dump.h"
#include "ops/eval/perplexity.h"
#include "ops/eval/windows.h"
#include "text/json.h"

namespace weir::cli {
namespace {

constexpr uint64_t kMaxTextBytes = uint64_t{1} << 30;

struct Options {
  std::string model;
  std::string load_type;
  std::string file;
  std::string out;
  int32_t context_tokens = 512;
  int64_t chunks = 0;
  int64_t max_tokens = 0;
  int32_t count = 200;
  int threads = 0;
  std::vector<std::string> kv_types{"f16"};  // of ppl, a row each
  KvTypeFlags kv;
  bool allow_overlap = false;
  bool json = false;
};

struct Loaded {
  std::unique_ptr<engine::LoadedModel> model;
  std::vector<int32_t> tokens;
};

Result<Loaded> load(const Options& o, int64_t kv_tokens, kernels::KvTypes kv_types) {
  WEIR_ASSIGN(const std::string text, read_input(o.file, kMaxTextBytes));
  LoadRequest request;
  request.model = o.model;
  request.load_type = o.load_type;
  request.threads = o.threads;
  request.kv_tokens = kv_tokens;
  request.kv_types = kv_types;
  Loaded loaded;
  WEIR_ASSIGN(loaded.model, load_model(request));
  loaded.tokens =
      loaded.model->tokenizer().encode(text, {.add_bos_eos = true, .parse_special = false});
  if (o.max_tokens > 0 && static_cast<int64_t>(loaded.tokens.size()) > o.max_tokens) {
    loaded.tokens.resize(static_cast<size_t>(o.max_tokens));
  }
  return loaded;
}

// Of the tokens that are scored.
Result<std::optional<double>> overlap_of(const Options& o, const Loaded& loaded) {
  const auto wanted = static_cast<size_t>(o.chunks) * static_cast<size_t>(o.context_tokens);
  const size_t used = o.chunks > 0 ? std::min(wanted, loaded.tokens.size()) : loaded.tokens.size();
  return ops::check_overlap(loaded.model->file(),
                            ops::hex(ops::vocabulary_hash(loaded.model->tokenizer())),
                            std::span(loaded.tokens).first(used), o.allow_overlap);
}

struct PerplexityRow {
  kernels::KvTypes kv_types;
  ops::Perplexity p;
  double seconds = 0;
  std::optional<double> overlap = std::nullopt;  // as check_overlap has it
};

Result<PerplexityRow> measure(const Options& o, const Loaded& loaded, kernels::KvTypes types) {
  WEIR_TRY(loaded.model->set_kv_types(types));
  const text::Tokenizer& tokenizer = loaded.model->tokenizer();
  ops::PerplexityOptions options;
  options.context_tokens = o.context_tokens;
  options.max_chunks = o.chunks;
  options.bos = tokenizer.adds_bos() ? tokenizer.bos().value_or(-1) : -1;
  const SystemClock clock;
  const int64_t start = clock.now_ns();
  PerplexityRow row{types, {}, 0};
  ProgressBar bar("perplexity", 1000, clock);
  const auto progress = [&bar](int64_t done, int64_t all, double so_far) {
    bar.update(static_cast<uint64_t>(done * 1000 / all), fmt::format("ppl {:.4f}", so_far));
  };
  WEIR_ASSIGN(row.p,
              ops::measure_perplexity(loaded.model->runner(), loaded.tokens, options, progress));
  row.seconds = static_cast<double>(clock.now_ns() - start) * 1e-9;
  return row;
}

text::Json row_json(const Options& o, const PerplexityRow& row, double ratio) {
  text::Json j = text::Json::object();
  j.set("kv_type_k", std::string(kernels::kv_type_name(row.kv_types.k)));
  j.set("kv_type_v", std::string(kernels::kv_type_name(row.kv_types.v)));
  j.set("perplexity", row.p.perplexity);
  j.set("ratio", ratio);
  j.set("error", row.p.error);
  j.set("chunks", row.p.chunks);
  j.set("scored_tokens", row.p.scored_tokens);
  j.set("context", static_cast<int64_t>(o.context_tokens));
  j.set("seconds", row.seconds);
  if (row.overlap) j.set(ops::kOverlapParam, *row.overlap);
  return j;
}

void print_row(const Options& o, const PerplexityRow& row, double ratio) {
  const bool several = o.kv_types.size() > 1;
  if (several) {
    fmt::print("k {:<4} v {:<4}  ", kernels::kv_type_name(row.kv_types.k),
               kernels::kv_type_name(row.kv_types.v));
  }
  fmt::print("ppl {:.4f} ± {:.4f}  ({} chunks of {} tokens, {} scored, {:.1f} s){}\n",
             row.p.perplexity, row.p.error, row.p.chunks, o.context_tokens, row.p.scored_tokens,
             row.seconds, several ? fmt::format("  {:.5f} of the first", ratio) : "");
  if (row.overlap && *row.overlap > ops::kMaxOverlap) print_overlap(*row.overlap);
  std::fflush(stdout);
}

// One row for each --kv-type; ratios are to the first.
Result<int> eval_perplexity(const Options& o) {
  std::vector<kernels::KvTypes> all;
  for (const std::string& name : o.kv_types) {
    const KvTypeFlags flags{name, o.kv.k, o.kv.v};
    WEIR_ASSIGN(const kernels::KvTypes types, flags.types());
    all.push_back(types);
  }
  double first = 0;
  text::Json rows = text::Json::array();
  WEIR_ASSIGN(const Loaded loaded, load(o, o.context_tokens, all.front()));
  WEIR_ASSIGN(const std::optional<double> overlap, overlap_of(o, loaded));
  for (const kernels::KvTypes types : all) {
    WEIR_ASSIGN(PerplexityRow row, measure(o, loaded, types));
    row.overlap = overlap;
    if (first == 0) first = row.p.perplexity;
    const double ratio = row.p.perplexity / first;
    if (!o.json) print_row(o, row, ratio);
    rows.push_back(row_json(o, row, ratio));
  }
  if (!o.json) return kExitOk;
  if (all.size() == 1) {
    fmt::print("{}\n", rows.items().front().dump());
    return kExitOk;
  }
  text::Json root = text::Json::object();
  root.set("rows", std::move(rows));
  fmt::print("{}\n", root.dump());
  return kExitOk;
}

Result<int> eval_logits(const Options& o) {
  WEIR_TRY(check_outputs_of_models({{"--out", o.out}}, {o.model}, {o.file}));
  WEIR_ASSIGN(const kernels::KvTypes types, o.kv.types());
  WEIR_ASSIGN(Loaded loaded, load(o, o.count, types));
  if (static_cast<int64_t>(loaded.tokens.size()) < o.count) {
    return make_error(ErrorCode::kInvalidValue, "{} has {} tokens; --count asks for {}", o.file,
                      loaded.tokens.size(), o.count);
  }
  loaded.tokens.resize(static_cast<size_t>(o.count));
  WEIR_TRY(ops::dump_logits(loaded.model->runner(), loaded.tokens, o.out));
  fmt::print("{}: {} positions × {} logits\n", o.out, o.count, loaded.model->runner().vocab_size());
  return kExitOk;
}

}  // namespace

void add_eval(CLI::App& root, Selected& selected) {
  CLI::App* eval =
      add_command(root, "eval", "Measure what a model knows",
                  "  weir eval ppl smollm2-135m-instruct -f wikitext.txt\n"
                  "  weir eval logits model.gguf -f text.txt --count 200 -o logits.bin\n");
  eval->require_subcommand(1);
  auto o =
      std::make_shared<Options>();  // shared: the parser's callbacks and actions outlive this call
  CLI::App* ppl =
      add_command(*eval, "ppl", "Perplexity of a text, by the method of llama-perplexity",
                  "  weir eval ppl smollm2-135m-instruct -f wikitext.txt --ctx 512\n"
                  "  weir eval ppl model.gguf -f wikitext.txt --max-tokens 20000 --json\n"
                  "  weir eval ppl model.gguf -f wikitext.txt --kv-type f16,q8_0,q4_0\n");
  CLI::App* logits = add_command(
      *eval, "logits", "Write the logits of the first positions of a text to a file",
      "  weir eval logits model.gguf -f text.txt --count 200 -o logits.bin\n"
      "The file: int32 vocabulary, int32 positions, the token ids (int32), then f32 logits, "
      "a row a position.\n");
  for (CLI::App* c : {ppl, logits}) {
    add_model_argument(c, o->model);
    add_load_type(c, o->load_type);
    c->add_option("-f,--file", o->file, "the text; - is standard input")->required();
    add_threads_option(c, o->threads);
  }
  ppl->add_option("--ctx", o->context_tokens, "tokens of a chunk")
      ->check(CLI::Range(4, 1 << 20))
      ->capture_default_str();
  ppl->add_option("--chunks", o->chunks, "score only the first chunks")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40));
  ppl->add_option("--max-tokens", o->max_tokens, "use only the first tokens of the text")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40));
  ppl->add_option("--kv-type", o->kv_types,
                  "types of cached keys and values, a row each: f16, bf16, q8_0, q4_0")
      ->delimiter(',')
      ->capture_default_str();
  ppl->add_option("--kv-type-k", o->kv.k, "type of cached keys (default: --kv-type)");
  ppl->add_option("--kv-type-v", o->kv.v, "type of cached values (default: --kv-type)");
  add_allow_overlap(ppl, o->allow_overlap);
  ppl->add_flag("--json", o->json, "one JSON document");
  logits->add_option("--count", o->count, "positions")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  add_kv_type_options(logits, o->kv);
  logits->add_option("-o,--out", o->out, "the file to write")->required();
  ppl->callback([o, &selected] { selected.action = [o] { return eval_perplexity(*o); }; });
  logits->callback([o, &selected] { selected.action = [o] { return eval_logits(*o); }; });
  add_eval_kl(*eval, selected);
  add_eval_task(*eval, selected);
  add_eval_compare(*eval, selected);
}

}  // namespace weir::cli
