#include "ops/skill/run_blocks.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <mutex>
#include <optional>
#include <thread>

#include "ops/skill/helper_server.h"
#include "os/file.h"
#include "os/job.h"
#include "os/run_program.h"
#include "os/temp_dir.h"

namespace weir::ops {
namespace {

namespace fs = std::filesystem;
constexpr size_t kMaxOutput = 256U << 10U;
constexpr size_t kShownOutput = 3000;  // the end of it

struct Servers {
  std::optional<HelperServer> model, mock;
};

// The plan of a block, of one that cannot be read as text: the lint has said so.
BlockPlan plan_of(const PageBlock& block) {
  auto plan = plan_block(block);
  return plan.ok() ? *std::move(plan) : BlockPlan{};
}

bool any_of_kind(const std::vector<Page>& pages, BlockKind kind) {
  return std::any_of(pages.begin(), pages.end(), [&](const Page& page) {
    return std::any_of(page.blocks.begin(), page.blocks.end(),
                       [&](const PageBlock& b) { return plan_of(b).kind == kind; });
  });
}

std::string end_of(const std::string& text) {
  if (text.size() <= kShownOutput) return text;
  return "...\n" + text.substr(text.size() - kShownOutput);
}

// The script's lines have the numbers of the page; its first line, which every page has before a
// block, tells where it failed.
std::string script_of(const PageBlock& block) {
  return fmt::format(
      "trap 'echo \"line $LINENO: \\\"$BASH_COMMAND\\\" failed with $?\" >&2' ERR{}{}",
      std::string(static_cast<size_t>(block.line), '\n'), block.text);
}

class PageRunner {
 public:
  PageRunner(const BlockRunOptions& options, const Servers& servers, std::string bash,
             std::string folder)
      : options_(options), servers_(servers), bash_(std::move(bash)), folder_(std::move(folder)) {}

  std::vector<BlockResult> run(const Page& page) {
    std::vector<BlockResult> out(page.blocks.size());
    std::string broken;  // why the rest is left out
    for (size_t i = 0; i < page.blocks.size(); ++i) {
      const BlockPlan plan = plan_of(page.blocks[i]);
      if (!runs(plan.kind)) continue;
      out[i].why = broken.empty() ? missing(page.blocks[i], plan.kind) : broken;
      if (out[i].why.empty()) out[i] = run(page.blocks[i], plan.kind);
      if (out[i].end != BlockResult::End::kOk && broken.empty())
        broken = fmt::format("builds on line {}, which was {}", page.blocks[i].line,
                             out[i].end == BlockResult::End::kFailed ? "not right" : "left out");
    }
    return out;
  }

 private:
  std::string missing(const PageBlock& block, BlockKind kind) const {
    if (options_.model.empty() && needs_model(block, kind)) return "there is no model";
    return "";
  }

  BlockResult run(const PageBlock& block, BlockKind kind) {
    BlockResult out;
    out.end = BlockResult::End::kFailed;
    const auto& server = kind == BlockKind::kRunMock ? servers_.mock : servers_.model;
    const bool beside = kind != BlockKind::kRun;
    if (beside && (!server || !server->problem().empty())) {
      out.why = server ? server->problem() : "its server is not there";
      return out;
    }
    const std::string script = folder_ + ".sh";
    if (const Status written = os::write_file_atomic(script, script_of(block)); !written.ok()) {
      out.why = written.error().message;
      return out;
    }
    os::JobSpec spec;
    spec.command = {bash_, "-e", script};
    spec.folder = folder_;
    spec.environment = environment(beside ? server->url() : "", beside ? server->model() : "");
    spec.merge = true;
    spec.max_bytes = kMaxOutput;
    auto job = os::Job::start(spec);
    if (!job.ok()) {
      out.why = job.error().message;
      return out;
    }
    tell(job->wait(options_.timeout_ms, options_.stopped), out);
    return out;
  }

  void tell(const os::JobEnd& end, BlockResult& out) const {
    using Why = os::JobEnd::Why;
    out.seconds = end.seconds;
    out.output = end_of(end.output);
    if (end.why == Why::kExited && end.code == 0) {
      out.end = BlockResult::End::kOk;
    } else if (end.why == Why::kExited) {
      out.why = fmt::format("exit code {}", end.code);
    } else if (end.why == Why::kSignal) {
      out.why = fmt::format("ended by signal {}", end.code);
    } else if (end.why == Why::kTimeout) {
      out.why = fmt::format("took longer than {} s", options_.timeout_ms / 1000);
    } else {
      out.why = "stopped";
    }
  }

  std::vector<std::pair<std::string, std::string>> environment(const std::string& url,
                                                               const std::string& model) const {
    std::vector<std::pair<std::string, std::string>> out = options_.environment;
    out.emplace_back("HOME", folder_);
    out.emplace_back("MODEL", options_.model);
    out.emplace_back("MODEL_NAME", model.empty() ? options_.model_name : model);
    out.emplace_back("CORPUS", options_.corpus);
    out.emplace_back("TRACE", options_.trace);
    out.emplace_back("URL", url);
    return out;
  }

  const BlockRunOptions& options_;
  const Servers& servers_;
  std::string bash_, folder_;
};

void start_servers(const std::vector<Page>& pages, const BlockRunOptions& o, Servers& servers) {
  if (!o.model.empty() && any_of_kind(pages, BlockKind::kRunServer))
    servers.model.emplace(std::vector<std::string>{o.weir, "serve", o.model, "--host", "127.0.0.1",
                                                   "--port", "0", "--threads", "1"},
                          o.server_timeout_ms);
  if (any_of_kind(pages, BlockKind::kRunMock))
    servers.mock.emplace(std::vector<std::string>{o.weir, "bench", "mock", "--port", "0"},
                         o.server_timeout_ms);
  for (auto* server : {&servers.model, &servers.mock}) {
    if (*server) (*server)->wait_ready();
  }
}

}  // namespace

Result<std::vector<std::vector<BlockResult>>> run_blocks(const std::vector<Page>& pages,
                                                         const BlockRunOptions& options) {
  const std::string bash = os::find_program("bash");
  if (bash.empty())
    return make_error(ErrorCode::kIo, "there is no bash to run the blocks with; give --no-run");
  const os::TempDir scratch;
  if (scratch.path().empty())
    return make_error(ErrorCode::kIo, "no scratch folder could be made in the temporary folder");
  Servers servers;
  start_servers(pages, options, servers);
  std::vector<std::vector<BlockResult>> results(pages.size());
  std::atomic<size_t> next{0};
  std::mutex mutex;
  const auto work = [&] {
    for (size_t i = next++; i < pages.size(); i = next++) {
      if (options.stopped && options.stopped()) return;
      const std::string folder = scratch.file(fmt::format("page-{}", i));
      std::error_code error;
      fs::create_directory(folder, error);
      results[i] = PageRunner(options, servers, bash, folder).run(pages[i]);
      if (!options.progress) continue;
      double seconds = 0;
      for (const BlockResult& r : results[i]) seconds += r.seconds;
      const std::lock_guard lock(mutex);
      options.progress(fmt::format("{}: {:.1f} s", pages[i].name, seconds));
    }
  };
  std::vector<std::thread> threads;
  for (int t = 1; t < options.pages_at_once; ++t) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  if (options.stopped && options.stopped())
    return make_error(ErrorCode::kCancelled,
                      "stopped; the servers and the running blocks are ended");
  return results;
}

std::string sample_corpus(const std::vector<Page>& pages) {
  constexpr size_t kBytes = 100'000;
  std::string once;
  for (const Page& page : pages) {
    for (const PageText& text : page.texts) once += text.text + "\n";
  }
  if (once.empty()) once = "A weir raises a river so that what flows over it can be counted.\n";
  std::string out;
  while (out.size() < kBytes) out += once.substr(0, kBytes - out.size());
  return out;
}

std::string sample_trace() {
  constexpr int kRequests = 80;
  std::string out = "TIMESTAMP,ContextTokens,GeneratedTokens\n";
  uint32_t state = 1;  // of a linear congruential generator: the same trace everywhere
  const auto draw = [&state](uint32_t below) {
    state = state * 1664525U + 1013904223U;
    return (state >> 8U) % below;
  };
  uint32_t ms = 0;
  for (int i = 0; i < kRequests; ++i) {
    ms += draw(400);
    out += fmt::format("2026-11-30 12:00:{:02}.{:03}0000,{},{}\n", ms / 1000, ms % 1000,
                       24 + draw(160), 4 + draw(20));
  }
  return out;
}

}  // namespace weir::ops
