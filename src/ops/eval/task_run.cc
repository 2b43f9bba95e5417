#include "ops/eval/task_run.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "engine/engine.h"
#include "ops/eval/accuracy.h"
#include "ops/eval/answer_cache.h"
#include "ops/eval/answer_score.h"
#include "ops/eval/choice.h"
#include "ops/eval/choice_score.h"
#include "ops/eval/generate.h"
#include "ops/eval/item_prompt.h"
#include "ops/eval/needle.h"
#include "ops/eval/run_kind.h"

namespace weir::ops {
namespace {

// at_once bounds what waits; long prompts must not be refused for their sum.
engine::EngineLimits limits() {
  engine::EngineLimits l;
  l.max_queued_tokens = int64_t{1} << 40;
  return l;
}

std::string tokens_text(std::span<const int32_t> tokens) {
  return {reinterpret_cast<const char*>(tokens.data()), tokens.size_bytes()};
}

// The items of a task that generates, in tokens.
struct Prompted {
  std::vector<GenerateItem> items;
  std::vector<GenerateRequest> requests;
};

class Run {
 public:
  Run(const TaskRunner& with, const LoadedTask& loaded, RunCost& cost)
      : with_(with), task_(loaded.task), loaded_(loaded), cost_(cost) {}

  Result<EvalTask> choices() {
    std::vector<std::optional<EvalItem>> known;
    std::vector<ChoiceItem> open;
    for (const ChoiceItem& item : loaded_.choices) {
      known.push_back(cached_choice(with_.cache, with_.fingerprint, item));
      if (!known.back()) open.push_back(item);
    }
    count(loaded_.choices.size(), open.size());
    const auto keep = [&](size_t i, const EvalItem& scored) {
      return keep_choice(with_.cache, with_.fingerprint, task_.name, open[i], scored);
    };
    std::vector<EvalItem> computed;
    if (!open.empty()) {
      WEIR_ASSIGN(computed, score_choices(with_.runner, with_.tokenizer, open, cost_.prompt_tokens,
                                          with_.progress, keep));
    }
    std::vector<EvalItem> items;
    items.reserve(known.size());
    auto next = computed.begin();
    for (std::optional<EvalItem>& item : known)
      items.push_back(item ? std::move(*item) : std::move(*next++));
    EvalTask out = accuracy_task(task_, std::move(items));
    tell_cut(out);
    return out;
  }

  Result<EvalTask> generate() {
    WEIR_ASSIGN(const Prompted prompted, prompt(loaded_.items));
    WEIR_ASSIGN(const std::vector<Generated> answers, answer(prompted));
    return score_answers(task_, prompted.items, answers);
  }

  Result<EvalTask> code() {
    if (!with_.run_code) return code_not_allowed(task_);
    WEIR_ASSIGN(const Prompted prompted, prompt(loaded_.items));
    WEIR_ASSIGN(const std::vector<Generated> answers, answer(prompted));
    return score_code_answers(task_, prompted.items, answers, with_.run_code, with_.progress);
  }

  Result<EvalTask> retrieval() {
    WEIR_ASSIGN(std::vector<GenerateItem> made, needles());
    WEIR_ASSIGN(const Prompted prompted, prompt(std::move(made)));
    WEIR_ASSIGN(const std::vector<Generated> answers, answer(prompted));
    return score_needles(task_, prompted.items, answers);
  }

  // Alone, and then in a crowd of all, whose cache knows nothing of the first time.
  Result<EvalTask> determinism() {
    WEIR_ASSIGN(const Prompted prompted, prompt(loaded_.items));
    count(prompted.items.size(), prompted.items.size());
    std::vector<Generated> alone(prompted.items.size());
    std::vector<Generated> crowd(prompted.items.size());
    const auto twice = static_cast<int64_t>(2 * prompted.items.size());
    int64_t done = 0;
    for (auto& [answers, at_once] : {std::pair{&alone, size_t{1}}, {&crowd, with_.at_once}}) {
      engine::Engine engine(with_.runner, with_.tokenizer, with_.clock, limits());
      const auto keep = [&, to = answers](size_t i, const Generated& answer) -> Status {
        (*to)[i] = answer;
        spend(answer);
        if (with_.progress) with_.progress(++done, twice);
        return {};
      };
      WEIR_TRY(generate_all(engine, prompted.requests, at_once, keep));
    }
    return score_same(task_, prompted.items, alone, crowd);
  }

 private:
  // Of prompts that lost their beginning a mean says nothing: the summary has their number.
  void tell_cut(EvalTask& of) const {
    const auto cut = std::count_if(of.items.begin(), of.items.end(), [](const EvalItem& item) {
      return item.score(kPromptCut) != nullptr;
    });
    if (cut == 0) return;
    std::erase_if(of.summary, [](const auto& figure) { return figure.first == kPromptCut; });
    of.summary.emplace_back("prompts_cut", static_cast<double>(cut));
    if (!with_.notice) return;
    with_.notice(
        fmt::format("task {}: {} of {} prompts are longer than the window of {} tokens and lost "
                    "their beginning: give a larger --ctx, as far as the model goes",
                    task_.name, cut, of.items.size(), with_.runner.max_context_tokens()));
  }
  void count(size_t all, size_t open) {
    cost_.computed_items += static_cast<int64_t>(open);
    cost_.cached_items += static_cast<int64_t>(all - open);
  }
  void spend(const Generated& answer) {
    cost_.prompt_tokens += answer.prompt_tokens;
    cost_.generated_tokens += answer.tokens;
  }

  std::string answer_key(const GenerateRequest& r) const {
    std::vector<std::string> parts = {with_.fingerprint, "answer", tokens_text(r.prompt),
                                      std::to_string(r.max_tokens)};
    parts.insert(parts.end(), r.stop.begin(), r.stop.end());
    return cache_key(parts);
  }

  Result<Prompted> prompt(std::vector<GenerateItem> items) const {
    Prompted out;
    for (const GenerateItem& item : items) {
      WEIR_ASSIGN(std::vector<int32_t> tokens,
                  item_prompt(with_.tokenizer, with_.chat, with_.clock, task_, item));
      out.requests.push_back({item.id, std::move(tokens), task_.max_tokens, task_.stop});
    }
    out.items = std::move(items);
    return out;
  }

  // Of the cache, and of the model for the others.
  Result<std::vector<Generated>> answer(const Prompted& prompted) {
    std::vector<std::string> keys;
    keys.reserve(prompted.requests.size());
    for (const GenerateRequest& r : prompted.requests) keys.push_back(answer_key(r));
    std::vector<Generated> answers(keys.size());
    const std::vector<size_t> places = take_cached(with_.cache, keys, answers);
    std::vector<GenerateRequest> open;
    open.reserve(places.size());
    for (const size_t i : places) open.push_back(prompted.requests[i]);
    count(answers.size(), open.size());
    int64_t done = 0;
    const auto keep = [&](size_t i, const Generated& answer) -> Status {
      answers[places[i]] = answer;
      spend(answer);
      if (with_.progress) with_.progress(++done, static_cast<int64_t>(open.size()));
      return keep_answer(with_.cache, keys[places[i]], task_.name, open[i].id, answer);
    };
    engine::Engine engine(with_.runner, with_.tokenizer, with_.clock, limits());
    WEIR_TRY(generate_all(engine, open, with_.at_once, keep));
    return answers;
  }

  // Those that fit the window.
  Result<std::vector<GenerateItem>> needles() const {
    const engine::Engine engine(with_.runner, with_.tokenizer, with_.clock, limits());
    const auto counter = [this]() -> TokenCount {
      return [this](std::string_view text) { return with_.tokenizer.encode(text).size(); };
    };
    return needles_in_window(task_, loaded_.haystack, engine.max_context_tokens(),
                             ": give a larger --ctx, as far as the model goes", counter,
                             with_.notice);
  }

  const TaskRunner& with_;
  const SuiteTask& task_;
  const LoadedTask& loaded_;
  RunCost& cost_;
};

}  // namespace

Result<EvalTask> run_task(const TaskRunner& with, const LoadedTask& task, RunCost& cost) {
  Run run(with, task, cost);
  return run_kind(run, task.task.kind);
}

}  // namespace weir::ops
