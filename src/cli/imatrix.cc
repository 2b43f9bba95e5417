// weir imatrix: which columns of a model's matrices matter, from a calibration text.
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <memory>

#include "base/clock.h"
#include "checkpoint/open.h"
#include "cli/command.h"
#include "cli/load.h"
#include "cli/model_path.h"
#include "cli/outputs.h"
#include "cli/quantize_report.h"
#include "cli/terminal.h"
#include "ops/imatrix/collect.h"
#include "os/cpu.h"
#include "os/signals.h"
#include "os/stale_temporaries.h"
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
  bool resume = false;
  bool json = false;

  std::string kept() const { return out + ".partial"; }
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

// Before the model is loaded: what --moments will write is known from the sizes of its matrices.
Result<uint64_t> check_moments_room(const Options& o, const std::string& path) {
  WEIR_ASSIGN(const checkpoint::OpenedModel model, checkpoint::open_model(path));
  const uint64_t bytes = ops::moments_file_bytes(model.file);
  WEIR_TRY(check_room("--moments", o.moments, bytes));
  return bytes;
}

struct Run {
  ops::Collected collected;
  uint64_t text_chunks = 0;        // whole ones, of which --chunks may take some
  std::vector<std::string> notes;  // said already
};

// moments_bytes: that are to be written on the disk of --out.
Result<Run> collect(const Options& o, uint64_t moments_bytes, std::optional<os::LastWords>& words) {
  WEIR_ASSIGN(const std::string text, read_input(o.data, kMaxTextBytes));
  LoadRequest request;
  request.model = o.model;
  request.load_type = o.load_type;
  request.threads = o.threads;
  request.kv_tokens = o.context_tokens;
  WEIR_ASSIGN(const auto model, load_model(request));
  const std::vector<int32_t> tokens =
      model->tokenizer().encode(text, {.add_bos_eos = true, .parse_special = false});
  Run run;
  run.text_chunks = tokens.size() / static_cast<size_t>(o.context_tokens);
  const SystemClock clock;
  ProgressBar bar("imatrix", 1000, clock);
  ops::CollectKeeping keeping;
  keeping.path = o.kept();
  keeping.clock = &clock;
  keeping.spare_bytes = moments_bytes;
  keeping.resume = o.resume;
  keeping.there = [&] { words.emplace(last_words("what is summed", o.kept())); };
  keeping.note = [&](std::string_view note) {
    fmt::print(stderr, "weir: warning: {}\n", note);
    run.notes.emplace_back(note);
  };
  ops::CollectOptions options;
  options.context_tokens = o.context_tokens;
  options.max_chunks = o.chunks;
  options.threads = o.threads > 0 ? o.threads : os::usable_cores();
  options.keeping = &keeping;
  WEIR_ASSIGN(run.collected,
              ops::collect_importance(*model, tokens, options, !o.moments.empty(),
                                      [&](int64_t done, int64_t all) {
                                        bar.update(static_cast<uint64_t>(done * 1000 / all),
                                                   fmt::format("chunk {} of {}", done, all));
                                      }));
  return run;
}

void print_json(const Options& o, const ops::ImportanceMatrix& m, const Coverage& c,
                int64_t taken_over, const std::vector<std::string>& notes, double seconds) {
  text::Json root = text::Json::object();
  root.set("out", o.out);
  root.set("matrices", static_cast<int64_t>(m.entries.size()));
  root.set("chunks", static_cast<int64_t>(m.chunks));
  root.set("chunk_tokens", static_cast<int64_t>(m.chunk_tokens));
  root.set("chunks_taken_over", taken_over);
  root.set("experts", static_cast<int64_t>(c.experts));
  root.set("experts_unseen", static_cast<int64_t>(c.unseen));
  root.set("kv_cache_layers", static_cast<int64_t>(m.cache.size()));
  root.set("seconds", seconds);
  text::Json list = text::Json::array();
  for (const std::string& note : notes) list.push_back(note);
  root.set("warnings", std::move(list));
  fmt::print("{}\n", root.dump());
}

// The sums of --add and these; says what the sum lacks.
Status add_before(const Options& o, ops::ImportanceMatrix& before, ops::ImportanceMatrix& matrix,
                  std::vector<std::string>& notes) {
  const bool cached = !matrix.cache.empty();
  WEIR_TRY(ops::add_importance(before, matrix));
  if (cached && before.cache.empty()) {
    notes.push_back(fmt::format(
        "{} has no largest keys and values, so the sum has none: quantize --kv-cache needs them; "
        "collect it again",
        o.add));
  }
  before.chunk_tokens = matrix.chunk_tokens;
  matrix = std::move(before);
  return {};
}

// What is asked for is looked at before anything is loaded. Bytes that --moments will take on the
// disk of --out.
Result<uint64_t> check(const Options& o) {
  WEIR_ASSIGN(const std::string path, resolve_model(o.model));
  std::vector<std::string> inputs = model_files(path);
  inputs.push_back(o.data);
  WEIR_TRY(check_outputs({{"--out", o.out}, {"--moments", o.moments}}, inputs));
  os::remove_stale_temporaries(o.out);
  if (o.moments.empty()) return uint64_t{0};
  WEIR_ASSIGN(const uint64_t bytes, check_moments_room(o, path));
  return share_a_disk(o.out, o.moments) ? bytes : 0;
}

Result<int> imatrix(const Options& o) {
  const SystemClock clock;
  const int64_t start = clock.now_ns();
  WEIR_ASSIGN(const uint64_t moments_bytes, check(o));
  std::optional<ops::ImportanceMatrix> before;
  if (!o.add.empty()) {
    WEIR_ASSIGN(before, ops::read_imatrix(o.add));
  }
  std::optional<os::LastWords> words;  // once there is something to go on with
  WEIR_ASSIGN(Run run, collect(o, moments_bytes, words));
  ops::ImportanceMatrix matrix = std::move(run.collected.matrix);
  if (!o.moments.empty())
    WEIR_TRY(ops::write_moments(run.collected.moments, matrix.windows, o.moments));
  matrix.datasets = {std::filesystem::path(o.data).filename().string()};
  std::vector<std::string> of_sum;
  if (before) WEIR_TRY(add_before(o, *before, matrix, of_sum));
  WEIR_TRY(ops::write_imatrix(matrix, o.out));
  words.reset();
  std::error_code ignored;
  std::filesystem::remove(o.kept(), ignored);
  const double seconds = static_cast<double>(clock.now_ns() - start) * 1e-9;
  const Coverage c = coverage(matrix);
  std::vector<std::string> notes = warnings(o, matrix, c, run.text_chunks);
  notes.insert(notes.end(), of_sum.begin(), of_sum.end());
  for (const std::string& note : notes) fmt::print(stderr, "weir: warning: {}\n", note);
  notes.insert(notes.begin(), run.notes.begin(), run.notes.end());
  if (o.json) {
    print_json(o, matrix, c, run.collected.taken_over, notes, seconds);
  } else {
    fmt::print("{}: {} matrices over {} chunks of {} tokens, {:.1f} s\n", o.out,
               matrix.entries.size(), matrix.chunks, matrix.chunk_tokens, seconds);
    if (run.collected.taken_over > 0) {
      fmt::print("  {} chunks were summed already, by an unfinished run\n",
                 run.collected.taken_over);
    }
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
  c->add_flag("--resume", o->resume,
              "a run that was killed goes on when it is given again, from what it kept in "
              "OUT.partial; with this anything else that is unfinished there is an error");
  add_threads_option(c, o->threads);
  c->add_flag("--json", o->json, "one JSON document");
  c->callback([o, &selected] { selected.action = [o] { return imatrix(*o); }; });
}

}  // namespace weir::cli
