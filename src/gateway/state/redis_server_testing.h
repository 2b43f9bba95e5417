// A redis-server of a test's own, on a socket in a folder of its own, ended with the object.
#pragma once

#include <unistd.h>

#include <csignal>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "os/job.h"
#include "os/run_program.h"
#include "os/temp_dir.h"

namespace weir::gateway {

class RedisServer {
 public:
  static bool is_installed() { return !os::find_program("redis-server").empty(); }

  // more: arguments. Null when it does not come up within 10 s.
  static std::unique_ptr<RedisServer> start(std::vector<std::string> more = {}) {
    std::unique_ptr<RedisServer> server(new RedisServer);
    server->more_ = std::move(more);
    return server->restart() ? std::move(server) : nullptr;
  }

  void kill() { job_.reset(); }  // at once; what it held is gone
  // Hangs and goes on.
  void stop() { signal_it(SIGSTOP); }
  void go_on() { signal_it(SIGCONT); }
  bool restart() {
    os::JobSpec spec;
    spec.command = {os::find_program("redis-server"),
                    "--port",
                    "0",
                    "--unixsocket",
                    socket(),
                    "--pidfile",
                    dir_.file("pid"),
                    "--unixsocketperm",
                    "700",
                    "--save",
                    "",
                    "--appendonly",
                    "no",
                    "--dir",
                    dir_.path()};
    spec.command.insert(spec.command.end(), more_.begin(), more_.end());
    auto job = os::Job::start(spec);
    if (!job.ok()) return false;
    job_.emplace(std::move(*job));
    for (int i = 0; i < 200 && job_->running(); ++i) {
      if (job_->output().find("eady to accept connections") != std::string::npos) return true;
      ::usleep(50'000);
    }
    return false;
  }
  std::string socket() const { return dir_.file("redis.sock"); }

 private:
  RedisServer() = default;
  void signal_it(int signal) {
    int pid = 0;
    std::ifstream(dir_.file("pid")) >> pid;
    if (pid > 1) ::kill(pid, signal);
  }
  os::TempDir dir_;
  std::vector<std::string> more_;
  std::optional<os::Job> job_;
};

}  // namespace weir::gateway
