#include "gateway/config_routing.h"

#include <fmt/ranges.h>

#include <set>

#include "gateway/config_keys.h"
#include "gateway/config_reader.h"
#include "os/file.h"
#include "text/json_schema.h"
#include "text/pattern.h"

namespace weir::gateway {
namespace {

using config::Node;

constexpr uint64_t kMaxFileBytes = 1 << 20;  // of a schema or of a router's model
constexpr size_t kMaxPromptBytes = 64 * 1024;
constexpr std::string_view kCascadeApart[] = {"steps"};
constexpr std::string_view kStepApart[] = {"check"};
constexpr std::string_view kCheckApart[] = {"logprob", "http", "judge"};

struct RawCascade {
  CascadeConfig config;
  std::string max_cost;
};
struct RawCheck {
  std::string regex, schema, schema_file;
};
struct RawLogprob {
  double mean = 0;
  double least = 0;
};

config::Table<RawCascade> cascade_table() {
  config::Table<RawCascade> t;
  t.add("max_cost", "", WEIR_FIELD(RawCascade, max_cost), {});
  t.add("max_latency_ms", "", WEIR_FIELD(RawCascade, config.max_latency_ms),
        {.min = 0, .max = kDayMs});
  t.add("keep_alive_ms", "", WEIR_FIELD(RawCascade, config.keep_alive_ms),
        {.min = 10, .max = 600'000});
  return t;
}

config::Table<CascadeStepConfig> step_table() {
  config::Table<CascadeStepConfig> t;
  t.add("model", "", WEIR_FIELD(CascadeStepConfig, model), {});
  return t;
}

config::Table<RawCheck> check_table() {
  config::Table<RawCheck> t;
  t.add("regex", "", WEIR_FIELD(RawCheck, regex), {});
  t.add("schema", "", WEIR_FIELD(RawCheck, schema), {});
  t.add("schema_file", "", WEIR_FIELD(RawCheck, schema_file), {});
  return t;
}

config::Table<RawLogprob> logprob_table() {
  config::Table<RawLogprob> t;
  t.add("mean", "", WEIR_FIELD(RawLogprob, mean), {.min = -1000, .max = 0});
  t.add("least", "", WEIR_FIELD(RawLogprob, least), {.min = -1000, .max = 0});
  return t;
}

config::Table<JudgeConfig> judge_table() {
  config::Table<JudgeConfig> t;
  t.add("model", "", WEIR_FIELD(JudgeConfig, model), {});
  t.add("prompt", "", WEIR_FIELD(JudgeConfig, prompt), {});
  t.add("accept", "", WEIR_FIELD(JudgeConfig, accept), {});
  t.add("max_tokens", "", WEIR_FIELD(JudgeConfig, max_tokens), {.min = 1, .max = 1e6});
  t.add("timeout_ms", "", WEIR_FIELD(JudgeConfig, timeout_ms), {.min = 1, .max = kDayMs});
  return t;
}

config::Table<HttpCheckConfig> http_table() {
  config::Table<HttpCheckConfig> t;
  t.add("url", "", WEIR_FIELD(HttpCheckConfig, url), {});
  t.add("timeout_ms", "", WEIR_FIELD(HttpCheckConfig, timeout_ms), {.min = 1, .max = 60'000});
  return t;
}

config::Table<DifficultyConfig> difficulty_table() {
  config::Table<DifficultyConfig> t;
  t.add("model_file", "", WEIR_FIELD(DifficultyConfig, model_file), {});
  t.add("threshold", "", WEIR_FIELD(DifficultyConfig, threshold), {.min = 0, .max = 1});
  t.add("small", "", WEIR_FIELD(DifficultyConfig, small), {});
  t.add("large", "", WEIR_FIELD(DifficultyConfig, large), {});
  return t;
}

config::Table<ShadowConfig> shadow_table() {
  config::Table<ShadowConfig> t;
  t.add("model", "", WEIR_FIELD(ShadowConfig, model), {});
  t.add("sample", "", WEIR_FIELD(ShadowConfig, sample), {.min = 0, .max = 1});
  t.add("max_in_flight", "", WEIR_FIELD(ShadowConfig, max_in_flight), {.min = 1, .max = 10'000});
  return t;
}

class RoutingReader {
 public:
  // models: of the file, by name.
  RoutingReader(const ConfigReader& reader, const Node& models, GatewayConfig& config)
      : reader_(reader), models_(models), config_(config) {}

  Status read(ModelConfig& model, const Node& node) {
    const Node* cascade = node.find("cascade");
    const Node* difficulty = node.find("difficulty");
    const int kinds = (cascade != nullptr ? 1 : 0) + (difficulty != nullptr ? 1 : 0) +
                      (node.find("targets") != nullptr ? 1 : 0);
    if (kinds > 1)
      return wrong(model.line, fmt::format("models.{}: targets, cascade and difficulty exclude "
                                           "each other",
                                           model.name));
    if (cascade != nullptr) WEIR_TRY(read_cascade(*cascade, model));
    if (difficulty != nullptr) WEIR_TRY(read_difficulty(*difficulty, model));
    return {};
  }

  // Once all models are read.
  Status read_shadow(const Node& node, ModelConfig& model) {
    WEIR_ASSIGN(ShadowConfig shadow, reader_.fields(shadow_table(), node));
    WEIR_ASSIGN(const ModelConfig* to, with_targets(shadow.model, "shadow.model", node.line));
    const std::set<size_t> live = upstreams_of(model);
    for (const TargetConfig& t : to->targets) {
      if (live.count(t.upstream) == 0) continue;
      return wrong(node.line,
                   fmt::format("shadow.model: upstream {} answers users of {} as well, who would "
                               "feel the shadow's failures; give {} an upstream of its own",
                               config_.upstreams[t.upstream].name, model.name, shadow.model));
    }
    model.shadow = std::move(shadow);
    return {};
  }

 private:
  // Those that may answer a request for the model.
  std::set<size_t> upstreams_of(const ModelConfig& model) const {
    std::set<size_t> out;
    for (const TargetConfig& t : model.targets) out.insert(t.upstream);
    std::vector<std::string> others;
    if (model.cascade.has_value()) {
      for (const CascadeStepConfig& s : model.cascade->steps) {
        others.push_back(s.model);
        if (s.check.judge.has_value()) others.push_back(s.check.judge->model);
      }
    }
    if (model.difficulty.has_value())
      others.insert(others.end(), {model.difficulty->small, model.difficulty->large});
    for (const ModelConfig& m : config_.models) {
      if (std::find(others.begin(), others.end(), m.name) != others.end())
        out.merge(upstreams_of(m));  // no router names a router, no cascade a cascade
    }
    return out;
  }

  Error wrong(int line, const std::string& what) const { return reader_.wrong(line, what); }

  // An alias that targets of its own answer.
  Result<const ModelConfig*> with_targets(const std::string& name, std::string_view what,
                                          int line) const {
    WEIR_ASSIGN(const ModelConfig* found, known_model(reader_, config_, name, what, line));
    if (!found->targets.empty()) return found;
    return wrong(line, fmt::format("{}: {} has no targets; name a model that has", what, name));
  }

  Status read_cascade(const Node& node, ModelConfig& model) {
    WEIR_ASSIGN(RawCascade raw, reader_.fields(cascade_table(), node, kCascadeApart));
    CascadeConfig cascade = std::move(raw.config);
    if (!raw.max_cost.empty()) {
      const auto nanos = parse_money(raw.max_cost);
      if (!nanos.ok())
        return wrong(line_of(node, "max_cost"), "cascade.max_cost: " + nanos.error().message);
      cascade.max_cost_nanos = *nanos;
    }
    const Node* steps = node.find("steps");
    if (steps == nullptr || steps->kind != Node::Kind::kList || steps->items.size() < 2 ||
        steps->items.size() > CascadeConfig::kMaxSteps)
      return wrong(node.line, fmt::format("models.{}.cascade: steps must be a list of 2 to {}, the "
                                          "smallest model first",
                                          model.name, CascadeConfig::kMaxSteps));
    for (const Node& item : steps->items) {
      WEIR_ASSIGN(CascadeStepConfig step, reader_.fields(step_table(), item, kStepApart));
      step.line = item.line;
      WEIR_ASSIGN(const ModelConfig* asked, with_targets(step.model, "model", item.line));
      const Node* check = item.find("check");
      const bool last = &item == &steps->items.back();
      if (check != nullptr && last)
        return wrong(check->line, "check: the last step's answer is taken as it is");
      if (check == nullptr && !last)
        return wrong(item.line,
                     fmt::format("{}: every step but the last needs a check", step.model));
      if (check != nullptr) {
        const std::string key =
            fmt::format("models.{}.cascade.steps[{}].check.", model.name, cascade.steps.size());
        WEIR_TRY(read_check(*check, key, *asked, step.check));
      }
      if (cascade.max_cost_nanos.has_value() && !reader_.is_broken("prices"))
        WEIR_TRY(has_prices(step, item.line));
      cascade.steps.push_back(std::move(step));
    }
    model.cascade = std::move(cascade);
    return {};
  }

  // key: of the check, up to the names of its members.
  Status read_check(const Node& node, const std::string& key, const ModelConfig& asked,
                    AnswerCheckConfig& check) {
    WEIR_ASSIGN(RawCheck raw, reader_.fields(check_table(), node, kCheckApart));
    WEIR_TRY(pattern(raw.regex, "regex", line_of(node, "regex")));
    check.regex = raw.regex;
    WEIR_TRY(read_schema(raw, key, node, check));
    if (const Node* logprob = node.find("logprob")) {
      for (const TargetConfig& t : asked.targets) {
        const UpstreamConfig& u = config_.upstreams[t.upstream];
        if (u.protocol == Protocol::kAnthropic)
          return wrong(logprob->line, fmt::format("logprob: upstream {} speaks Anthropic's "
                                                  "protocol, which has no log probabilities",
                                                  u.name));
      }
      WEIR_ASSIGN(const RawLogprob least, reader_.fields(logprob_table(), *logprob));
      if (logprob->find("mean") != nullptr) check.mean_logprob = least.mean;
      if (logprob->find("least") != nullptr) check.least_logprob = least.least;
    }
    if (const Node* http = node.find("http")) {
      WEIR_ASSIGN(check.http, reader_.fields(http_table(), *http));
      const auto url = http::parse_url(check.http->url);
      if (!url.ok()) return wrong(line_of(*http, "url"), "http.url: " + url.error().message);
      check.http->to = *url;
    }
    if (const Node* judge = node.find("judge")) WEIR_TRY(read_judge(*judge, check));
    if (check.empty())
      return wrong(node.line, "check needs regex, schema, schema_file, logprob, http or judge");
    return {};
  }

  Status pattern(const std::string& text, std::string_view what, int line) const {
    if (text.empty()) return {};
    const auto made = text::Pattern::make(text, false);
    return made.ok() ? Status() : wrong(line, fmt::format("{}: {}", what, made.error().message));
  }

  Status read_schema(const RawCheck& raw, const std::string& key, const Node& node,
                     AnswerCheckConfig& check) const {
    if (raw.schema.empty() && raw.schema_file.empty()) return {};
    const int line = line_of(node, raw.schema_file.empty() ? "schema" : "schema_file");
    if (!raw.schema.empty() && !raw.schema_file.empty())
      return wrong(line, "schema and schema_file exclude each other");
    std::string text = raw.schema;
    const std::string path = reader_.file(key + "schema_file", raw.schema_file, line);
    if (text.empty()) {
      auto read = os::read_file(path, kMaxFileBytes);
      if (!read.ok()) return wrong(line, "schema_file: " + read.error().message);
      text = std::move(*read);
    }
    const std::string what = raw.schema.empty() ? path : "schema";
    auto schema = text::Json::parse(text);
    if (!schema.ok()) return wrong(line, fmt::format("{}: {}", what, schema.error().message));
    const Status good = text::check_schema(*schema);
    if (!good.ok()) return wrong(line, fmt::format("{}: {}", what, good.error().message));
    check.schema = std::move(*schema);
    return {};
  }

  Status read_judge(const Node& node, AnswerCheckConfig& check) {
    WEIR_ASSIGN(JudgeConfig judge, reader_.fields(judge_table(), node));
    WEIR_TRY(with_targets(judge.model, "judge.model", node.line));
    if (judge.prompt.find("{answer}") == std::string::npos || judge.prompt.size() > kMaxPromptBytes)
      return wrong(node.line, fmt::format("judge.prompt must hold {{answer}}, where the answer is "
                                          "put in, and have at most {} bytes",
                                          kMaxPromptBytes));
    if (judge.accept.empty())
      return wrong(node.line, "judge.accept must be a pattern that good verdicts match");
    WEIR_TRY(pattern(judge.accept, "judge.accept", node.line));
    check.judge = std::move(judge);
    return {};
  }

  // A budget of money holds only where every answer has a price.
  Status has_prices(const CascadeStepConfig& step, int line) const {
    std::vector<std::string> models = {step.model};
    if (step.check.judge.has_value()) models.push_back(step.check.judge->model);
    for (const std::string& name : models) {
      WEIR_ASSIGN(const ModelConfig* model, known_model(reader_, config_, name, "model", line));
      for (const TargetConfig& t : model->targets) {
        const std::string& upstream = config_.upstreams[t.upstream].name;
        if (config_.prices.find(upstream, t.model) == nullptr)
          return wrong(line, fmt::format("max_cost needs a price for {} at upstream {} (prices:)",
                                         t.model, upstream));
      }
    }
    return {};
  }

  Status read_difficulty(const Node& node, ModelConfig& model) {
    WEIR_ASSIGN(DifficultyConfig router, reader_.fields(difficulty_table(), node));
    for (const auto& [name, what] : {std::pair(&router.small, "small"), {&router.large, "large"}}) {
      WEIR_TRY(known_model(reader_, config_, *name, what, line_of(node, what)));
      if (models_.find(*name)->find("difficulty") != nullptr)
        return wrong(node.line, fmt::format("{}: {} is a router itself", what, *name));
    }
    if (router.model_file.empty())
      return wrong(node.line, "difficulty.model_file: weir route train writes it");
    const int line = line_of(node, "model_file");
    const std::string key = fmt::format("models.{}.difficulty.model_file", model.name);
    router.model_file = reader_.file(key, router.model_file, line);
    const auto text = os::read_file(router.model_file, kMaxFileBytes);
    if (!text.ok()) return wrong(line, fmt::format("{}: {}", key, text.error().message));
    auto made = DifficultyModel::parse(*text);
    if (!made.ok())
      return wrong(line, fmt::format("{}: {}; weir route train writes it anew", router.model_file,
                                     made.error().message));
    router.model = *made;
    model.difficulty = std::move(router);
    return {};
  }

  const ConfigReader& reader_;
  const Node& models_;
  GatewayConfig& config_;
};

}  // namespace

void list_routing_keys(std::string_view prefix, FileKeys& out) {
  const std::string cascade = fmt::format("{}cascade.", prefix);
  const std::string step = cascade + "steps[].";
  const std::string check = step + "check.";
  list_keys(cascade, cascade_table().keys(), kCascadeApart, out);
  list_keys(step, step_table().keys(), kStepApart, out);
  list_keys(check, check_table().keys(), kCheckApart, out);
  list_keys(check + "logprob.", logprob_table().keys(), {}, out);
  list_keys(check + "http.", http_table().keys(), {}, out);
  list_keys(check + "judge.", judge_table().keys(), {}, out);
  list_keys(fmt::format("{}difficulty.", prefix), difficulty_table().keys(), {}, out);
  list_keys(fmt::format("{}shadow.", prefix), shadow_table().keys(), {}, out);
}

bool has_targets(const Node& model) {
  return model.find("targets") != nullptr ||
         (model.find("cascade") == nullptr && model.find("difficulty") == nullptr);
}

Result<const ModelConfig*> known_model(const ConfigReader& reader, const GatewayConfig& config,
                                       const std::string& name, std::string_view what, int line) {
  std::vector<std::string> names;
  for (const ModelConfig& m : config.models) {
    if (m.name == name && reader.is_broken("models." + name))
      return make_error(ErrorCode::kCorrupt, "models.{} is broken", name);
    if (m.name == name) return &m;
    names.push_back(m.name);
  }
  if (name.empty()) return reader.wrong(line, fmt::format("{} must name a model", what));
  return reader.wrong(
      line,
      fmt::format("{}: \"{}\" is not under models; the nearest is \"{}\"", what,
                  name.substr(0, 100), config::nearest(name, std::span<const std::string>(names))));
}

namespace {

// What a prompt is on its way to is decided for the model that was named: one that redacts cannot
// be a step, a judge or a shadow of one that does not.
Status check_redaction(const ConfigReader& reader, const GatewayConfig& config,
                       const ModelConfig& model) {
  std::vector<std::string> others;
  if (model.shadow.has_value()) others.push_back(model.shadow->model);
  if (model.cascade.has_value()) {
    for (const CascadeStepConfig& step : model.cascade->steps) {
      others.push_back(step.model);
      if (step.check.judge.has_value()) others.push_back(step.check.judge->model);
    }
  }
  for (const ModelConfig& m : config.models) {
    if (std::find(others.begin(), others.end(), m.name) == others.end()) continue;
    if (m.redact && !model.redact)
      return reader.wrong(model.line,
                          fmt::format("models.{0}: {1} has redact: true, and gets the prompts of "
                                      "{0} as they are; give {0} redact: true as well",
                                      model.name, m.name));
    if (m.leak_check != LeakCheck::kOff && model.leak_check == LeakCheck::kOff)
      return reader.wrong(model.line,
                          fmt::format("models.{0}: {1} has a leak_check, which its answers for {0} "
                                      "do not get; give {0} one as well",
                                      model.name, m.name));
  }
  return {};
}

}  // namespace

void read_routing(const ConfigReader& reader, const Node& file, GatewayConfig& config) {
  const Node& models = *file.find("models");
  RoutingReader routing(reader, models, config);
  // Of each model that is good up to here; a mistake makes it one that nobody can rest on.
  const auto each = [&](const auto& read) {
    for (ModelConfig& m : config.models) {
      const std::string part = "models." + m.name;
      if (!reader.is_broken(part) && !read(m, *models.find(m.name)).ok()) reader.set_broken(part);
    }
  };
  each([&](ModelConfig& m, const Node& node) { return routing.read(m, node); });
  each([&](ModelConfig& m, const Node& node) -> Status {
    if (const Node* shadow = node.find("shadow")) WEIR_TRY(routing.read_shadow(*shadow, m));
    return check_redaction(reader, config, m);
  });
  read_rules(reader, file, config);
}

std::string describe_check(const AnswerCheckConfig& c) {
  std::vector<std::string> parts;
  if (!c.regex.empty()) parts.emplace_back("regex");
  if (c.schema.has_value()) parts.emplace_back("schema");
  if (c.wants_logprobs()) parts.emplace_back("logprob");
  if (c.http.has_value()) parts.push_back("http " + c.http->url);
  if (c.judge.has_value()) parts.push_back("judge " + c.judge->model);
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string describe_routing(const ModelConfig& m) {
  std::string out;
  if (m.cascade.has_value()) {
    const CascadeConfig& c = *m.cascade;
    for (size_t i = 0; i < c.steps.size(); ++i) {
      const std::string check = describe_check(c.steps[i].check);
      out += fmt::format("  step {}  {}{}\n", i + 1, c.steps[i].model,
                         check.empty() ? "" : ", taken if it passes: " + check);
    }
    if (c.max_cost_nanos.has_value())
      out += fmt::format("  at most {} a request\n", money_text(*c.max_cost_nanos));
    if (c.max_latency_ms > 0)
      out += fmt::format("  no further step after {} ms\n", c.max_latency_ms);
  }
  if (m.difficulty.has_value())
    out += fmt::format(
        "  {} where it suffices with probability {} or more ({}, {} examples), else {}\n",
        m.difficulty->small, m.difficulty->threshold, m.difficulty->model_file,
        m.difficulty->model.examples, m.difficulty->large);
  if (m.shadow.has_value())
    out += fmt::format("  shadow {}: {} % of the requests, {} at a time\n", m.shadow->model,
                       100 * m.shadow->sample, m.shadow->max_in_flight);
  return out;
}

}  // namespace weir::gateway
