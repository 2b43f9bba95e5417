// The program: parses the command line, runs the chosen command, prints its error.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "cli/command.h"
#include "cli/given_values.h"
#include "cli/ops_commands.h"
#include "config/key.h"
#include "ops/quantize/mix.h"
#include "os/signals.h"
#include "os/standard_files.h"
#include "os/temporaries.h"
#include "plot/text.h"

namespace {

constexpr const char* kExamples =
    "Examples:\n"
    "  weir run smollm2-135m-instruct -p \"The capital of France is\"   one answer on the "
    "terminal\n"
    "  weir serve smollm2-135m-instruct --port 8080                    an OpenAI-compatible "
    "server\n"
    "  weir inspect model.gguf                                        what is in the file, what it "
    "needs\n";

// Whether each word that stands where `app`, or a group of it, takes a command names one; when not,
// says so.
bool names_commands(const CLI::App& app, const std::string& path,
                    std::span<const std::string> words) {
  const std::vector<const CLI::App*> commands = app.get_subcommands({});
  if (commands.empty() || words.empty() || words[0][0] == '-') return true;
  std::vector<std::string> names;
  for (const CLI::App* c : commands) {
    names.push_back(c->get_name());
    if (c->check_name(words[0]))  // or another name of it
      return names_commands(*c, path + " " + names.back(), words.subspan(1));
  }
  const std::string_view near = weir::config::nearest(words[0], names);
  const bool meant = 2 * weir::config::edit_distance(words[0], near) < words[0].size();
  fmt::print(stderr, "weir: there is no command \"{}\"; {}there are {}; see {} --help\n", words[0],
             meant ? fmt::format("the nearest is {}; ", near) : "", fmt::join(names, ", "), path);
  return false;
}

// `weir help COMMAND` and `weir version`, as those who come from other programs write them: the
// words that stand for them.
std::vector<std::string> usual_words(std::span<char*> words) {
  std::vector<std::string> out(words.begin(), words.end());
  if (out.empty()) return out;
  if (out[0] == "version" && out.size() == 1) return {"--version"};
  if (out[0] != "help") return out;
  out.erase(out.begin());
  out.emplace_back("--help");
  return out;
}

constexpr size_t kLeastLetters = 3;  // of a name that is found in another

// What the words say that no flag or argument takes, with the flag that was probably meant.
std::string unexpected(const CLI::App& app) {
  const CLI::App* command = &app;
  std::string path = app.get_name();
  while (!command->get_subcommands().empty()) {
    command = command->get_subcommands().front();
    path += " " + command->get_name();
  }
  const std::vector<std::string> words = app.remaining(true);
  std::vector<std::string> names;
  for (const CLI::Option* option : command->get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  for (const std::string& word : words) {
    if (!word.starts_with("-")) continue;
    const std::string name = word.substr(0, word.find('='));
    const std::string_view near = weir::config::nearest(name, names);
    // One that shares hardly a letter would lead astray.
    const std::string bare = name.substr(std::min(name.size(), name.find_first_not_of('-')));
    const bool meant =
        bare.size() >= kLeastLetters && (near.find(bare) != std::string_view::npos ||
                                         2 * weir::config::edit_distance(name, near) < name.size());
    return fmt::format("{} has no flag {}; {}see {} --help", path, name,
                       meant ? fmt::format("the nearest is {}; ", near) : "", path);
  }
  // The habit of llama-quantize: IN OUT TYPE.
  if (command->get_name() == "quantize" && !words.empty() && weir::ops::find_mix(words[0]).ok())
    return fmt::format("{} takes the type as a flag: --type {}", path, words[0]);
  return fmt::format("{} takes no argument \"{}\" here; see {} --help", path, fmt::join(words, " "),
                     path);
}

// A message may hold names out of files: what would steer a terminal does not reach it.
std::string for_terminal(std::string_view message) {
  std::string out;
  while (true) {
    const size_t end = message.find_first_of("\n\t");
    out += weir::plot::printable(message.substr(0, end));
    if (end == std::string_view::npos) return out;
    out += message[end];
    message.remove_prefix(end + 1);
  }
}

int run(int argc, char** argv) {
  CLI::App app{"weir: serve GGUF language models on CPUs", "weir"};
  app.set_version_flag("--version", std::string("weir ") + WEIR_VERSION);
  app.require_subcommand(1);
  weir::cli::Selected selected;
  weir::cli::add_run(app, selected);
  weir::cli::add_serve(app, selected);
  weir::cli::add_gateway(app, selected);
  weir::cli::add_cache(app, selected);
  weir::cli::add_embed(app, selected);
  weir::cli::add_tokenize(app, selected);
  weir::cli::add_inspect(app, selected);
  weir::cli::add_bench(app, selected);
  weir::cli::add_eval(app, selected);
  weir::cli::add_quantize(app, selected);
  weir::cli::add_imatrix(app, selected);
  weir::cli::add_recipe(app, selected);
  weir::cli::add_config(app, selected);
  weir::cli::add_keys(app, selected);
  weir::cli::add_init(app, selected);
  weir::cli::add_intake(app, selected);
  weir::cli::add_advise(app, selected);
  weir::cli::add_plan(app, selected);
  weir::cli::add_doctor(app, selected);
  weir::cli::add_sources(app, selected);
  weir::cli::add_cost(app, selected);
  weir::cli::add_review(app, selected);
  weir::cli::add_promote(app, selected);
  weir::cli::add_rollback(app, selected);
  weir::cli::add_rollout(app, selected);
  weir::cli::add_route(app, selected);
  weir::cli::add_log(app, selected);
  weir::cli::add_skill(app, selected);
  weir::cli::add_mcp(app, selected);
  app.footer(kExamples);  // after the commands, which would inherit it
  if (argc == 1) {
    fmt::print(stderr, "{}", app.help());
    return weir::cli::kExitUsage;
  }
  std::vector<std::string> words = usual_words(std::span(argv + 1, static_cast<size_t>(argc - 1)));
  if (!names_commands(app, "weir", words)) return weir::cli::kExitUsage;
  std::reverse(words.begin(), words.end());  // as CLI11 takes them
  try {
    app.parse(std::move(words));
  } catch (const CLI::ExtrasError&) {
    fmt::print(stderr, "weir: {}\n", unexpected(app));
    return weir::cli::kExitUsage;
  } catch (const CLI::RequiredError& error) {  // also for want of a command behind a flag
    const std::vector<std::string> rest = app.remaining(true);
    const bool flag = std::any_of(rest.begin(), rest.end(),
                                  [](const std::string& word) { return word.starts_with("-"); });
    if (flag) {
      fmt::print(stderr, "weir: {}\n", unexpected(app));
    } else {
      app.exit(error);
    }
    return weir::cli::kExitUsage;
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? weir::cli::kExitOk : weir::cli::kExitUsage;
  }
  if (const std::string problem = weir::cli::no_value(app); !problem.empty()) {
    fmt::print(stderr, "weir: {}\n", problem);
    return weir::cli::kExitUsage;
  }
  weir::Result<int> result =
      selected.action ? selected.action() : weir::Result<int>(weir::cli::kExitUsage);
  if (!result.ok()) {
    fmt::print(stderr, "weir: {}\n", for_terminal(result.error().message));
    return weir::cli::exit_code(result.error().code);
  }
  return *result;
}

// Nothing here throws: standard error may be full, too.
int no_output(const char* why) {
  std::fprintf(stderr, "weir: standard output could not be written: %s\n", why);
  return weir::cli::kExitUnavailable;
}

}  // namespace

int main(int argc, char** argv) {
  weir::os::fill_standard_files();
  weir::os::explain_sigbus();
  weir::os::ignore_sigxfsz();
  weir::os::remove_temporaries_on_signals();
  try {
    const int code = run(argc, argv);
    // What is still buffered may not fit any more: a full disk under `> file`.
    if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return code;
    return no_output(std::strerror(errno));
  } catch (const std::bad_alloc&) {
    std::fputs("weir: out of memory\n", stderr);
    return weir::cli::kExitBadInput;
  } catch (const std::system_error& error) {  // as fmt::print throws it
    if (std::ferror(stdout) != 0) return no_output(error.code().message().c_str());
    std::fprintf(stderr, "weir: internal error: %s\n", error.what());
    return weir::cli::kExitUnavailable;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "weir: internal error: %s\n", error.what());
    return weir::cli::kExitUnavailable;
  }
}
