#include "ops/eval/answer_score.h"

#include <string>
#include <utility>
#include <vector>

#include "ops/eval/accuracy.h"
#include "ops/eval/cache.h"
#include "ops/eval/code_items.h"
#include "ops/eval/needle.h"
#include "ops/eval/scorer.h"

namespace weir::ops {
namespace {

EvalItem record(const GenerateItem& item, const Generated& answer, EvalScores scores) {
  EvalItem out;
  out.id = item.id;
  out.scores = std::move(scores);
  out.scores.emplace_back("tokens", answer.tokens);
  out.scores.emplace_back("cut", answer.cut ? 1 : 0);
  out.prompt = item.shown();
  out.answer = answer.text;
  const std::vector<std::string> parts = {"answer", out.prompt, item.tools.dump(),
                                          item.expected.dump()};
  out.hash = cache_key(parts);
  return out;
}

}  // namespace

Result<EvalTask> score_answers(const SuiteTask& task, std::span<const GenerateItem> items,
                               std::span<const Generated> answers) {
  WEIR_ASSIGN(const Scorer scorer, Scorer::make(task.scorer));
  std::vector<EvalItem> out;
  for (size_t i = 0; i < items.size(); ++i) {
    out.push_back(record(items[i], answers[i], scorer.score(items[i].expected, answers[i].text)));
    out.back().expected = scorer.shown(items[i].expected);
  }
  return accuracy_task(task, std::move(out));
}

Result<EvalTask> score_code_answers(
    const SuiteTask& task, std::span<const GenerateItem> items, std::span<const Generated> answers,
    const RunCode& run, const std::function<void(int64_t done, int64_t all)>& progress) {
  std::vector<EvalItem> out;
  for (size_t i = 0; i < items.size(); ++i) {
    const int pass_code = pass_code_of(answers[i].text);
    const std::string program = code_program(items[i].expected, answers[i].text, pass_code);
    WEIR_ASSIGN(const os::SandboxResult ran, run(task, program));
    out.push_back(record(items[i], answers[i], score_code(ran, pass_code)));
    out.back().expected = shown_outcome(items[i].expected, ran, pass_code);
    if (progress) progress(static_cast<int64_t>(i) + 1, static_cast<int64_t>(items.size()));
  }
  return accuracy_task(task, std::move(out));
}

EvalTask score_needles(const SuiteTask& task, std::span<const GenerateItem> items,
                       std::span<const Generated> answers) {
  std::vector<EvalItem> out;
  for (size_t i = 0; i < items.size(); ++i) {
    const GenerateItem& item = items[i];
    EvalScores scores = score_needle(item, answers[i].text);
    // By length, beside all of them.
    scores.emplace_back("acc@" + item.id.substr(0, item.id.find('@')), scores.front().second);
    out.push_back(record(item, answers[i], std::move(scores)));
    out.back().expected = item.expected.as_string();
  }
  return accuracy_task(task, std::move(out));
}

EvalTask score_same(const SuiteTask& task, std::span<const GenerateItem> items,
                    std::span<const Generated> alone, std::span<const Generated> crowd) {
  std::vector<EvalItem> out;
  for (size_t i = 0; i < items.size(); ++i) {
    const double same = alone[i].text == crowd[i].text ? 1 : 0;
    out.push_back(record(items[i], crowd[i], {{"same", same}}));
    out.back().expected = alone[i].text;
  }
  return accuracy_task(task, std::move(out));
}

}  // namespace weir::ops
