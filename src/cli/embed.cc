// weir embed: the vectors of texts, on the terminal.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/load.h"
#include "engine/engine.h"
#include "text/truncate.h"
#include "text/utf8.h"

namespace weir::cli {
namespace {

constexpr uint64_t kMaxFileBytes = 256 << 20;
constexpr size_t kShownValues = 4;     // of each vector, for people
constexpr size_t kMaxTableTexts = 16;  // more make no readable table

struct Options {
  std::string model;
  std::string load_type;
  std::vector<std::string> texts;
  std::string file;
  std::string pooling;
  bool truncate = false;
  bool json = false;
  int threads = 0;
  int32_t step_tokens = 2048;
  KvTypeFlags kv;
};

struct Embedded {
  std::vector<std::vector<float>> vectors;  // [texts][dim]
  std::vector<size_t> tokens;               // [texts]
  double seconds = 0;
};

class Collector final : public engine::EventSink {
 public:
  struct Outcome {
    std::vector<std::vector<float>> vectors;
    std::optional<Error> error;
    bool done = false;
  };
  explicit Collector(Outcome& to) : to_(to) {}
  void on_delivery(const engine::Delivery& d) override {
    for (const engine::Event& e : d.events) {
      if (e.error.has_value()) to_.error = e.error;
      to_.vectors[static_cast<size_t>(e.choice)] = e.embedding;
    }
    to_.done = d.done;
  }

 private:
  Outcome& to_;
};

// One text a line; a last line end makes no further text.
std::vector<std::string> lines_of(const std::string& all) {
  std::vector<std::string> lines;
  for (size_t at = 0; at < all.size();) {
    const size_t end = std::min(all.find('\n', at), all.size());
    std::string line = all.substr(at, end - at);
    if (!line.empty() && line.back() == '\r') line.pop_back();
    lines.push_back(std::move(line));
    at = end + 1;
  }
  return lines;
}

// Runs texts in requests within the engine's bounds.
class Embedder {
 public:
  Embedder(const Options& o, engine::LoadedModel& model)
      : o_(o), model_(model), engine_(model.runner(), model.tokenizer(), clock_, limits(o)) {}

  Result<Embedded> run(const std::vector<std::string>& texts) {
    Embedded all;
    const int64_t start = clock_.now_ns();
    std::vector<std::vector<int32_t>> part;
    int64_t part_tokens = 0;
    for (size_t i = 0; i < texts.size(); ++i) {
      std::vector<int32_t> ids = model_.tokenizer().encode(texts[i], {.add_bos_eos = true});
      if (o_.truncate)
        text::truncate(model_.tokenizer(), static_cast<size_t>(engine_.max_context_tokens()), ids);
      all.tokens.push_back(ids.size());
      const auto tokens = static_cast<int64_t>(ids.size());
      if (std::cmp_equal(part.size(), engine_.limits().max_texts) ||
          part_tokens + tokens > engine_.limits().max_text_tokens) {
        WEIR_TRY(embed(std::move(part), all));
        part.clear();
        part_tokens = 0;
      }
      part.push_back(std::move(ids));
      part_tokens += tokens;
    }
    WEIR_TRY(embed(std::move(part), all));
    all.seconds = static_cast<double>(clock_.now_ns() - start) * 1e-9;
    return all;
  }

 private:
  static engine::EngineLimits limits(const Options& o) {
    engine::EngineLimits l;
    l.step_tokens = o.step_tokens;
    return l;
  }

  Status embed(std::vector<std::vector<int32_t>> texts, Embedded& all) {
    if (texts.empty()) return {};
    Collector::Outcome outcome;
    outcome.vectors.resize(texts.size());
    engine::Request q;
    q.texts = std::move(texts);
    const auto id = engine_.submit(std::move(q), std::make_unique<Collector>(outcome));
    if (!id.ok()) {
      // input[3] counts within the request; people count from the first text.
      return all.vectors.empty() ? id.error()
                                 : id.error().with_context(
                                       fmt::format("after the first {} texts", all.vectors.size()));
    }
    while (!outcome.done) engine_.step();
    if (outcome.error.has_value()) return *outcome.error;
    for (std::vector<float>& v : outcome.vectors) all.vectors.push_back(std::move(v));
    return {};
  }

  const Options& o_;
  engine::LoadedModel& model_;
  SystemClock clock_;
  engine::Engine engine_;
};

float dot(const std::vector<float>& a, const std::vector<float>& b) {
  float sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

void print_json(const engine::EmbeddingTraits& traits, const Embedded& e) {
  fmt::print("{{\"dimensions\":{},\"pooling\":\"{}\",\"data\":[", traits.dim,
             model::pooling_name(*traits.pooling));
  for (size_t i = 0; i < e.vectors.size(); ++i) {
    fmt::print("{}{{\"index\":{},\"tokens\":{},\"embedding\":[{}]}}", i == 0 ? "" : ",", i,
               e.tokens[i], fmt::join(e.vectors[i], ","));
  }
  fmt::print("]}}\n");
}

void print_text(const std::vector<std::string>& texts, const Embedded& e) {
  for (size_t i = 0; i < texts.size(); ++i) {
    const std::vector<float>& v = e.vectors[i];
    const size_t shown = std::min(kShownValues, v.size());
    fmt::print("{:>4}  {} tokens, {} values: {:.4f} …  {}\n", i, e.tokens[i], v.size(),
               fmt::join(v.begin(), v.begin() + static_cast<std::ptrdiff_t>(shown), " "),
               text::replace_invalid_utf8(texts[i]));
  }
  if (texts.size() < 2 || texts.size() > kMaxTableTexts) return;
  fmt::print("\ncosine similarity\n");
  for (const std::vector<float>& a : e.vectors) {
    for (const std::vector<float>& b : e.vectors) fmt::print(" {:>7.4f}", dot(a, b));
    fmt::print("\n");
  }
}

Result<int> embed(const Options& o) {
  std::vector<std::string> texts = o.texts;
  if (!o.file.empty()) {
    WEIR_ASSIGN(const std::string all, read_input(o.file, kMaxFileBytes));
    for (std::string& line : lines_of(all)) texts.push_back(std::move(line));
  }
  if (texts.empty())
    return make_error(
        ErrorCode::kUsage,
        "no text to embed: give TEXT, or -f FILE with one a line (-f - reads standard input)");
  LoadRequest request;
  request.model = o.model;
  request.load_type = o.load_type;
  request.threads = o.threads;
  request.step_tokens = o.step_tokens;
  request.generates = false;
  WEIR_ASSIGN(request.kv_types, o.kv.types());
  if (!o.pooling.empty()) {
    WEIR_ASSIGN(request.pooling, model::parse_pooling(o.pooling));
  }
  WEIR_ASSIGN(const std::unique_ptr<engine::LoadedModel> model, load_model(request));
  WEIR_ASSIGN(const Embedded e, Embedder(o, *model).run(texts));
  if (o.json) {
    print_json(model->runner().embedding(), e);
  } else {
    print_text(texts, e);
  }
  size_t tokens = 0;
  for (const size_t n : e.tokens) tokens += n;
  fmt::print(stderr, "[{} text{}, {:.1f} texts/s · {} tokens, {:.1f} tok/s]\n", texts.size(),
             texts.size() == 1 ? "" : "s",
             static_cast<double>(texts.size()) / std::max(1e-9, e.seconds), tokens,
             static_cast<double>(tokens) / std::max(1e-9, e.seconds));
  return kExitOk;
}

}  // namespace

void add_embed(CLI::App& root, Selected& selected) {
  auto o = std::make_shared<Options>();  // shared: the parser's callback and the action outlive
                                         // this call
  CLI::App* c = add_command(
      root, "embed", "The vectors of texts, of unit length",
      "  weir embed all-minilm-l6-v2.gguf \"How do I open the gate?\" \"The weir's gate\"\n"
      "  weir embed all-minilm-l6-v2.gguf -f sentences.txt --json | jq '.data[0].embedding'\n");
  add_model_argument(c, o->model);
  c->add_option("TEXT", o->texts, "texts");
  add_load_type(c, o->load_type);
  c->add_option("-f,--file", o->file, "read texts from a file, one a line; - is standard input");
  add_pooling_option(c, o->pooling);
  c->add_flag("--truncate", o->truncate, "cut a text that is too long instead of refusing it");
  c->add_option("--step-tokens", o->step_tokens,
                "tokens of one engine step; a text of an encoder must fit one")
      ->check(CLI::Range(1, 8192))
      ->capture_default_str();
  add_kv_type_options(c, o->kv);
  add_threads_option(c, o->threads);
  c->add_flag("--json", o->json, "one JSON document");
  c->callback([o, &selected] { selected.action = [o] { return embed(*o); }; });
}

}  // namespace weir::cli
