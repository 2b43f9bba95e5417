#include "ops/skill/helper_server.h"

#include <chrono>
#include <string_view>

#include "os/job.h"

namespace weir::ops {
namespace {

constexpr int kMaxLogBytes = 1 << 16;
constexpr std::string_view kReady = "weir: ready ";
constexpr std::string_view kModel = " model=";

}  // namespace

HelperServer::HelperServer(std::vector<std::string> command, int timeout_ms)
    : thread_([this, timeout_ms, words = std::move(command)] { hold(words, timeout_ms); }) {}

HelperServer::~HelperServer() {
  stop_ = true;
  thread_.join();
}

// The job belongs to the thread that started it: it dies with it.
void HelperServer::hold(const std::vector<std::string>& command, int timeout_ms) {
  os::JobSpec spec;
  spec.command = command;
  spec.max_bytes = kMaxLogBytes;
  auto job = os::Job::start(spec);
  if (!job.ok()) return ready_.set_value("!" + job.error().message);
  const auto line = job->wait_for_line(kReady, timeout_ms);
  ready_.set_value(line.ok() ? *line : "!" + line.error().message);
  while (line.ok() && !stop_ && job->running())
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
}

void HelperServer::wait_ready() {
  const std::string said = ready_.get_future().get();
  const size_t model = said.find(kModel);
  if (said.starts_with("!") || model == std::string::npos) {
    problem_ = "its server did not start: " + said;
    return;
  }
  url_ = said.substr(kReady.size(), model - kReady.size());
  model_ = said.substr(model + kModel.size());
}

}  // namespace weir::ops
