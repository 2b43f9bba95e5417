// weir config prometheus and grafana: what is scraped, recorded, alerted on and shown, by the
// engine's own metrics.
#include <fmt/format.h>

#include <algorithm>

#include "ops/config_write/metric_names.h"
#include "ops/config_write/write.h"
#include "ops/config_write/yaml_text.h"
#include "text/json.h"

namespace weir::ops {
namespace {

using Y = YamlText;
using text::Json;

constexpr double kFullShare = 0.95;  // of the KV cache: preemptions are near
constexpr double kPreemptionsPerS = 1.0 / 60;
constexpr double kQueueShare = 0.5;  // of what may wait

// One thing to see: recorded and drawn.
struct Signal {
  const char* name;  // of the recording rule, behind "llm:"
  const char* title;
  const char* field;  // of the intake
  const char* unit;   // of Grafana
  double quantile;
  const char* why;
};
constexpr Signal kSignals[] = {
    {"requests_waiting", "Requests waiting", "observed.waiting", "short", 0,
     "what the autoscaler follows; above nothing for long: too few replicas"},
    {"requests_running", "Requests running", "observed.running", "short", 0,
     "at the limit of a replica the queue grows next"},
    {"ttft_seconds_p95", "First token, p95", "observed.ttft_ms", "s", 0.95,
     "the objective that people feel first"},
    {"itl_seconds_p95", "Next token, p95", "observed.itl_ms", "s", 0.95,
     "rises when prompts of others share the steps, or the batch is too large"},
    {"total_seconds_p99", "Whole answer, p99", "observed.total_ms", "s", 0.99,
     "what timeouts and drains must outlast"},
    {"kv_usage", "KV cache in use", "observed.kv_usage", "percentunit", 0,
     "near 1 requests are preempted and computed again"},
    {"prefix_hit_rate", "Prefix hits", "observed.prefix_hit_rate", "percentunit", 0,
     "the plan counts on shared prompts; a fall means routing or templates changed"},
    {"preemptions_per_second", "Preemptions", "observed.preemptions_per_s", "short", 0,
     "each is work that is done twice"},
    {"output_tokens_per_second", "Generated tokens", "observed.throughput_tok_s", "short", 0,
     "what is paid for"},
    {"requests_per_second", "Requests finished", "observed.requests_per_s", "reqps", 0,
     "beside the plan's highest rate of a replica"},
};

// Sums have no labels left: the job tells one model's from another's.
Y recording(const Signal& s, const std::string& expression, const std::string& job) {
  return Y::map(
      {{"record",
        Y::text(fmt::format("llm:{}", s.name)).why(fmt::format("{} [{}]", s.why, kHypothesis))},
       {"expr", Y::text(expression)},
       {"labels", Y::map({{"job", Y::text(job)}})}});
}

struct Alert {
  std::string name, expression, lasts, severity, summary, source;
};

Y alert_rule(const Alert& a) {
  return Y::map({{"alert", Y::text(a.name).why(fmt::format("{} [{}]", a.summary, a.source))},
                 {"expr", Y::text(a.expression)},
                 {"for", Y::text(a.lasts)},
                 {"labels", Y::map({{"severity", Y::text(a.severity)}})},
                 {"annotations", Y::map({{"summary", Y::text(a.summary)}})}});
}

std::vector<Alert> alerts_of(const WriteContext& c, const EnvironmentValues& e) {
  const PlanFile& p = *c.plan;
  const std::string plan(kFromPlan);
  const std::string page = e.name == "prod" ? "page" : "ticket";
  const std::string of = fmt::format("{{job=\"{}\"}}", object_name(p));
  const std::string replicas = "sum by (job) (up" + of + ")";
  const auto shown = [&](const char* field) {
    return !metric_name(c.profile->engine, field).empty();
  };
  const int fleet = e.most > 0 ? e.least : e.replicas;
  const int needed = std::max(1, fleet - (fleet > 1 ? p.spare : 0));
  std::vector<Alert> out;
  out.push_back(
      {"LlmReplicasMissing",
       // A sum of nothing is no zero: without any target the comparison holds for nothing.
       fmt::format("{} < {} or absent(up{})", replicas, needed, of), "5m", page,
       fmt::format("fewer than {} replicas, what is planned at least without the spare", needed),
       plan});
  const auto slow = [&](const char* name, const char* metric, const char* what, double limit_ms,
                        const std::string& severity) {
    out.push_back({name, fmt::format("llm:{}{} > {:g}", metric, of, limit_ms / 1000), "10m",
                   severity, fmt::format("{}, p95, above the objective of {:g} ms", what, limit_ms),
                   plan});
  };
  if (p.slo.ttft_ms_p95 > 0 && shown("observed.ttft_ms"))
    slow("LlmFirstTokenSlow", "ttft_seconds_p95", "first token", p.slo.ttft_ms_p95, page);
  if (p.slo.itl_ms_p95 > 0 && shown("observed.itl_ms"))
    slow("LlmNextTokenSlow", "itl_seconds_p95", "next token", p.slo.itl_ms_p95, "ticket");
  if (shown("observed.waiting"))
    out.push_back(
        {"LlmQueueLong",
         // At least one, which a queue of one place reaches too.
         fmt::format("llm:requests_waiting{} >= {:g} * {}", of,
                     std::max(1.0, kQueueShare * static_cast<double>(e.max_queued)), replicas),
         "5m", "ticket", "half of what may wait is waiting: soon requests are refused", plan});
  if (shown("observed.kv_usage"))
    out.push_back({"LlmKvCacheFull", fmt::format("llm:kv_usage{} > {:g}", of, kFullShare), "10m",
                   "ticket", "the KV cache is nearly full: requests wait or are preempted",
                   std::string(kHypothesis)});
  if (shown("observed.preemptions_per_s"))
    out.push_back(
        {"LlmPreemptions",
         fmt::format("llm:preemptions_per_second{} > {:.4f} * {}", of, kPreemptionsPerS, replicas),
         "15m", "ticket",
         "more than one preemption a minute and replica: fewer at once, or more memory",
         "sglang-tuning-docs"});
  return out;
}

Y rules_tree(const WriteContext& c, const EnvironmentValues& e) {
  const std::string job = object_name(*c.plan);
  Y records = Y::list({}), alerts = Y::list({});
  for (const Signal& s : kSignals) {
    const std::string x = metric_expression(c.profile->engine, s.field, job, s.quantile);
    if (!x.empty()) records.push(recording(s, x, job));
  }
  for (const Alert& a : alerts_of(c, e)) alerts.push(alert_rule(a));
  return Y::map(
      {{"groups",
        Y::list({Y::map({{"name", Y::text("llm-recorded")}, {"rules", std::move(records)}}),
                 Y::map({{"name", Y::text("llm-alerts")}, {"rules", std::move(alerts)}})})}});
}

Y scrape_tree(const WriteContext& c, const EnvironmentValues& e) {
  WriteContext own = c;
  own.environment = e;
  Y targets = Y::list({});
  for (const std::string& b : backend_addresses(own)) targets.push(Y::text(b));
  Y job = Y::map(
      {{"job_name", Y::text(object_name(*c.plan))},
       {"metrics_path",
        Y::text(c.profile->metrics_path).why(fmt::format("of {} [hypothesis]", c.profile->engine))},
       {"static_configs", Y::list({Y::map({{"targets", std::move(targets)}})})}});
  return Y::map(
      {{"global", Y::map({{"scrape_interval",
                           Y::text("15s").why("the autoscaler looks as often [hypothesis]")},
                          {"evaluation_interval", Y::text("15s")}})},
       {"rule_files", Y::list({Y::text("rules.yaml")})},
       {"scrape_configs", Y::list({std::move(job)})}});
}

Json threshold_steps(double limit) {
  Json steps = Json::array();
  Json green = Json::object(), red = Json::object();
  green.set("color", "green");
  green.set("value", Json());
  steps.push_back(std::move(green));
  if (limit > 0) {
    red.set("color", "red");
    red.set("value", limit);
    steps.push_back(std::move(red));
  }
  return steps;
}

double limit_of(const PlanFile& p, std::string_view field) {
  if (field == "observed.ttft_ms") return p.slo.ttft_ms_p95 / 1000;
  if (field == "observed.itl_ms") return p.slo.itl_ms_p95 / 1000;
  if (field == "observed.total_ms") return p.slo.total_ms_p99 / 1000;
  return field == "observed.kv_usage" ? kFullShare : 0;
}

Json panel(const Signal& s, const std::string& expression, int index, double limit) {
  Json source = Json::object();
  source.set("type", "prometheus");
  source.set("uid", "${datasource}");
  Json place = Json::object();
  place.set("h", 8);
  place.set("w", 12);
  place.set("x", index % 2 * 12);
  place.set("y", index / 2 * 8);
  Json target = Json::object();
  target.set("refId", "A");
  target.set("datasource", source);
  target.set("expr", expression);
  Json targets = Json::array();
  targets.push_back(std::move(target));
  Json thresholds = Json::object();
  thresholds.set("mode", "absolute");
  thresholds.set("steps", threshold_steps(limit));
  Json style = Json::object();
  style.set("mode", limit > 0 ? "line" : "off");
  Json custom = Json::object();
  custom.set("thresholdsStyle", std::move(style));
  Json defaults = Json::object();
  defaults.set("unit", s.unit);
  defaults.set("min", 0);
  defaults.set("thresholds", std::move(thresholds));
  defaults.set("custom", std::move(custom));
  Json fields = Json::object();
  fields.set("defaults", std::move(defaults));
  fields.set("overrides", Json::array());
  Json out = Json::object();
  out.set("id", index + 1);
  out.set("type", "timeseries");
  out.set("title", s.title);
  out.set("description", limit > 0 ? fmt::format("{}; the line is the plan's limit [plan]", s.why)
                                   : fmt::format("{} [hypothesis]", s.why));
  out.set("datasource", std::move(source));
  out.set("gridPos", std::move(place));
  out.set("targets", std::move(targets));
  out.set("fieldConfig", std::move(fields));
  return out;
}

Json data_source_variable() {
  Json v = Json::object();
  v.set("name", "datasource");
  v.set("type", "datasource");
  v.set("query", "prometheus");
  Json list = Json::array();
  list.push_back(std::move(v));
  Json out = Json::object();
  out.set("list", std::move(list));
  return out;
}

}  // namespace

Status write_prometheus(const WriteContext& c, WrittenConfig& out) {
  const Y own = rules_tree(c, c.environment);
  out.files.push_back(
      {c.path("prometheus.yaml"), file_head(c) + scrape_tree(c, c.environment).dump()});
  out.files.push_back({c.path("rules.yaml"), file_head(c) + own.dump()});
  out.differences = list_differences(scrape_tree(c, c.base), scrape_tree(c, c.environment),
                                     c.path("prometheus.yaml"));
  for (EnvironmentDifference& d :
       list_differences(rules_tree(c, c.base), own, c.path("rules.yaml")))
    out.differences.push_back(std::move(d));
  for (const Signal& s : kSignals) {
    if (metric_name(c.profile->engine, s.field).empty())
      out.left_out.push_back(
          fmt::format("{}: {} shows no such metric", s.title, c.profile->engine));
  }
  if (c.request->backends.empty())
    out.notes.emplace_back(
        "targets are ports of this machine: name the replicas with --backend "
        "HOST:PORT");
  return {};
}

Status write_grafana(const WriteContext& c, WrittenConfig& out) {
  const PlanFile& p = *c.plan;
  const std::string job = object_name(p);
  Json panels = Json::array();
  int index = 0;
  for (const Signal& s : kSignals) {
    const std::string x = metric_expression(c.profile->engine, s.field, job, s.quantile);
    if (x.empty()) continue;
    panels.push_back(panel(s, x, index++, limit_of(p, s.field)));
  }
  Json time = Json::object();
  time.set("from", "now-6h");
  time.set("to", "now");
  Json board = Json::object();
  board.set("uid", fmt::format("{}-{}", job, c.environment.name).substr(0, 40));
  board.set("title", fmt::format("{} on {} ({})", job, c.profile->engine, c.environment.name));
  board.set("description",
            fmt::format("Written by weir config grafana from the plan of {}; figures of the plan "
                        "are {}",
                        p.created, p.evidence_class));
  board.set("schemaVersion", 39);
  board.set("editable", true);
  board.set("refresh", "30s");
  board.set("time", std::move(time));
  board.set("templating", data_source_variable());
  board.set("panels", std::move(panels));
  out.files.push_back({c.path("dashboard.json"), board.dump({.indent = 2}) + "\n"});
  out.notes.emplace_back(
      "panels ask for the engine's own metrics, so they need no recording rules");
  return {};
}

}  // namespace weir::ops
