#include <algorithm>
#include <array>
#include <optional>

#include "ops/deploy/forms.h"
#include "ops/deploy/listen_address.h"
#include "ops/deploy/recognise.h"

namespace weir::ops {
namespace {

// Options of docker run without a value; every other one takes the next word unless it has "=".
constexpr std::array<std::string_view, 12> kDockerSwitches{
    "--detach",         "--rm",         "--interactive", "--tty",
    "--init",           "--privileged", "--quiet",       "--publish-all",
    "--no-healthcheck", "--read-only",  "--sig-proxy",   "--oom-kill-disable"};
// Letters without a value, which may stand together ("-dit"); of another one the value follows at
// once ("-p8000:8000", "-p=8000:8000") or is the next word.
constexpr std::string_view kSwitchLetters = "ditPq";

struct DockerOption {
  std::string name;
  std::optional<std::string> value;  // in the same word
  bool is_switch = false;
};

DockerOption docker_option_of(const std::string& word) {
  const size_t equals = word.find('=');
  DockerOption out;
  if (word.starts_with("--")) {
    out.name = word.substr(0, equals);
    out.is_switch = std::find(kDockerSwitches.begin(), kDockerSwitches.end(), out.name) !=
                    kDockerSwitches.end();
    if (equals != std::string::npos) out.value = word.substr(equals + 1);
    return out;
  }
  size_t at = 1;
  while (at < word.size() && kSwitchLetters.find(word[at]) != std::string_view::npos) ++at;
  out.is_switch = at >= word.size() || word[at] == '=';  // "-d=true"
  if (out.is_switch) return out;
  out.name = std::string("-") + word[at];
  std::string rest = word.substr(at + 1);
  if (rest.starts_with('=')) rest.erase(0, 1);
  if (!rest.empty()) out.value = std::move(rest);
  return out;
}

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
    const DockerOption option = docker_option_of(word.text);
    if (option.name == "--privileged") c.privileged = option.value.value_or("true") == "true";
    if (option.is_switch) continue;
    if (option.value) {
      docker_option(option.name, {*option.value, word.line, word.expands}, c, w, entrypoint);
    } else if (at < words.size()) {
      docker_option(option.name, words[at++], c, w, entrypoint);
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
