// weir run: one answer, or a chat, on the terminal.
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <memory>
#include <random>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/load.h"
#include "engine/engine.h"
#include "os/signals.h"
#include "text/chat_segments.h"
#include "text/chat_template.h"
#include "text/json.h"

namespace weir::cli {
namespace {

constexpr uint64_t kMaxPromptBytes = 64 << 20;

struct Options {
  std::string model;
  std::string load_type;
  std::string prompt;
  std::string file;
  std::string system;
  bool has_prompt = false;
  bool raw = false;
  bool json = false;
  bool verbose = false;
  int32_t max_tokens = 0;
  double temperature = 0.7;
  double top_p = 1.0;
  int32_t top_k = 0;
  uint64_t seed = 0;
  bool has_seed = false;
  int threads = 0;
  int64_t context_tokens = 0;
  KvTypeFlags kv;
  std::string speculate = "auto";
  std::string draft;
};

// Prints text as it comes and keeps it for the conversation.
class TerminalSink final : public engine::EventSink {
 public:
  struct Outcome {
    std::string text;
    engine::Usage usage;
    engine::Timings timings;
    std::string finish;
    std::optional<Error> error;
    bool done = false;
  };
  TerminalSink(Outcome& to, bool quiet) : to_(to), quiet_(quiet) {}

  void on_delivery(const engine::Delivery& d) override {
    for (const engine::Event& e : d.events) {
      to_.text += e.text;
      if (!quiet_) std::fwrite(e.text.data(), 1, e.text.size(), stdout);
      if (e.finish.has_value())
        to_.finish = *e.finish == engine::FinishReason::kLength ? "length" : "stop";
      if (e.error.has_value()) to_.error = e.error;
    }
    if (!quiet_) std::fflush(stdout);
    to_.usage = d.usage;
    to_.timings = d.timings;
    to_.done = d.done;
  }

 private:
  Outcome& to_;
  bool quiet_;
};

// A loaded model with an engine that is stepped by this thread.
class Session {
 public:
  // speculate: as SpeculationLimits::depth has it.
  Session(const Options& o, int32_t speculate, std::unique_ptr<engine::LoadedModel> model,
          std::unique_ptr<engine::LoadedModel> draft, std::optional<text::ChatTemplate> chat)
      : o_(o),
        model_(std::move(model)),
        draft_(std::move(draft)),
        chat_(std::move(chat)),
        engine_(model_->runner(), model_->tokenizer(), clock_, limits(speculate), {}, {},
                draft_ == nullptr ? nullptr : &draft_->runner()),
        seed_(o.has_seed ? o.seed : std::random_device{}()) {}

  Result<TerminalSink::Outcome> answer(std::vector<int32_t> prompt) {
    engine::Request q;
    q.prompt = std::move(prompt);
    q.max_tokens = o_.max_tokens;
    q.sampling.temperature = static_cast<float>(o_.temperature);
    q.sampling.top_p = static_cast<float>(o_.top_p);
    q.sampling.top_k = o_.top_k;
    q.sampling.seed = seed_;
    TerminalSink::Outcome outcome;
    WEIR_ASSIGN(const engine::RequestId id,
                engine_.submit(std::move(q), std::make_unique<TerminalSink>(outcome, o_.json)));
    while (!outcome.done) {
      // Nobody reads it any more, as under `| head` or on a full disk; main() says so at the end.
      if (std::ferror(stdout) != 0) engine_.cancel(id);
      engine_.step();
    }
    if (outcome.error.has_value()) return *outcome.error;
    return outcome;
  }

  // Tokens of prompt and answer together.
  int32_t context_tokens() const { return engine_.max_context_tokens(); }

  Result<std::vector<int32_t>> chat_prompt(const text::Json& messages) const {
    text::ChatInput input;
    input.messages = messages;
    input.add_generation_prompt = true;
    input.clock = &clock_;
    text::set_special_tokens(model_->tokenizer(), input);
    WEIR_ASSIGN(const std::vector<text::Segment> segments, chat_->render_segments(input));
    return text::encode_segments(model_->tokenizer(), segments);
  }

  std::vector<int32_t> raw_prompt(const std::string& text) const {
    return model_->tokenizer().encode(text, {.add_bos_eos = true, .parse_special = true});
  }

 private:
  static engine::EngineLimits limits(int32_t speculate) {
    engine::EngineLimits l;
    l.speculation.depth = speculate;
    return l;
  }
  const Options& o_;
  SystemClock clock_;
  std::unique_ptr<engine::LoadedModel> model_;
  std::unique_ptr<engine::LoadedModel> draft_;  // nullptr: none
  std::optional<text::ChatTemplate> chat_;
  engine::Engine engine_;
  uint64_t seed_;
};

text::Json message(const char* role, const std::string& content) {
  text::Json m = text::Json::object();
  m.set("role", role);
  m.set("content", content);
  return m;
}

void print_speed(const TerminalSink::Outcome& out) {
  const double prefill_s = std::max(1e-9, out.timings.prefill_ms / 1e3);
  const double decode_s = std::max(1e-9, out.timings.decode_ms / 1e3);
  fmt::print(stderr, "[{} prompt tokens, {:.1f} tok/s · {} tokens, {:.1f} tok/s · {}]\n",
             out.usage.prompt_tokens, out.usage.prompt_tokens / prefill_s,
             out.usage.completion_tokens, std::max(0, out.usage.completion_tokens - 1) / decode_s,
             out.finish);
}

Status one_shot(const Options& o, Session& session, const std::string& prompt) {
  std::vector<int32_t> tokens;
  if (o.raw) {
    tokens = session.raw_prompt(prompt);
  } else {
    text::Json messages = text::Json::array();
    if (!o.system.empty()) messages.push_back(message("system", o.system));
    messages.push_back(message("user", prompt));
    WEIR_ASSIGN(tokens, session.chat_prompt(messages));
  }
  WEIR_ASSIGN(const TerminalSink::Outcome out, session.answer(std::move(tokens)));
  if (o.json) {
    text::Json root = text::Json::object();
    root.set("text", out.text);
    root.set("finish_reason", out.finish);
    root.set("prompt_tokens", out.usage.prompt_tokens);
    root.set("completion_tokens", out.usage.completion_tokens);
    root.set("accepted_prediction_tokens", out.usage.accepted_prediction_tokens);
    root.set("rejected_prediction_tokens", out.usage.rejected_prediction_tokens);
    root.set("prefill_ms", out.timings.prefill_ms);
    root.set("decode_ms", out.timings.decode_ms);
    fmt::print("{}\n", root.dump());
    return {};
  }
  fmt::print("\n");
  std::fflush(stdout);
  print_speed(out);
  return {};
}

std::string random_seed(const std::string& value) {
  const std::string problem = seed_problem(value);
  return problem.empty() ? problem : problem + "; leave the option out for a random seed";
}

// A chat until the end of input or /exit; /clear forgets.
Status interactive(const Options& o, Session& session) {
  const bool terminal = isatty(STDIN_FILENO) != 0;
  if (terminal)
    fmt::print(stderr, "a chat with {}; /clear starts anew, /exit or Ctrl-D ends\n", o.model);
  text::Json messages = text::Json::array();
  std::string line;
  while (true) {
    if (terminal) fmt::print(stderr, "> ");
    if (!std::getline(std::cin, line) || line == "/exit") break;
    if (line.empty()) continue;
    if (line == "/clear") {
      messages = text::Json::array();
      continue;
    }
    if (messages.size() == 0 && !o.system.empty()) messages.push_back(message("system", o.system));
    messages.push_back(message("user", line));
    WEIR_ASSIGN(std::vector<int32_t> prompt, session.chat_prompt(messages));
    const auto out = session.answer(std::move(prompt));
    if (!out.ok()) {
      fmt::print(stderr, "weir: {}\n", out.error().message);
      messages.items().pop_back();
      continue;
    }
    fmt::print("\n");
    std::fflush(stdout);
    if (std::ferror(stdout) != 0) break;
    print_speed(*out);
    messages.push_back(message("assistant", out->text));
  }
  return {};
}

Result<int> run(const Options& o) {
  const bool chats = !o.has_prompt && o.file.empty();
  if (chats && o.raw) {
    return make_error(ErrorCode::kUsage,
                      "--raw needs -p or -f: without a template there is no chat");
  }
  if (chats && o.json)
    return make_error(ErrorCode::kUsage, "--json needs -p or -f (-f - reads standard input)");
  std::string prompt = o.prompt;
  if (!o.file.empty()) {
    WEIR_ASSIGN(prompt, read_input(o.file, kMaxPromptBytes));
  }
  LoadRequest request;
  request.model = o.model;
  request.load_type = o.load_type;
  request.threads = o.threads;
  request.kv_tokens = o.context_tokens;
  WEIR_ASSIGN(request.kv_types, o.kv.types());
  WEIR_ASSIGN(const int32_t speculate, parse_speculate(o.speculate));
  WEIR_ASSIGN(std::unique_ptr<engine::LoadedModel> model, load_model(request));
  if (o.verbose) {
    const engine::LoadTimes& t = model->times();
    fmt::print(
        stderr,
        "[loaded in {:.1f} ms: file {:.1f}, weights {:.1f}, beside them the tokenizer {:.1f}]\n",
        t.all_ms, t.open_ms, t.weights_ms, t.tokenizer_ms);
  }
  std::optional<text::ChatTemplate> chat;
  if (!o.raw) {
    WEIR_ASSIGN(chat, text::ChatTemplate::from_gguf(model->file()));
  }
  WEIR_ASSIGN(std::unique_ptr<engine::LoadedModel> draft,
              load_draft(o.draft, request, speculate, *model));
  Session session(o, speculate, std::move(model), std::move(draft), std::move(chat));
  if (o.context_tokens > session.context_tokens()) {
    fmt::print(stderr,
               "weir: --ctx {} is more than the model was trained for; prompt and answer together "
               "have {} tokens\n",
               o.context_tokens, session.context_tokens());
  }
  if (chats) {
    WEIR_TRY(interactive(o, session));
  } else {
    WEIR_TRY(one_shot(o, session, prompt));
  }
  return kExitOk;
}

}  // namespace

void add_run(CLI::App& root, Selected& selected) {
  auto o = std::make_shared<Options>();  // shared: the parser's callback and the action outlive
                                         // this call
  CLI::App* c =
      add_command(root, "run", "One answer, or a chat, on the terminal",
                  "  weir run smollm2-135m-instruct -p \"The capital of France is\"\n"
                  "  weir run smollm2-135m-instruct                      a chat; Ctrl-D ends it\n"
                  "  weir run model.gguf -f prompt.txt -n 200 --temp 0 --raw\n"
                  "  cat question.txt | weir run model.gguf -f - --json\n");
  add_model_argument(c, o->model);
  add_load_type(c, o->load_type);
  CLI::Option* prompt = c->add_option("-p,--prompt", o->prompt, "the user's message");
  c->add_option("-f,--file", o->file, "read the message from a file, - is standard input")
      ->excludes(prompt);
  c->add_option("--system", o->system, "a system message before it");
  c->add_option("-n,--max-tokens", o->max_tokens,
                "tokens to generate (default: until the model ends or the window is full)")
      ->check(CLI::Range(1, 1 << 27));
  c->add_option("--temp", o->temperature, "temperature, 0 is greedy")
      ->check(CLI::Range(0.0, 2.0))
      ->capture_default_str();
  c->add_option("--top-p", o->top_p, "nucleus sampling")
      ->check(CLI::Range(1e-6, 1.0))
      ->capture_default_str();
  c->add_option("--top-k", o->top_k, "only the K most likely tokens, 0 is off")
      ->check(CLI::Range(0, 1 << 22));
  CLI::Option* seed =
      c->add_option("--seed", o->seed, "the same seed gives the same answer (default: random)")
          ->check(random_seed);
  c->add_flag("--raw", o->raw, "no chat template: continue the text as it is");
  c->add_option(
       "--ctx", o->context_tokens,
       "tokens of KV cache (default: the model's window, within a quarter of the free memory)")
      ->check(CLI::Range(int64_t{32}, int64_t{1} << 27));
  add_kv_type_options(c, o->kv);
  add_threads_option(c, o->threads);
  c->add_option("--speculate", o->speculate,
                "tokens guessed from the text itself and verified in one step: off, auto (as many "
                "as pay) or a number; the answer is the same")
      ->capture_default_str();
  c->add_option("--draft", o->draft,
                "a smaller MODEL with the same vocabulary that guesses where the text does not");
  c->add_flag("--json", o->json, "one JSON document");
  c->add_flag("-v,--verbose", o->verbose, "also say what loading took");
  c->callback([o, prompt, seed, &selected] {
    o->has_prompt = prompt->count() > 0;
    o->has_seed = seed->count() > 0;
    selected.action = [o] { return run(*o); };
  });
}

}  // namespace weir::cli
