#include <algorithm>
#include <array>

#include "ops/deploy/forms.h"
#include "ops/deploy/listen_address.h"
#include "ops/deploy/recognise.h"

namespace weir::ops {
namespace {

// Options of docker run without a value; every other one takes the next word unless it has "=".
constexpr std::array<std::string_view, 20> kDockerSwitches{"-d",
                                                           "--detach",
                                                           "--rm",
                                                           "-i",
                                                           "-t",
                                                           "-it",
                                                           "-ti",
                                                           "-dit",
                                                           "-itd",
                                                           "--interactive",
                                                           "--tty",
                                                           "--init",
                                                           "--privileged",
                                                           "-P",
                                                           "--publish-all",
                                                           "-q",
                                                           "--quiet",
                                                           "--read-only",
                                                           "--no-healthcheck",
                                                           "--oom-kill-disable"};

void set_environment(std::string_view text, int line, bool expands, ContainerSpec& c) {
  const size_t equals = text.find('=');
  if (equals == 0 || text.empty()) return;
  const std::string name(text.substr(0, equals));
  if (equals == std::string_view::npos) {
    c.environment[name] = {"", line, false};
  } else {
    c.environment[name] = {std::string(text.substr(equals + 1)), line, !expands};
  }
}

// One option of docker run and its value.
void docker_option(const std::string& name, const Word& value, ContainerSpec& c, WorkloadSpec& w,
                   std::vector<Word>& entrypoint) {
  const std::string& v = value.text;
  if (name == "--name") {
    w.name = v;
    c.name = v;
  } else if (name == "-e" || name == "--env") {
    set_environment(v, value.line, value.expands, c);
  } else if (name == "-p" || name == "--publish") {
    c.published = c.published || opens_port(v);
  } else if (name == "--shm-size" || ((name == "--ipc") && v == "host")) {
    c.shared_memory = true;
  } else if (name == "--network" || name == "--net") {
    c.published = c.published || v == "host";
  } else if (name == "-m" || name == "--memory") {
    c.memory_limit = true;
  } else if (name == "--health-cmd") {
    c.healthcheck = true;
  } else if (name == "--entrypoint") {
    entrypoint = {value};
  }
}

// words[at] is the word after "run".
Status read_docker(const ConfigText& source, const std::vector<Word>& words, size_t at,
                   Deployment& out) {
  WorkloadSpec w;
  ContainerSpec c;
  w.kind = "docker run";
  w.line = c.line = words[0].line;
  std::vector<Word> entrypoint;
  while (at < words.size() && words[at].text.starts_with('-')) {
    const Word& word = words[at++];
    const size_t equals = word.text.find('=');
    const std::string name = word.text.substr(0, equals);
    if (name == "--privileged") c.privileged = true;
    if (std::find(kDockerSwitches.begin(), kDockerSwitches.end(), name) != kDockerSwitches.end())
      continue;
    if (equals != std::string::npos) {
      docker_option(name, {word.text.substr(equals + 1), word.line, word.expands}, c, w,
                    entrypoint);
    } else if (at < words.size()) {
      docker_option(name, words[at++], c, w, entrypoint);
    }
  }
  if (at >= words.size()) return {};
  c.image = words[at].text;
  c.image_line = words[at].line;
  const std::vector<Word> rest(words.begin() + static_cast<long>(at) + 1, words.end());
  WEIR_TRY(set_call(source, entrypoint, rest, c));
  if (!c.call) return {};
  out.form = ConfigForm::kDocker;
  w.containers.push_back(std::move(c));
  out.workloads.push_back(std::move(w));
  return {};
}

size_t docker_run(const std::vector<Word>& words) {
  for (size_t i = 0; i + 1 < words.size(); ++i) {
    const std::string& program = words[i].text;
    const bool docker = program == "docker" || program == "podman" || program == "nerdctl" ||
                        program.ends_with("/docker") || program.ends_with("/podman");
    if (docker && words[i + 1].text == "run") return i + 2;
    if (docker && i + 2 < words.size() && words[i + 1].text == "container" &&
        words[i + 2].text == "run")
      return i + 3;
  }
  return 0;
}

}  // namespace

Status read_commands(const ConfigText& source, Deployment& out) {
  WEIR_ASSIGN(const auto commands, split_commands(source.text, source.name));
  std::vector<Word> exported;
  for (const ShellCommand& command : commands) {
    const std::vector<Word>& words = command.words;
    if (words.empty() || words[0].text == "export") {
      exported.insert(exported.end(), command.assignments.begin(), command.assignments.end());
      exported.insert(exported.end(), words.begin(), words.end());
      continue;
    }
    if (const size_t at = docker_run(words); at > 0) {
      WEIR_TRY(read_docker(source, words, at, out));
      continue;
    }
    ContainerSpec c;
    c.line = words[0].line;
    WEIR_ASSIGN(c.call, find_call(words, source.name));
    // A file of flags alone, for the engine that was asked for.
    if (!c.call && !source.engine.empty() && words[0].text.starts_with('-'))
      c.call = EngineCall{std::string(source.engine), c.line, words, {}};
    if (!c.call) continue;
    for (const Word& a : exported) set_environment(a.text, a.line, a.expands, c);
    for (const Word& a : command.assignments) set_environment(a.text, a.line, a.expands, c);
    WorkloadSpec w;
    w.kind = "command";
    w.line = c.line;
    w.containers.push_back(std::move(c));
    out.workloads.push_back(std::move(w));
  }
  return {};
}

}  // namespace weir::ops
