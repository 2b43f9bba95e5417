// weir sources brief: what to search before a question is answered whose answer ages, and the page
// that says what was found.
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/ops_commands.h"
#include "ops/brief/brief_store.h"
#include "ops/brief/question.h"
#include "ops/project/project.h"
#include "ops/sources/days.h"
#include "os/file.h"
#include "plot/text.h"
#include "text/json.h"

namespace weir::cli {
namespace {

using text::Json;

struct Options {
  std::string folder = ".";
  std::string today;
  std::string question;
  std::string out;
  std::string file;
  bool force = false;
  bool json = false;
};

Result<int> day_of(const Options& o) {
  if (o.today.empty()) return ops::today(SystemClock());
  if (const auto day = ops::day_number(o.today)) return *day;
  return make_error(ErrorCode::kUsage, "--on {}: write a day as YYYY-MM-DD", o.today);
}

Json texts(const std::vector<std::string>& list) {
  Json out = Json::array();
  for (const std::string& t : list) out.push_back(t);
  return out;
}

Json page_json(const ops::QuestionPage& page) {
  Json evidence = Json::array();
  for (const ops::AgedEvidence& e : page.evidence) {
    Json j = Json::object();
    j.set("id", e.id);
    j.set("what", e.what);
    j.set("read", e.read);
    j.set("age_days", e.age_days);
    j.set("stale", e.stale());
    j.set("verified", e.verified);
    evidence.push_back(std::move(j));
  }
  Json j = Json::object();
  j.set("kind", page.kind);
  j.set("topics", texts(page.topics));
  j.set("searches", texts(page.searches));
  j.set("evidence", std::move(evidence));
  j.set("page", page.text);
  return j;
}

Result<int> make(const Options& o) {
  WEIR_ASSIGN(const int today, day_of(o));
  WEIR_ASSIGN(const ops::QuestionPage page, ops::question_page(o.question, o.folder, today));
  std::error_code error;
  if (!o.out.empty() && !o.force && std::filesystem::exists(o.out, error)) {
    return make_error(ErrorCode::kUsage, "{} is there, perhaps filled: --force replaces it", o.out);
  }
  if (!o.out.empty()) WEIR_TRY(os::write_file_atomic(o.out, page.text));
  if (o.json) {
    fmt::print("{}\n", page_json(page).dump());
  } else if (o.out.empty()) {
    fmt::print("{}", page.text);
  } else {
    fmt::print("{}: fill it, then weir sources brief check {}\n", o.out, o.out);
  }
  return kExitOk;
}

Result<int> check(const Options& o) {
  WEIR_ASSIGN(const int today, day_of(o));
  WEIR_ASSIGN(const auto trends, ops::built_in_trends());
  WEIR_ASSIGN(const std::string text, read_input(o.file, ops::kMaxBriefBytes));
  const auto problems = ops::check_brief(text, trends, today);
  std::string stored;
  if (problems.empty()) {
    WEIR_ASSIGN(const ops::Project project, ops::Project::open(o.folder));
    WEIR_ASSIGN(stored, ops::store_brief(project.evidence(), text));
  }
  if (o.json) {
    Json list = Json::array();
    for (const ops::BriefProblem& p : problems) {
      Json j = Json::object();
      j.set("line", p.line);
      j.set("what", p.what);
      list.push_back(std::move(j));
    }
    Json j = Json::object();
    j.set("valid", problems.empty());
    j.set("problems", std::move(list));
    if (!stored.empty()) j.set("stored", "evidence/" + stored);
    fmt::print("{}\n", j.dump());
  } else {
    for (const ops::BriefProblem& p : problems)
      fmt::print("{}{}: {}\n", o.file, p.line > 0 ? fmt::format(":{}", p.line) : "",
                 plot::printable(p.what));
    if (problems.empty()) {
      fmt::print("{} holds; kept as {}/evidence/{}\n", o.file, o.folder, stored);
    } else {
      fmt::print("{} is no evidence yet: {} problems\n", o.file, problems.size());
    }
  }
  return problems.empty() ? kExitOk : kExitNo;
}

}  // namespace

void add_brief(CLI::App& sources, Selected& selected) {
  CLI::App* group =
      add_command(sources, "brief", "Questions whose answers age: searches, and what was found",
                  "  weir sources brief new 'vLLM or SGLang for chat?' -o brief.md\n"
                  "  weir sources brief check brief.md --project serving\n");
  group->require_subcommand(1);
  auto o = std::make_shared<Options>();  // shared: the parser's callbacks and the actions outlive
                                         // this call
  const auto common = [&o](CLI::App* c) {
    c->add_option("--project", o->folder, "the project's folder (weir init)")
        ->capture_default_str();
    c->add_option("--on", o->today, "as on this day (default: today)");
    c->add_flag("--json", o->json, "one JSON document");
  };
  CLI::App* fresh =
      add_command(*group, "new", "The searches that a question needs, as a page to fill",
                  "  weir sources brief new 'Which quantization for Qwen3-32B?'\n");
  common(fresh);
  fresh->add_option("QUESTION", o->question, "in words")->required();
  fresh->add_option("-o,--out", o->out, "write the page here");
  fresh->add_flag("--force", o->force, "with -o: replace a page that is there");
  fresh->callback([o, &selected] { selected.action = [o] { return make(*o); }; });
  CLI::App* checked =
      add_command(*group, "check", "Whether a filled page holds; then it is kept as evidence",
                  "  weir sources brief check brief.md\n");
  common(checked);
  checked->add_option("FILE", o->file, "the page; - is standard input")->required();
  checked->callback([o, &selected] { selected.action = [o] { return check(*o); }; });
}

}  // namespace weir::cli
