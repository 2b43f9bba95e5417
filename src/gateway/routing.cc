#include "gateway/routing.h"

#include <fmt/format.h>

#include <utility>

#include "gateway/question.h"

namespace weir::gateway {
namespace {

CascadeKit kit_of(const ModelConfig& model, telemetry::Registry& registry) {
  CascadeKit kit;
  kit.config = &*model.cascade;
  for (const CascadeStepConfig& step : model.cascade->steps) {
    kit.checks.emplace_back(step.check);
    kit.verdicts.push_back(registry.counter_family(
        "weir_gateway_cascade_steps_total", "Answers of a cascade's steps by what was found",
        "verdict",
        {{"model", model.name}, {"step", std::to_string(kit.checks.size()) + " " + step.model}}));
  }
  return kit;
}

}  // namespace

Routing::Routing(Proxy& proxy, const GatewayConfig& config)
    : proxy_(proxy),
      config_(config),
      rules_(*Rules::make(config.rules)),  // they are good: the file was checked
      ruled_(proxy.instruments().registry.counter_family(
          "weir_gateway_rules_total", "Requests that a rule sent to another model", "rule")),
      shadows_(proxy, config) {
  telemetry::Registry& registry = proxy.instruments().registry;
  for (const ModelConfig& m : config.models) {
    if (m.cascade.has_value()) cascades_.emplace(&m, kit_of(m, registry));
    exposures_.emplace(&m, registry.counter_family("weir_gateway_exposures_total",
                                                   "Requests dealt to a release of a split",
                                                   "release", {{"model", m.name}}));
    if (m.difficulty.has_value())
      chosen_.emplace(&m, registry.counter_family("weir_gateway_difficulty_total",
                                                  "Requests by the model that a router chose", "to",
                                                  {{"model", m.name}}));
  }
}

Routing::~Routing() = default;

const ModelConfig* Routing::model(const std::string& name) const {
  for (const ModelConfig& m : config_.models)
    if (m.name == name) return &m;
  return nullptr;
}

// Endpoints come and go, and their places are given to others.
void Routing::find_destinations() const {
  if (destinations_version_ == proxy_.fleet().version()) return;
  destinations_version_ = proxy_.fleet().version();
  destinations_.clear();
  for (const EndpointPtr& e : proxy_.fleet().slots()) {
    if (e == nullptr || e->retired) continue;
    const http::Url& to = e->config->to;
    const bool v6 = to.host.find(':') != std::string::npos;
    const auto address =
        IpPort::parse(fmt::format("{}{}{}:{}", v6 ? "[" : "", to.host, v6 ? "]" : "", to.port));
    if (address.has_value()) destinations_.add(*address, e->index);
  }
}

Status Routing::pick(Asked& asked) const {
  const auto named = asked.headers.find(kDestinationHeader);
  if (!config_.trusted_picker || !named.has_value()) return {};
  find_destinations();
  WEIR_ASSIGN(asked.picked, destinations_.parse(*named));
  return {};
}

void Routing::expose(const ModelConfig& model, const Dispatcher::Assigned& assigned,
                     const RequestView& request, std::string_view request_id) const {
  const auto e = proxy_.dispatcher().exposure(model, assigned, request, request_id);
  if (!e.has_value()) return;
  exposures_.find(&model)->second.with(std::string(e->arm)).add();
  proxy_.log().info("exposure", {{"request_id", e->request_id},
                                 {"experiment", e->experiment},
                                 {"arm", e->arm},
                                 {"percent", e->percent},
                                 {"by", sticky_by_name(e->by)},
                                 {"subject", fmt::format("{:016x}", e->subject)},
                                 {"tenant", e->tenant},
                                 {"model", e->model}});
}

Status Routing::route(Asked& asked, const text::Json& body) const {
  WEIR_TRY(pick(asked));
  if (const Rule* rule = rules_.match(asked.view(proxy_.clock().unix_s()))) {
    asked.model = model(rule->target);
    asked.tell.set("x-weir-rule", rule->name);
    ruled_.with(rule->name).add();
  }
  if (asked.model->targets.empty() && !asked.incoming.generates && !asked.incoming.counts)
    return param_error(ErrorCode::kInvalidValue, "model",
                       "{} chooses among models that write; it makes no embeddings",
                       asked.incoming.model);
  if (asked.model->difficulty.has_value()) choose_by_difficulty(asked, body);
  if (asked.model->cascade.has_value() && asked.incoming.stream && !can_play(asked.path))
    return param_error(ErrorCode::kInvalidValue, "stream",
                       "{} judges whole answers, which {} does not stream: ask without stream",
                       asked.incoming.model, asked.path);
  return {};
}

void Routing::choose_by_difficulty(Asked& asked, const text::Json& body) const {
  const ModelConfig& router = *asked.model;
  const DifficultyConfig& d = *router.difficulty;
  const Question q = read_question(body);
  const double p = d.model.predict(difficulty_features(q.text, q.turns_before, q.before.size()));
  const std::string& to = p >= d.threshold ? d.small : d.large;
  asked.model = model(to);
  asked.tell.set("x-weir-difficulty", fmt::format("{}({:.3f})", to, p));
  chosen_.find(&router)->second.with(to).add();
}

std::shared_ptr<Asking> Routing::ask(Asked asked, std::shared_ptr<AnswerSink> sink) {
  if (!asked.incoming.counts) shadows_.copy(asked);
  const auto cascade = cascades_.find(asked.model);
  if (cascade != cascades_.end())
    return std::make_shared<Cascade>(proxy_, cascade->second, std::move(asked), std::move(sink));
  return std::make_shared<Call>(proxy_, std::move(asked), std::move(sink));
}

}  // namespace weir::gateway
