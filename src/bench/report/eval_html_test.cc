#include "bench/report/eval_html.h"

#include <gtest/gtest.h>

namespace weir::bench {
namespace {

TEST(EvalHtmlTest, EscapesWhatModelsAndFilesSay) {
  ops::EvalRun base;
  base.model.name = "<script>base";
  ops::EvalTask task;
  task.name = "<script>task";
  task.kind = "generate";
  task.metric = "exact";
  for (int i = 0; i < 20; ++i) {
    task.items.push_back(
        {std::to_string(i), {{"exact", 1}}, "<script>prompt\r\nline", "\"e\"", "<script>answer"});
  }
  base.tasks.push_back(task);
  ops::EvalRun candidate = base;
  for (ops::EvalItem& item : candidate.tasks[0].items) item.scores[0].second = 0;
  const ops::Gate gate = ops::default_gate(base);
  const auto c = ops::compare_runs(base, candidate, gate);
  ASSERT_TRUE(c.ok()) << c.error().message;
  const std::string page = eval_comparison_html(*c, base, candidate, gate);
  EXPECT_EQ(page.find("<script"), std::string::npos);
  EXPECT_NE(page.find("&lt;script&gt;prompt\xE2\x86\xB5 line"), std::string::npos);
  EXPECT_NE(page.find("<b>fail</b>"), std::string::npos);
  EXPECT_NE(page.find("<svg"), std::string::npos);
}

TEST(EvalHtmlTest, OneItemHasNoFiniteInterval) {
  ops::EvalRun run;
  ops::EvalTask task;
  task.name = "t";
  task.kind = "generate";
  task.metric = "exact";
  task.items.push_back({"1", {{"exact", 1}}, "", "", ""});
  run.tasks.push_back(task);
  const ops::Gate gate = ops::default_gate(run);
  const auto c = ops::compare_runs(run, run, gate);
  ASSERT_TRUE(c.ok());
  const std::string page = eval_comparison_html(*c, run, run, gate);
  EXPECT_EQ(page.find("inf"), std::string::npos);
  EXPECT_EQ(page.find("nan"), std::string::npos);
  EXPECT_NE(page.find("<b>inconclusive</b>"), std::string::npos);
}

}  // namespace
}  // namespace weir::bench
