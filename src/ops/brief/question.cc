#include "ops/brief/question.h"

#include "ops/brief/brief.h"

namespace weir::ops {

Result<std::string> question_page(std::string_view question, const std::string& project,
                                  int today) {
  WEIR_ASSIGN(const Trends trends, built_in_trends());
  const TrendQuestion q = read_question(question, trends);
  if (question.find('\n') != std::string_view::npos)
    return make_error(ErrorCode::kUsage, "a question is one line");
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
  const auto evidence = evidence_of(q.topics, trees, actions, sources, today);
  return brief_template(q, required_searches(q, today), evidence, today);
}

}  // namespace weir::ops
