#include "ops/deploy/forms.h"
#include "ops/deploy/listen_address.h"

namespace weir::ops {
namespace {

using config::Node;

void read_environment(const Node* node, ContainerSpec& c) {
  if (node == nullptr) return;
  for (const config::Member& m : node->members) {
    const bool known =
        m.value.kind == Node::Kind::kScalar && m.value.text.find("${") == std::string::npos;
    c.environment[m.key] = {m.value.text, m.line, known};
  }
  for (const Node& item : node->items) {
    const size_t equals = item.text.find('=');
    const bool known = equals != std::string::npos && item.text.find("${") == std::string::npos;
    c.environment[item.text.substr(0, equals)] = {
        equals == std::string::npos ? "" : item.text.substr(equals + 1), item.line, known};
  }
}

bool publishes(const Node& port) {
  if (port.kind == Node::Kind::kMap) {
    const std::string ip = text_at(port, "host_ip");
    return ip.empty() || !is_loopback(ip);
  }
  return opens_port(port.text);
}

// Devices that deploy.resources.reservations ask for.
int64_t devices_of(const Node& service) {
  const Node* devices = at_path(service, "deploy.resources.reservations.devices");
  int64_t count = 0;
  if (devices == nullptr) return 0;
  for (const Node& d : devices->items) {
    if (const auto n = integer_of(d.find("count"))) count += *n;
    if (const Node* ids = d.find("device_ids")) count += static_cast<int64_t>(ids->items.size());
  }
  return count;
}

Status read_service(const ConfigText& source, const config::Member& member, Deployment& out) {
  const Node& s = member.value;
  WorkloadSpec w;
  ContainerSpec c;
  w.kind = "service";
  w.name = c.name = member.key;
  w.line = c.line = member.line;
  if (const Node* image = s.find("image")) {
    c.image = image->text;
    c.image_line = image->line;
  }
  w.replicas = integer_of(at_path(s, "deploy.replicas"));
  if (w.replicas) w.replicas_line = at_path(s, "deploy.replicas")->line;
  read_environment(s.find("environment"), c);
  c.shared_memory = s.find("shm_size") != nullptr || text_at(s, "ipc") == "host";
  c.memory_limit =
      s.find("mem_limit") != nullptr || at_path(s, "deploy.resources.limits.memory") != nullptr;
  c.healthcheck = s.find("healthcheck") != nullptr;
  c.privileged = text_at(s, "privileged") == "true";
  c.devices = devices_of(s);
  if (const Node* ports = s.find("ports")) {
    for (const Node& port : ports->items) c.published = c.published || publishes(port);
  }
  c.published = c.published || text_at(s, "network_mode") == "host";
  WEIR_ASSIGN(const auto entrypoint, words_of(source, s.find("entrypoint")));
  WEIR_ASSIGN(const auto command, words_of(source, s.find("command")));
  // What was asked for is not every service.
  ConfigText own = source;
  if (entrypoint.empty() && (command.empty() || !command[0].text.starts_with('-'))) own.engine = "";
  WEIR_TRY(set_call(own, entrypoint, command, c));
  w.containers.push_back(std::move(c));
  out.workloads.push_back(std::move(w));
  return {};
}

}  // namespace

Status read_compose(const ConfigText& source, const Node& root, Deployment& out) {
  out.form = ConfigForm::kCompose;
  for (const config::Member& m : root.find("services")->members)
    WEIR_TRY(read_service(source, m, out));
  return {};
}

}  // namespace weir::ops
