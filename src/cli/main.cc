// The program: parses the command line, runs the chosen command, prints its error.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "cli/command.h"
#include "os/signals.h"

namespace {

constexpr const char* kExamples =
    "Examples:\n"
    "  weir run smollm2-135m-instruct -p \"The capital of France is\"   one answer on the "
    "terminal\n"
    "  weir serve smollm2-135m-instruct --port 8080                    an OpenAI-compatible "
    "server\n"
    "  weir inspect model.gguf                                        what is in the file, what it "
    "needs\n";

int run(int argc, char** argv) {
  CLI::App app{"weir: serve GGUF language models on CPUs", "weir"};
  app.set_version_flag("--version", std::string("weir ") + WEIR_VERSION);
  app.require_subcommand(1);
  weir::cli::Selected selected;
  weir::cli::add_run(app, selected);
  weir::cli::add_serve(app, selected);
  weir::cli::add_embed(app, selected);
  weir::cli::add_tokenize(app, selected);
  weir::cli::add_inspect(app, selected);
  weir::cli::add_bench(app, selected);
  weir::cli::add_eval(app, selected);
  app.footer(kExamples);  // after the commands, which would inherit it
  if (argc == 1) {
    fmt::print(stderr, "{}", app.help());
    return weir::cli::kExitUsage;
  }
  std::vector<std::string> names;
  for (const CLI::App* c : app.get_subcommands({})) names.push_back(c->get_name());
  if (argv[1][0] != '-' && std::find(names.begin(), names.end(), argv[1]) == names.end()) {
    fmt::print(stderr, "weir: there is no command \"{}\"; there are {}; see weir --help\n", argv[1],
               fmt::join(names, ", "));
    return weir::cli::kExitUsage;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? weir::cli::kExitOk : weir::cli::kExitUsage;
  }
  weir::Result<int> result =
      selected.action ? selected.action() : weir::Result<int>(weir::cli::kExitUsage);
  if (!result.ok()) {
    fmt::print(stderr, "weir: {}\n", result.error().message);
    return weir::cli::exit_code(result.error().code);
  }
  return *result;
}

}  // namespace

int main(int argc, char** argv) {
  weir::os::explain_sigbus();
  try {
    return run(argc, argv);
  } catch (const std::bad_alloc&) {
    std::fputs("weir: out of memory\n", stderr);
    return weir::cli::kExitBadInput;
  } catch (const std::exception& error) {
    fmt::print(stderr, "weir: internal error: {}\n", error.what());
    return weir::cli::kExitUnavailable;
  }
}
