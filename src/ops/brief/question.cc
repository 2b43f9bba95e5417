#include "ops/brief/question.h"

#include "ops/brief/brief.h"
#include "plot/text.h"

namespace weir::ops {
namespace {

constexpr size_t kMaxQuestionBytes = 1000;

}  // namespace

Result<QuestionPage> question_page(std::string_view question, const std::string& project,
                                   int today) {
  WEIR_ASSIGN(const Trends trends, built_in_trends());
  const TrendQuestion q = read_question(question, trends);
  if (question.size() > kMaxQuestionBytes || plot::printable(question) != question) {
    return make_error(ErrorCode::kUsage,
                      "a question is one line of UTF-8 without control characters, of at most {} "
                      "bytes",
                      kMaxQuestionBytes);
  }
  if (q.topics.empty()) {
    std::string topics;
    for (const TrendTopic& t : trends.topics)
      topics += fmt::format("{}{} ({})", topics.empty() ? "" : ", ", t.id, t.title);
    return make_error(
        ErrorCode::kUsage,
        "\"{}\" is about nothing that is known to age; topics are {}: name one in the "
        "question",
        question, topics);
  }
  WEIR_ASSIGN(const auto trees, built_in_trees());
  WEIR_ASSIGN(const Actions actions, built_in_actions());
  WEIR_ASSIGN(const Sources sources, sources_with_project(project + "/sources.json"));
  QuestionPage out;
  out.kind = q.kind == nullptr ? "other" : q.kind->id;
  out.topics.reserve(q.topics.size());
  for (const TrendTopic* t : q.topics) out.topics.push_back(t->id);
  out.searches = required_searches(q, today);
  out.evidence = evidence_of(q.topics, trees, actions, sources, today);
  out.text = brief_template(q, out.searches, out.evidence, today);
  return out;
}

}  // namespace weir::ops
