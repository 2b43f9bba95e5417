#include "ops/lint/facts.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "ops/deploy/listen_address.h"
#include "ops/deploy/recognise.h"
#include "ops/engines/catalog.h"
#include "ops/engines/engine_facts.h"
#include "text/ascii_lower.h"
#include "text/json.h"

namespace weir::ops {
namespace {

std::optional<double> number_of(std::string_view text) {
  double v = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), v);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(v))
    return std::nullopt;
  return v;
}

// A member of the JSON that a setting holds; "" when there is none.
std::string json_member(const Setting& s, std::string_view member) {
  if (s.values.empty()) return "";
  const auto json = text::Json::parse(s.values[0].text);
  const text::Json* v = json.ok() ? json->find(member) : nullptr;
  if (v == nullptr) return "";
  return v->is_string() ? v->as_string() : v->dump();
}

class FactReader {
 public:
  explicit FactReader(const CallView& call) : call_(call) {}

  void read(const FactKind& kind, FactSet& out) const {
    const auto names = kind.engines.find(call_.snapshot->engine());
    if (names == kind.engines.end()) return;
    for (const FactName& name : names->second) {
      if (given(kind, name, out)) return;
    }
    for (const FactName& name : names->second) {
      if (from_environment(kind, name, out)) return;
    }
    for (const FactName& name : names->second) {
      if (fallback(kind, name, out)) return;
    }
  }

 private:
  const EngineOption* option(const FactName& name) const {
    return name.option.starts_with("--") ? call_.snapshot->find_flag(name.option).option
                                         : call_.snapshot->find_key(name.option);
  }

  // As the kind's type; false when it is not of it.
  bool put(const FactKind& kind, const std::string& text, int line, bool is_given,
           FactSet& out) const {
    if (kind.type == "bool") {
      out.set_flag(kind.name, text::ascii_lower(text) == "true", line, is_given);
      return true;
    }
    if (kind.type == "text") {
      const auto known = kind.values.find(text::ascii_lower(text));
      out.set(kind.name, known == kind.values.end() ? text : known->second, line, is_given);
      if (known == kind.values.end() && !kind.values.empty())
        out.set(kind.name, text::ascii_lower(text), line, is_given);
      return true;
    }
    std::optional<double> v = number_of(text);
    if (!v && call_.snapshot->engine() == "vllm") {
      if (const auto whole = human_integer(text)) v = static_cast<double>(*whole);
    }
    if (!v) return false;
    out.set_number(kind.name, *v, line, is_given);
    return true;
  }

  bool given(const FactKind& kind, const FactName& name, FactSet& out) const {
    const EngineOption* o = option(name);
    const Setting* s = call_.settings->find(o, name.member);
    std::string text;
    if (s == nullptr && !name.member.empty()) {
      s = call_.settings->find(o);
      if (s != nullptr) text = json_member(*s, name.member);
      if (text.empty()) return false;
    }
    if (s == nullptr) return false;
    if (text.empty() && !s->values.empty()) text = s->values[0].text;
    // A model may have several names.
    for (size_t i = 1; kind.name == "served_name" && i < s->values.size(); ++i)
      text += "," + s->values[i].text;
    if (kind.type == "bool") {
      bool on = s->values.empty() ? !s->negated : text::ascii_lower(text) == "true";
      if (name.inverted) on = !on;
      text = on ? "true" : "false";
    }
    if (!name.means.empty()) text = name.means;
    return put(kind, text, s->line, true, out);
  }

  bool from_environment(const FactKind& kind, const FactName& name, FactSet& out) const {
    const EngineOption* o = option(name);
    if (o == nullptr || o->env.empty() || !name.member.empty()) return false;
    const auto v = call_.container->environment.find(o->env);
    if (v == call_.container->environment.end() || !v->second.known) return false;
    std::string text = v->second.value;
    if (kind.type == "bool") {
      const bool on =
          text::ascii_lower(text) == "true" || text == "1" || text::ascii_lower(text) == "on";
      text = on != name.inverted ? "true" : "false";
    }
    if (!name.means.empty()) text = name.means;
    return put(kind, text, v->second.line, true, out);
  }

  bool fallback(const FactKind& kind, const FactName& name, FactSet& out) const {
    const EngineOption* o = option(name);
    if (o == nullptr || !name.member.empty() || !name.means.empty()) return false;
    if (o->fallback) {
      std::string text = *o->fallback;
      if (kind.type == "bool")
        text = (text::ascii_lower(text) == "true") != name.inverted ? "true" : "false";
      return put(kind, text, 0, false, out);
    }
    // What is settled at run time is what the class says, for a bool.
    if (kind.type != "bool" || o->fallback_note.find("class says true") == std::string::npos)
      return false;
    return put(kind, name.inverted ? "false" : "true", 0, false, out);
  }

  const CallView& call_;
};

bool is_secret(std::string_view name) {
  for (const std::string_view part : {"TOKEN", "API_KEY", "SECRET", "PASSWORD", "ACCESS_KEY"}) {
    if (name.ends_with(part)) return true;
  }
  return false;
}

void add_secrets(const CallView& call, FactSet& out) {
  std::string names;
  int line = 0;
  const auto add = [&](const std::string& name, int at) {
    if (line == 0) line = at;
    names += (names.empty() ? "" : ", ") + name;
  };
  for (const auto& [name, v] : call.container->environment) {
    if (v.known && !v.value.empty() && is_secret(name)) add(name, v.line);
  }
  for (const Setting& s : call.settings->all) {
    if (s.option == nullptr || s.values.empty() || s.values[0].expands) continue;
    if (s.option->name == "--api-key" || s.option->name == "--api-keys" ||
        s.option->name == "--hf-token" || s.option->name == "--admin-api-key")
      add(s.written, s.line);
  }
  if (!names.empty()) out.set("secret.name", names, line, true);
}

void add_container(const CallView& call, FactSet& out) {
  const ContainerSpec& c = *call.container;
  out.set_number("container.line", c.line, c.line, true);
  if (!c.image.empty()) {
    const bool pinned = c.image.find('@') != std::string::npos;
    const std::string tag = tag_of_image(c.image);
    out.set("container.tag", pinned && tag.empty() ? "digest" : tag, c.image_line, true);
    if (const std::string version = version_of_tag(tag); !version.empty())
      out.set("image_version", version, c.image_line, true);
  }
  out.set_flag("container.readiness", c.readiness);
  out.set_flag("container.liveness", c.liveness);
  out.set_flag("container.startup", c.startup);
  out.set_flag("container.healthcheck", c.healthcheck);
  out.set_flag("container.memory_limit", c.memory_limit);
  out.set_flag("container.privileged", c.privileged);
  out.set_flag("container.shared_memory", c.shared_memory);
  out.set_number("container.devices", static_cast<double>(c.devices), c.line);
  for (const auto& [name, v] : c.environment) {
    if (v.known) out.set("env." + name, v.value, v.line, true);
  }
}

bool covers(const std::map<std::string, std::string>& wanted,
            const std::map<std::string, std::string>& labels) {
  return std::all_of(wanted.begin(), wanted.end(), [&](const auto& l) {
    const auto it = labels.find(l.first);
    return it != labels.end() && it->second == l.second;
  });
}

void add_workload(const CallView& call, FactSet& out) {
  const WorkloadSpec& w = *call.workload;
  const Deployment& d = *call.deployment;
  out.set("workload.kind", w.kind, w.line, true);
  out.set_number("workload.line", w.line, w.line, true);
  if (w.replicas) {
    const int line = w.replicas_line > 0 ? w.replicas_line : w.line;
    out.set_number("workload.replicas", static_cast<double>(*w.replicas), line,
                   w.replicas_line > 0);
  }
  const AutoscalerSpec* scaler = nullptr;
  for (const AutoscalerSpec& a : d.autoscalers) {
    // Of several signals the one that follows load best.
    if (a.target == w.name &&
        (scaler == nullptr || scaler->signal == "cpu" || scaler->signal == "memory"))
      scaler = &a;
  }
  out.set_flag("workload.autoscaled", scaler != nullptr);
  if (scaler != nullptr) {
    out.set("workload.autoscaler", scaler->signal, scaler->line, true);
    if (scaler->min_replicas)
      out.set_number("workload.autoscaler_min", static_cast<double>(*scaler->min_replicas),
                     scaler->min_line, true);
  }
  const int64_t least =
      scaler != nullptr ? scaler->min_replicas.value_or(1) : w.replicas.value_or(1);
  out.set_flag("workload.several", least > 1);
  const auto selected = [&](const std::vector<PodSelector>& by) {
    return std::any_of(by.begin(), by.end(),
                       [&](const PodSelector& s) { return covers(s.labels, w.labels); });
  };
  out.set_flag("workload.pdb", selected(d.budgets));
  out.set_flag("workload.network_policy", selected(d.network_policies));
  out.set_flag("workload.spread", w.spread);
  if (w.grace_s) out.set_number("workload.grace_s", static_cast<double>(*w.grace_s), w.line);
}

// Pods, of manifests or of a chart that makes them.
bool in_cluster(const CallView& call) {
  return call.deployment->form == ConfigForm::kKubernetes || call.snapshot->engine() == "llm-d";
}

// Whether others than this machine reach the port: the engine listens to more than loopback, and no
// container's network is between. What a chart's pods listen to is the cluster's.
bool exposed(const CallView& call, const FactSet& facts) {
  const EngineProgram* engine = engine_facts().find_engine(call.snapshot->engine());
  const Fact* host = facts.find("host");
  const bool said = host != nullptr && (host->given || !host->text.empty());
  const bool beyond = said ? !is_loopback(host->text) : engine != nullptr && engine->listens_to_all;
  const ConfigForm form = call.deployment->form;
  if (form == ConfigForm::kKeys) return beyond || (in_cluster(call) && !said);
  return beyond && (form == ConfigForm::kCommand || call.container->published);
}

// An empty key is no key: engines take it for none.
void add_key(const CallView& call, const EngineProgram* program, FactSet& out) {
  const Fact* given = out.find("api_key");
  if (given != nullptr && given->text.empty()) out.erase("api_key");
  if (program == nullptr || program->key_env.empty() || out.find("api_key") != nullptr) return;
  const auto key = call.container->environment.find(program->key_env);
  if (key != call.container->environment.end() &&
      (!key->second.known || !key->second.value.empty()))
    out.set("api_key", "set", key->second.line, true);
}

// What a bound of the queue must hold. vLLM's counts running requests too, over all data-parallel
// ranks, each of which runs max_running (vllm-queue-limit-pr#scope); the others' waiting ones
// alone.
void add_queue(const std::string& engine, const std::string& flag, FactSet& out) {
  if (engine != "vllm") {
    out.set("queue_advice",
            fmt::format("{} N, N about what is served within the TTFT that is promised", flag));
    return;
  }
  const double ranks = out.number("data_parallel").value_or(1);
  out.set_number("queue_ranks", ranks);
  const auto running = out.number("max_running");
  std::string sum = "data-parallel ranks x --max-num-seqs";
  if (running && *running >= 1) {
    out.set_number("running_capacity", ranks * *running);
    sum = fmt::format("{:.0f} running ({:.0f} x --max-num-seqs {:.0f})", ranks * *running, ranks,
                      *running);
  }
  out.set("queue_advice",
          fmt::format("{} N, which counts running and waiting requests of all ranks: N = {}, and "
                      "about what is served within the TTFT that is promised",
                      flag, sum));
}

void add_derived(const CallView& call, FactSet& out) {
  const std::string& engine = call.snapshot->engine();
  const EngineProgram* program = engine_facts().find_engine(engine);
  add_key(call, program, out);
  out.set_flag("in_cluster", in_cluster(call));
  out.set_flag("exposed", exposed(call, out));
  const auto name_in_engine = [&](std::string_view fact) -> std::string {
    const FactKind* kind = engine_facts().find_fact(fact);
    const auto names =
        kind == nullptr ? decltype(kind->engines.end()){} : kind->engines.find(engine);
    return kind == nullptr || names == kind->engines.end() ? "" : names->second[0].option;
  };
  // vLLM's --config names a file with more flags, which is not here.
  const Setting* file = call.settings->find(call.snapshot->find_flag("--config").option);
  out.set_flag("reads_file", engine == "vllm" && file != nullptr);
  const std::string queue = name_in_engine("max_queued");
  const bool limited = !queue.empty() && call.snapshot->find_flag(queue).option != nullptr;
  out.set_flag("has_queue_limit", limited);
  if (limited) out.set("queue_flag", queue);
  add_queue(engine, queue, out);
  out.set("metrics_flag", name_in_engine("metrics"));
  const Setting* headless = call.settings->find(call.snapshot->find_flag("--headless").option);
  out.set("role", headless != nullptr ? "worker" : "server");
  const double parallel = out.number("tensor_parallel").value_or(1) *
                          out.number("pipeline_parallel").value_or(1) *
                          (engine == "vllm" ? out.number("data_parallel").value_or(1) : 1);
  // llama.cpp takes all that it sees.
  const double seen = out.number("container.devices").value_or(0);
  out.set_number("parallel_devices", engine == "llama.cpp" && seen > 0 ? seen : parallel);
  const std::string& version =
      call.image_version.empty() ? call.snapshot->version() : call.image_version;
  out.set_flag("version_before_0_16", engine == "vllm" && compare_versions(version, "0.16") < 0);
  const auto context = out.number("max_model_len");
  const auto slots = out.number("max_running");
  if (context && slots && *slots >= 1) out.set_number("slot_tokens", std::floor(*context / *slots));
  out.set_flag("splits_context", engine == "llama.cpp" && !out.is("unified_kv", "true"));
  out.set_flag("router.prefix_aware", call.deployment->prefix_router_line > 0);
  out.set("shm_fix", call.deployment->form == ConfigForm::kKubernetes
                         ? "an emptyDir with medium: Memory mounted at /dev/shm"
                         : "ipc: host, or shm_size: 16g (--ipc=host, --shm-size 16g)");
}

}  // namespace

void FactSet::set(std::string_view name, std::string text, int line, bool given) {
  const std::optional<double> number = number_of(text);
  facts_[std::string(name)] = {std::move(text), number, line, given};
}

void FactSet::set_number(std::string_view name, double value, int line, bool given) {
  facts_[std::string(name)] = {fmt::format("{}", value), value, line, given};
}

void FactSet::set_flag(std::string_view name, bool value, int line, bool given) {
  facts_[std::string(name)] = {value ? "true" : "false", std::nullopt, line, given};
}

void FactSet::erase(std::string_view name) {
  if (const auto it = facts_.find(name); it != facts_.end()) facts_.erase(it);
}

const Fact* FactSet::find(std::string_view name) const {
  const auto it = facts_.find(name);
  return it == facts_.end() ? nullptr : &it->second;
}

std::optional<double> FactSet::number(std::string_view name) const {
  const Fact* f = find(name);
  return f == nullptr ? std::nullopt : f->number;
}

bool FactSet::is(std::string_view name, std::string_view text) const {
  const Fact* f = find(name);
  return f != nullptr && f->text == text;
}

FactSet facts_of(const CallView& call) {
  FactSet out;
  out.set("engine", call.snapshot->engine(), call.container->call->line, false);
  out.set("version", call.snapshot->version());
  out.set("form", std::string(form_name(call.deployment->form)));
  const FactReader reader(call);
  for (const FactKind& kind : engine_facts().facts) reader.read(kind, out);
  if (out.find("model") == nullptr || !out.find("model")->given) {
    if (!call.settings->positional.empty()) {
      const Word& model = call.settings->positional.front();
      out.set("model", model.text, model.line, true);
    }
  }
  add_container(call, out);
  add_workload(call, out);
  add_secrets(call, out);
  add_derived(call, out);
  return out;
}

}  // namespace weir::ops
