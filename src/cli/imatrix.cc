// weir imatrix: which columns of a model's matrices matter, from a calibration text.
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <memory>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/load.h"
#include "cli/model_path.h"
#include "cli/outputs.h"
#include "cli/terminal.h"
#include "ops/imatrix/collect.h"
#include "os/cpu.h"
#include "text/json.h"

namespace weir::cli {
namespace {

constexpr uint64_t kMaxTextBytes = uint64_t{1} << 30;
// Below this the columns that a text happens to use decide too much: on SmolLM2-135M the sums of
// two halves of a text still differ visibly.
constexpr uint32_t kFewChunks = 50;

struct Options {
  std::string model;
  std::string load_type;
  std::string data;
  std::string out;
  std::string add;
  std::string moments;
  int32_t context_tokens = 512;
  int64_t chunks = 0;
  int threads = 0;
  bool json = false;
};

struct Coverage {
  size_t experts = 0;
  size_t unseen = 0;
  std::string worst;  // the matrix with the most experts unseen
};

Coverage coverage(const ops::ImportanceMatrix& m) {
  Coverage c;
  size_t most = 0;
  for (const ops::ImportanceEntry& e : m.entries) {
    if (e.counts.size() < 2) continue;
    c.experts += e.counts.size();
    c.unseen += e.unseen();
    if (e.unseen() <= most) continue;
    most = e.unseen();
    c.worst = e.name;
  }
  return c;
}

// What was taken; text_chunks: that the text has.
std::string few_chunks(const Options& o, const ops::ImportanceMatrix& m, uint64_t text_chunks) {
  if (!o.add.empty())
    return fmt::format("{} chunks of {} tokens were taken in all", m.chunks, m.chunk_tokens);
  if (m.chunks < text_chunks) {
    return fmt::format("{} of the text's {} chunks of {} tokens were taken (--chunks)", m.chunks,
                       text_chunks, m.chunk_tokens);
  }
  return fmt::format("the text has {} chunks of {} tokens", m.chunks, m.chunk_tokens);
}

std::vector<std::string> warnings(const Options& o, const ops::ImportanceMatrix& m,
                                  const Coverage& c, uint64_t text_chunks) {
  std::vector<std::string> out;
  if (m.chunks < kFewChunks) {
    out.push_back(
        fmt::format("{}; {} or more, of the kind that the model will see, give steadier importance",
                    few_chunks(o, m, text_chunks), kFewChunks));
  }
  if (c.unseen > 0) {
    out.push_back(
        fmt::format("{} of {} experts' matrices never met a token, most of them in {}; "
                    "take more, or more varied, text",
                    c.unseen, c.experts, c.worst));
  }
  return out;
}

// text_chunks: whole ones, of which --chunks may take some.
Result<ops::ImportanceMatrix> collect(const Options& o, std::vector<ops::InputMoments>* moments,
                                      uint64_t& text_chunks) {
  WEIR_ASSIGN(const std::string text, read_input(o.data, kMaxTextBytes));
  LoadRequest request;
  request.model = o.model;
  request.load_type = o.load_type;
  request.threads = o.threads;
  request.kv_tokens = o.context_tokens;
  WEIR_ASSIGN(const auto model, load_model(request));
  const std::vector<int32_t> tokens =
      model->tokenizer().encode(text, {.add_bos_eos = true, .parse_special = false});
  text_chunks = tokens.size() / static_cast<size_t>(o.context_tokens);
  const SystemClock clock;
  ProgressBar bar("imatrix", 1000, clock);
  ops::CollectOptions options;
  options.context_tokens = o.context_tokens;
  options.max_chunks = o.chunks;
  options.threads = o.threads > 0 ? o.threads : os::usable_cores();
  return ops::collect_importance(*model, tokens, options, moments, [&](int64_t done, int64_t all) {
    bar.update(static_cast<uint64_t>(done * 1000 / all), fmt::format("chunk {} of {}", done, all));
  });
}

void print_json(const Options& o, const ops::ImportanceMatrix& m, const Coverage& c,
                const std::vector<std::string>& notes, double seconds) {
  text::Json root = text::Json::object();
  root.set("out", o.out);
  root.set("matrices", static_cast<int64_t>(m.entries.size()));
  root.set("chunks", static_cast<int64_t>(m.chunks));
  root.set("chunk_tokens", static_cast<int64_t>(m.chunk_tokens));
  root.set("experts", static_cast<int64_t>(c.experts));
  root.set("experts_unseen", static_cast<int64_t>(c.unseen));
  root.set("kv_cache_layers", static_cast<int64_t>(m.cache.size()));
  root.set("seconds", seconds);
  text::Json list = text::Json::array();
  for (const std::string& note : notes) list.push_back(note);
  root.set("warnings", std::move(list));
  fmt::print("{}\n", root.dump());
}

Result<int> imatrix(const Options& o) {
  const SystemClock clock;
  const int64_t start = clock.now_ns();
  WEIR_ASSIGN(const std::string path, resolve_model(o.model));
  std::vector<std::string> inputs = model_files(path);
  inputs.push_back(o.data);
  WEIR_TRY(check_outputs({{"--out", o.out}, {"--moments", o.moments}}, inputs));
  std::optional<ops::ImportanceMatrix> before;
  if (!o.add.empty()) {
    WEIR_ASSIGN(before, ops::read_imatrix(o.add));
  }
  bool lost_cache = false;
  std::vector<ops::InputMoments> moments;
  uint64_t text_chunks = 0;
  WEIR_ASSIGN(ops::ImportanceMatrix matrix,
              collect(o, o.moments.empty() ? nullptr : &moments, text_chunks));
  if (!o.moments.empty()) WEIR_TRY(ops::write_moments(moments, matrix.windows, o.moments));
  matrix.datasets = {std::filesystem::path(o.data).filename().string()};
  if (before) {
    const bool cached = !matrix.cache.empty();
    WEIR_TRY(ops::add_importance(*before, matrix));
    lost_cache = cached && before->cache.empty();
    before->chunk_tokens = matrix.chunk_tokens;
    matrix = std::move(*before);
  }
  WEIR_TRY(ops::write_imatrix(matrix, o.out));
  const double seconds = static_cast<double>(clock.now_ns() - start) * 1e-9;
  const Coverage c = coverage(matrix);
  std::vector<std::string> notes = warnings(o, matrix, c, text_chunks);
  if (lost_cache) {
    notes.push_back(fmt::format(
        "{} has no largest keys and values, so the sum has none: quantize --kv-cache needs them; "
        "collect it again",
        o.add));
  }
  for (const std::string& note : notes) fmt::print(stderr, "weir: warning: {}\n", note);
  if (o.json) {
    print_json(o, matrix, c, notes, seconds);
  } else {
    fmt::print("{}: {} matrices over {} chunks of {} tokens, {:.1f} s\n", o.out,
               matrix.entries.size(), matrix.chunks, matrix.chunk_tokens, seconds);
  }
  return kExitOk;
}

}  // namespace

void add_imatrix(CLI::App& root, Selected& selected) {
  auto o = std::make_shared<Options>();  // shared: the parser's callback and the action outlive
                                         // this call
  CLI::App* c = add_command(
      root, "imatrix",
      "Measure which columns matter, and the largest keys and values, for weir quantize --imatrix",
      "  weir imatrix model-f16.gguf --data calibration.txt -o model.imatrix.gguf\n"
      "  weir imatrix model-f16.gguf --data more.txt --add model.imatrix.gguf -o both.gguf\n");
  add_model_argument(c, o->model);
  add_load_type(c, o->load_type);
  c->add_option("--data", o->data, "the calibration text; - is standard input")->required();
  c->add_option("-o,--out", o->out, "the file to write, GGUF as llama.cpp reads it")->required();
  c->add_option("--add", o->add, "sums of an earlier run, to go on from");
  c->add_option(
       "--moments", o->moments,
       "also write the second moments of every input here, for weir quantize --method gptq and "
       "awq, and for --rotations; "
       "takes 4 bytes of memory for each pair of columns of each input")
      ->excludes("--add");
  c->add_option("--ctx", o->context_tokens, "tokens of a chunk")
      ->check(CLI::Range(4, 1 << 20))
      ->capture_default_str();
  c->add_option("--chunks", o->chunks, "use only the first chunks")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40));
  add_threads_option(c, o->threads);
  c->add_flag("--json", o->json, "one JSON document");
  c->callback([o, &selected] { selected.action = [o] { return imatrix(*o); }; });
}

}  // namespace weir::cli
