// weir init: the folder that the ops loop works in.
#include <fmt/format.h>

#include <memory>
#include <string>

#include "cli/command.h"
#include "ops/deploy/shell.h"
#include "ops/project/project.h"
#include "plot/text.h"
#include "text/json.h"

namespace weir::cli {
namespace {

struct Options {
  std::string folder = ".";
  bool json = false;
};

Result<int> init(const Options& o) {
  WEIR_ASSIGN(const ops::Project project, ops::Project::init(o.folder));
  if (o.json) {
    text::Json made = text::Json::array();
    for (const std::string& name : project.made()) made.push_back(name);
    text::Json j = text::Json::object();
    j.set("folder", project.folder());
    j.set("made", std::move(made));
    fmt::print("{}\n", j.dump());
    return kExitOk;
  }
  const std::string folder = plot::printable(project.folder());
  for (const std::string& name : project.made()) fmt::print("{}/{}\n", folder, name);
  if (project.made().empty()) fmt::print("{}: nothing was missing\n", folder);
  fmt::print("next: weir intake --project {} --model MODEL --host --ask\n",
             plot::printable(ops::shell_quote(project.folder())));
  return kExitOk;
}

}  // namespace

void add_init(CLI::App& root, Selected& selected) {
  auto o = std::make_shared<Options>();  // shared: the parser's callback and the action outlive
                                         // this call
  CLI::App* c = add_command(root, "init", "Make a project folder: intake, environments, evidence",
                            "  weir init serving\n"
                            "  weir init .\n");
  c->add_option("DIR", o->folder, "the folder; what is there stays")->capture_default_str();
  c->add_flag("--json", o->json, "one JSON document");
  c->callback([o, &selected] { selected.action = [o] { return init(*o); }; });
}

}  // namespace weir::cli
