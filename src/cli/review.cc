// weir review: the checklist held against the files of a project.
#include "ops/review/review.h"

#include <fmt/format.h>

#include <memory>
#include <string>

#include "base/clock.h"
#include "cli/ops_commands.h"
#include "cli/outputs.h"
#include "cli/subject.h"
#include "ops/project/own_files.h"
#include "os/file.h"

namespace weir::cli {
namespace {

struct Options {
  std::string folder = ".";
  std::string env = "stage";
  std::string model;
  std::string html;
  bool skip_model = false;
  bool json = false;
};

Result<int> review(const Options& o) {
  WEIR_TRY(check_environment("--env", o.env));
  WEIR_ASSIGN(const ops::Project project, ops::Project::open(o.folder));
  WEIR_TRY(check_outputs({{"--html", o.html}}, ops::own_files(o.folder)));
  WEIR_ASSIGN(const std::optional<ops::PublicKey> key, project_key(project));
  if (!o.model.empty()) {
    WEIR_ASSIGN(const ops::ReleaseModel model, ops::model_of(project, o.model));
    WEIR_TRY(os::write_file_atomic(project.environment(o.env) + "/" + ops::kModelFile,
                                   ops::model_text(model)));
  }
  const ops::Checklist& checklist = ops::built_in_checklist();
  WEIR_ASSIGN(const ops::ReviewInput input,
              ops::read_review_input(project, o.env, key ? &*key : nullptr, SystemClock().unix_s(),
                                     !o.skip_model, checklist));
  WEIR_ASSIGN(const ops::WaiverFile waivers, ops::read_waivers(project, checklist));
  const ops::Review result = ops::review(checklist, input, waivers.waivers);
  if (!o.html.empty()) {
    WEIR_ASSIGN(const ops::Sources sources, ops::built_in_sources());
    WEIR_TRY(os::write_file_atomic(o.html, ops::review_html(result, sources)));
  }
  fmt::print("{}", o.json ? ops::review_json(result).dump() + "\n" : ops::review_text(result));
  return result.passed() ? kExitOk : kExitNo;
}

}  // namespace

void add_review(CLI::App& root, Selected& selected) {
  auto o = std::make_shared<Options>();  // shared: the parser's callback and the action outlive
                                         // this call
  CLI::App* c = add_command(
      root, "review",
      "The inference review checklist, checked from evidence: exit 1 when an item fails",
      "  weir review --project serving --env stage --model model-q4.gguf   names the model, once\n"
      "  weir review --project serving --env stage --html review.html\n"
      "Evidence is what other commands write into evidence/: weir bench load --project serving "
      "--env stage --save ...,\nweir eval compare --project serving --env stage --json > ... . "
      "Waivers stand in waivers.yaml.\n");
  c->add_option("--project", o->folder, "the project's folder (weir init)")->capture_default_str();
  c->add_option("--env", o->env, "dev, stage or prod")->capture_default_str();
  c->add_option("--model", o->model,
                "what is served, noted in envs/ENV/model.json: a file, a folder, or NAME@COMMIT");
  c->add_flag("--skip-model", o->skip_model, "do not hash the model's file again");
  c->add_option("--html", o->html, "write the review as a page");
  c->add_flag("--json", o->json, "one JSON document");
  c->callback([o, &selected] { selected.action = [o] { return review(*o); }; });
}

}  // namespace weir::cli
