#include "ops/eval/task_run.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "engine/engine.h"
#include "ops/eval/accuracy.h"
#include "ops/eval/answer_score.h"
#include "ops/eval/choice.h"
#include "ops/eval/choice_score.h"
#include "ops/eval/generate.h"
#include "ops/eval/item_prompt.h"
#include "ops/eval/needle.h"

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
    return accuracy_task(task_, std::move(items));
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
    std::vector<Generated> answers(prompted.requests.size());
    std::vector<GenerateRequest> open;
    std::vector<size_t> places;
    for (size_t i = 0; i < answers.size(); ++i) {
      const CachedAnswer* found =
          with_.cache == nullptr ? nullptr : with_.cache->find(answer_key(prompted.requests[i]));
      if (found != nullptr) {
        answers[i] = {found->text, found->tokens, 0, found->cut};
      } else {
        places.push_back(i);
        open.push_back(prompted.requests[i]);
      }
    }
    count(answers.size(), open.size());
    int64_t done = 0;
    const auto keep = [&](size_t i, const Generated& answer) -> Status {
      answers[places[i]] = answer;
      spend(answer);
      if (with_.progress) with_.progress(++done, static_cast<int64_t>(open.size()));
      if (with_.cache == nullptr) return {};
      return with_.cache->put(answer_key(open[i]), task_.name, open[i].id,
                              {answer.text, answer.tokens, answer.cut, {}});
    };
    engine::Engine engine(with_.runner, with_.tokenizer, with_.clock, limits());
    WEIR_TRY(generate_all(engine, open, with_.at_once, keep));
    return answers;
  }

  // Those that fit the window.
  Result<std::vector<GenerateItem>> needles() const {
    const engine::Engine engine(with_.runner, with_.tokenizer, with_.clock, limits());
    RetrievalSpec spec = task_.retrieval;
    constexpr int32_t kTemplateTokens = 128;  // room for what the chat template adds
    const int32_t most = engine.max_context_tokens() - task_.max_tokens - kTemplateTokens;
    std::erase_if(spec.lengths, [most](int32_t length) { return length > most; });
    const size_t left_out = task_.retrieval.lengths.size() - spec.lengths.size();
    if (spec.lengths.empty()) {
      return make_error(ErrorCode::kInvalidValue,
                        "task {}: every length is over the {} tokens that the window leaves: give "
                        "a larger --ctx, as far as the model goes",
                        task_.name, most);
    }
    if (left_out > 0 && with_.notice) {
      with_.notice(
          fmt::format("task {}: {} of {} lengths are over the {} tokens that the window "
                      "leaves and are left out",
                      task_.name, left_out, task_.retrieval.lengths.size(), most));
    }
    const auto tokens = [this](std::string_view text) {
      return with_.tokenizer.encode(text).size();
    };
    auto items = needle_items(spec, loaded_.haystack, tokens);
    if (!items.ok()) return items.error().with_context("task " + task_.name);
    if (task_.limit > 0 && items->size() > static_cast<size_t>(task_.limit))
      items->resize(static_cast<size_t>(task_.limit));
    return items;
  }

  const TaskRunner& with_;
  const SuiteTask& task_;
  const LoadedTask& loaded_;
  RunCost& cost_;
};

}  // namespace

Result<EvalTask> run_task(const TaskRunner& with, const LoadedTask& task, RunCost& cost) {
  Run run(with, task, cost);
  if (task.task.kind == "multiple_choice") return run.choices();
  if (task.task.kind == "retrieval") return run.retrieval();
  if (task.task.kind == "determinism") return run.determinism();
  if (task.task.kind == "code") return run.code();
  return run.generate();
}

}  // namespace weir::ops
