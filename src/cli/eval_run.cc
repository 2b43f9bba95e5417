#include "cli/eval_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <utility>

#include "base/clock.h"
#include "cli/load.h"
#include "cli/outputs.h"
#include "cli/terminal.h"
#include "engine/loaded_model.h"
#include "http/url.h"
#include "kernels/isa.h"
#include "ops/eval/fingerprint.h"
#include "ops/eval/remote_run.h"
#include "os/build_id.h"
#include "os/memory.h"
#include "text/chat_template.h"

namespace weir::cli {
namespace {

constexpr int32_t kDefaultContextTokens = 8192;

void notice(const std::string& what) { fmt::print(stderr, "weir: {}\n", what); }

// Runs all tasks with one progress bar. with: a TaskRunner or RemoteRunner; run_one: its function.
template <typename Runner, typename RunOne>
Status run_tasks(Runner& with, const LoadedSuite& suite, const std::string& label, RunOne run_one,
                 SuiteRun& out) {
  if (suite.sandbox.has_value()) {
    with.run_code = [&suite](const ops::SuiteTask& task, const std::string& program) {
      return suite.sandbox->run(task, program);
    };
  }
  const SystemClock clock;
  const int64_t start = clock.now_ns();
  ProgressBar bar(label, 1000, clock);
  const auto count = static_cast<int64_t>(suite.tasks.size());
  for (size_t i = 0; i < suite.tasks.size(); ++i) {
    const std::string& name = suite.tasks[i].task.name;
    with.progress = [&](int64_t done, int64_t all) {
      const auto before = static_cast<int64_t>(i) * 1000;
      bar.update(static_cast<uint64_t>((before + done * 1000 / all) / count),
                 fmt::format("{} {} of {}", name, done, all));
    };
    auto task = run_one(with, suite.tasks[i], out.cost);
    if (!task.ok()) return task.error().with_context("task " + name);
    out.run.tasks.push_back(std::move(*task));
  }
  ops::EvalSpeed& speed = out.run.speed;
  speed.seconds = std::max(1e-9, static_cast<double>(clock.now_ns() - start) * 1e-9);
  speed.prompt_tokens = out.cost.prompt_tokens;
  speed.generated_tokens = out.cost.generated_tokens;
  speed.tokens_per_s =
      static_cast<double>(speed.prompt_tokens + speed.generated_tokens) / speed.seconds;
  out.run.cached_items = out.cost.cached_items;
  return {};
}

Result<SuiteRun> run_on_model(LoadedSuite& suite, const SuiteOptions& o, const std::string& name,
                              const std::string& label) {
  LoadRequest request;
  request.model = name;
  request.load_type = o.load_type;
  request.threads = o.threads;
  request.kv_tokens = o.context_tokens > 0 ? o.context_tokens : kDefaultContextTokens;
  WEIR_ASSIGN(const std::unique_ptr<engine::LoadedModel> model, load_model(request));
  WEIR_ASSIGN(const text::ChatTemplate chat, text::ChatTemplate::from_gguf(model->file()));
  SuiteRun out;
  out.run.model.name = std::filesystem::path(name).filename().string();
  out.run.model.identity = ops::hex(model->identity());
  out.run.model.vocabulary = ops::hex(ops::vocabulary_hash(model->tokenizer()));
  const SystemClock clock;
  ops::TaskRunner with{model->runner(), model->tokenizer(), chat, clock};
  with.cache = suite.cache.has_value() ? &*suite.cache : nullptr;
  with.fingerprint = fmt::format("{} {} {} {}", out.run.model.identity,
                                 kernels::isa_name(model->isa()), o.load_type, os::build_id());
  with.at_once = static_cast<size_t>(o.at_once);
  with.notice = notice;
  WEIR_TRY(run_tasks(with, suite, label, ops::run_task, out));
  out.run.peak_rss_bytes = os::peak_resident_bytes();
  return out;
}

Result<std::string> api_key(const Subject& at) {
  if (at.api_key_env.empty()) return std::string();
  const char* key =
      std::getenv(at.api_key_env.c_str());  // NOLINT(concurrency-mt-unsafe): no writer
  if (key != nullptr && *key != '\0') return std::string(key);
  return make_error(ErrorCode::kUsage,
                    "the variable {} of the environment, which is to hold the API key, is not set",
                    at.api_key_env);
}

Result<text::Json> extra_body(const std::string& source) {
  if (source.empty()) return text::Json();
  auto parsed = text::Json::parse(source, {.max_values = 10'000});
  if (!parsed.ok())
    return make_error(ErrorCode::kUsage, "--extra-body: {}", parsed.error().message);
  if (parsed->is_object()) return parsed;
  return make_error(ErrorCode::kUsage, "--extra-body must be a JSON object, not {}",
                    parsed->type_name());
}

Result<SuiteRun> run_at_url(LoadedSuite& suite, const SuiteOptions& o, const Subject& at,
                            const std::string& label) {
  WEIR_ASSIGN(text::Json extra, extra_body(o.extra_body));
  WEIR_ASSIGN(const std::string key, api_key(at));
  WEIR_ASSIGN(ops::RemoteServer server, ops::remote_server(at.url, key));
  server.timeout = std::chrono::milliseconds(static_cast<int64_t>(std::ceil(o.timeout_s * 1e3)));
  server.retry.retries = o.retries;
  if (!key.empty() && !http::is_loopback(server.url.host))
    notice("the API key goes over http, which others on the way can read");
  const SystemClock clock;
  WEIR_ASSIGN(ops::RemoteClient client,
              ops::RemoteClient::start(std::move(server), static_cast<size_t>(o.parallel), clock));
  WEIR_ASSIGN(const ops::ServedModel model, ops::find_remote_model(client, at.served_model));
  ops::RemoteRunner with{client, {}};
  with.shape.model = model.id;
  with.shape.extra = std::move(extra);
  with.shape.tools_in_prompt = o.tools_in_prompt;
  with.window_tokens = model.window_tokens;
  if (o.context_tokens > 0) with.window_tokens = o.context_tokens;
  with.cache = suite.cache.has_value() ? &*suite.cache : nullptr;
  with.parallel = static_cast<size_t>(o.parallel);
  with.notice = notice;
  SuiteRun out;
  out.run.model.name = fmt::format("{} at {}", model.id, client.server().url.authority());
  out.run.model.where = "url";
  out.run.params.set(ops::kExtraBodyParam, with.shape.extra);
  out.run.params.set(ops::kToolsInPromptParam, o.tools_in_prompt);
  WEIR_TRY(run_tasks(with, suite, label, ops::run_remote_task, out));
  return out;
}

// For tasks of kind code, before the model is asked anything: consent, and a sandbox that works.
Status open_sandbox(const SuiteOptions& o, LoadedSuite& suite) {
  const std::vector<ops::SuiteTask>& tasks = suite.suite.tasks;
  const auto code = std::find_if(tasks.begin(), tasks.end(),
                                 [](const ops::SuiteTask& t) { return t.kind == "code"; });
  if (code == tasks.end()) return {};
  if (!o.allow_code) return ops::code_not_allowed(*code);
  WEIR_ASSIGN(ops::CodeSandbox sandbox, ops::CodeSandbox::make(o.python));
  if (!sandbox.lacks().empty()) {
    notice(
        fmt::format("{}: code runs without namespaces of its own, under limits, seccomp and "
                    "Landlock alone",
                    sandbox.lacks()));
  }
  suite.sandbox.emplace(std::move(sandbox));
  return {};
}

}  // namespace

void add_suite_options(CLI::App* c, SuiteOptions& o) {
  c->add_option("--data", o.data, "folder of the suite's files (default: the suite's)");
  c->add_option("--limit", o.limit, "only the first items of each task")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40));
  c->add_flag("--allow-code-execution", o.allow_code,
              "tasks of kind code may run what the model writes, in a sandbox");
  c->add_option("--python", o.python, "the interpreter of such tasks")->capture_default_str();
  c->add_option("--cache", o.cache,
                "a file of answers: those in it are not computed again, new ones are added");
  c->add_option("--ctx", o.context_tokens,
                "tokens of a model's cache: the window, and what items that run together share "
                "(default: 8192); at a URL the window (default: what the server says)")
      ->check(CLI::Range(64, 1 << 24));
  add_load_type(c, o.load_type);
  c->add_option("--at-once", o.at_once, "of a model: prompts that generate together")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  add_threads_option(c, o.threads);
  c->add_option("--parallel", o.parallel, "at a URL: requests at a time")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  c->add_option("--timeout", o.timeout_s, "at a URL: seconds that a request may take")
      ->check(CLI::Range(0.01, 86400.0))
      ->capture_default_str();
  c->add_option("--retries", o.retries,
                "at a URL: more tries of a request after 429, 502, 503, 504 or a lost connection, "
                "when Retry-After says, at most 60 s later")
      ->check(CLI::Range(0, 100))
      ->capture_default_str();
  c->add_option("--extra-body", o.extra_body,
                "at a URL: a JSON object whose members each request gets too");
  c->add_flag("--tools-in-prompt", o.tools_in_prompt,
              "at a URL: tools in a system message, for servers that parse no calls");
}

Status check_suite_outputs(const std::vector<std::pair<std::string, std::string>>& outputs,
                           const std::vector<std::string>& models, const SuiteOptions& o,
                           std::vector<std::string> inputs) {
  const bool writes = std::any_of(outputs.begin(), outputs.end(),
                                  [](const auto& out) { return !out.second.empty(); });
  if (writes && !o.suite.empty()) {
    WEIR_ASSIGN(const ops::Suite suite, ops::read_suite(o.suite));
    for (std::string& file : ops::suite_files(suite, o.suite, o.data))
      inputs.push_back(std::move(file));
  }
  inputs.push_back(o.suite);
  inputs.push_back(o.cache);
  return check_outputs_of_models(outputs, models, std::move(inputs));
}

Result<LoadedSuite> load_suite(const SuiteOptions& o) {
  LoadedSuite out;
  if (auto extra = extra_body(o.extra_body); !extra.ok()) return extra.error();
  WEIR_ASSIGN(out.suite, ops::read_suite(o.suite));
  WEIR_ASSIGN(out.tasks, ops::load_tasks(out.suite, o.suite, o.data, o.limit));
  WEIR_TRY(open_sandbox(o, out));
  if (o.cache.empty()) return out;
  WEIR_ASSIGN(ops::ResultCache cache, ops::ResultCache::open(o.cache));
  if (cache.cut_bytes() > 0) {
    notice(fmt::format("{}: a last line was torn, as by a kill; its {} bytes are cut off", o.cache,
                       cache.cut_bytes()));
  }
  out.cache.emplace(std::move(cache));
  return out;
}

Result<SuiteRun> run_suite(LoadedSuite& suite, const SuiteOptions& options, const Subject& subject,
                           const std::string& label) {
  Result<SuiteRun> out = subject.url.empty() ? run_on_model(suite, options, subject.model, label)
                                             : run_at_url(suite, options, subject, label);
  if (!out.ok()) return out;
  out->run.suite_name = suite.suite.name;
  out->run.suite_hash = suite.suite.hash;
  return out;
}

}  // namespace weir::cli
