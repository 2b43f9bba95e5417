#include "server/routes.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "access/credentials.h"
#include "api/error_table.h"
#include "api/replies.h"
#include "api/responses.h"
#include "api/tokenize.h"
#include "base/rng.h"
#include "http/url.h"
#include "server/embeddings_answer.h"
#include "server/stream_message.h"
#include "text/chat_segments.h"
#include "text/truncate.h"
#include "text/utf8.h"

namespace weir::server {
namespace {

constexpr int64_t kMaxDeadlineMs = 86'400'000;  // a day

// Nanoseconds of the engine clock, 0 without the header.
Result<int64_t> deadline_of(const http::Request& request) {
  const auto value = request.headers.find("x-weir-deadline-ms");
  if (!value.has_value()) return int64_t{0};
  int64_t ms = 0;
  const auto [end, ec] = std::from_chars(value->data(), value->data() + value->size(), ms);
  if (ec != std::errc() || end != value->data() + value->size() || ms < 1 || ms > kMaxDeadlineMs) {
    return param_error(
        ErrorCode::kInvalidValue, "x-weir-deadline-ms",
        "the header x-weir-deadline-ms must be a number of milliseconds between 1 and {}",
        kMaxDeadlineMs);
  }
  return request.received_ns + ms * 1'000'000;
}

}  // namespace

Routes::Routes(const ServerConfig& config, const ServedModel& model, const Clock& clock,
               Instruments& instruments, Tenants& tenants, telemetry::Logger& log)
    : config_(config),
      model_(model),
      clock_(clock),
      instruments_(instruments),
      metrics_(instruments.engine),
      content_(log, config.log_content, config.scrubber),
      tenants_(tenants),
      started_unix_s_(clock.unix_s()),
      live_(
          std::make_shared<const LiveOptions>(LiveOptions{config.api, config.metrics_require_key})),
      router_(api::render_http_error),
      executor_(config.workers, static_cast<size_t>(config.max_pending_requests)) {
  add_routes();
}

void Routes::handle(http::Request request, http::ResponseWriter writer) {
  writer.note([&](http::AnswerNotes& n) { n.route = router_.pattern_of(request.path); });
  router_.handle(std::move(request), std::move(writer));
}

void Routes::add_routes() {
  add_model_route("/v1/chat/completions", &Routes::chat_completions, true);
  add_model_route("/v1/completions", &Routes::completions, true);
  add_model_route("/v1/embeddings", &Routes::embeddings, true);
  add_model_route("/tokenize", &Routes::tokenize, false);
  add_model_route("/detokenize", &Routes::detokenize, false);
  router_.add("GET", "/health", [](const http::Request&, http::ResponseWriter w) {
    w.send(http::json_response(200, R"({"status":"ok"})"));
  });
  router_.add("GET", "/ready", [this](const http::Request& r, http::ResponseWriter w) {
    if (draining_.load(std::memory_order_relaxed)) {
      w.send(api::error_response(
          make_error(ErrorCode::kServerOverloaded, "the server is shutting down"), r.request_id));
    } else {
      w.send(http::json_response(200, R"({"status":"ready"})"));
    }
  });
  const auto metrics_route = guard(Right::kMetrics, [this](const Access&, const http::Request&,
                                                           auto w) { metrics_page(std::move(w)); });
  router_.add("GET", "/metrics", [this, metrics_route](http::Request r, http::ResponseWriter w) {
    if (live()->metrics_require_key) return metrics_route(std::move(r), std::move(w));
    metrics_page(std::move(w));
  });
  router_.add("GET", "/v1/stream",
              guard(Right::kInference, [this](const Access&, const http::Request& r, auto w) {
                if (!r.websocket) {
                  w.send(upgrade_required(r.request_id));
                  return;
                }
                if (const Status ok = check_running(); !ok.ok()) return refuse(ok.error(), w);
                w.send(http::Response{101, {}, {}});
              }));
  // Without an admin listener, where only this machine can ask.
  if (http::is_loopback(config_.host) && config_.admin.port < 0) {
    router_.add("GET", "/admin/trace",
                guard(Right::kMetrics, [this](const Access&, const http::Request& r, auto w) {
                  trace_page(r, std::move(w));
                }));
  }
  add_model_list();
}

void Routes::add_model_list() {
  router_.add("GET", "/v1/models",
              guard(Right::kInference, [this](const Access& a, const http::Request&, auto w) {
                std::vector<api::ModelCard> cards;
                if (a.spec->may_use(config_.model_name)) cards.push_back(card());
                w.send(http::json_response(200, api::model_list(cards)));
              }));
  router_.add("GET", "/v1/models/{id}",
              guard(Right::kInference, [this](const Access& a, const http::Request& r, auto w) {
                if (const Status ok = check_model(std::string(r.param("id")), *a.spec); !ok.ok())
                  return refuse(ok.error(), w);
                w.send(http::json_response(200, api::model_json(card()).dump()));
              }));
}

void Routes::run(std::function<void()> task, http::ResponseWriter& writer) {
  if (executor_.run(std::move(task))) return;
  Error e =
      make_error(ErrorCode::kServerOverloaded, "{} requests wait to be read (max_pending_requests)",
                 config_.max_pending_requests);
  e.bound = "max_pending_requests";
  e.retry_after_s = 1;
  refuse(e, writer);
}

http::Router::Route Routes::guard(Right right, Guarded next) {
  return [this, right, next = std::move(next)](http::Request request, http::ResponseWriter writer) {
    if (const Status ok = access::check_no_key_in_url(request.query); !ok.ok()) {
      tenants_.metrics().auth_failures.with("url").add();
      return refuse(ok.error(), writer);
    }
    auto access = tenants_.check(request.headers, right);
    if (!access.ok()) return refuse(access.error(), writer);
    if (access->has_value()) {
      writer.note([&](http::AnswerNotes& n) { n.tenant = (*access)->spec->name; });
      writer.set_headers(tenants_.rate_headers(**access));
      return next(**access, std::move(request), std::move(writer));
    }
    // shared: std::function wants its contents copyable; there is one owner.
    auto task = std::make_shared<std::pair<http::Request, http::ResponseWriter>>(std::move(request),
                                                                                 std::move(writer));
    run(
        [this, right, next, task] {
          auto checked = tenants_.check_slow(task->first.headers, right);
          if (!checked.ok()) return refuse(checked.error(), task->second);
          task->second.note([&](http::AnswerNotes& n) { n.tenant = checked->spec->name; });
          task->second.set_headers(tenants_.rate_headers(*checked));
          next(*checked, std::move(task->first), std::move(task->second));
        },
        task->second);
  };
}

void Routes::add_model_route(std::string_view pattern, Route route, bool computes) {
  router_.add(
      "POST", pattern,
      guard(Right::kInference,
            [this, route, computes](const Access& access, http::Request&& request, auto writer) {
              Status ok;
              if (computes) ok = check_running();
              if (ok.ok()) ok = api::check_json(request.headers);
              if (!ok.ok()) return refuse(ok.error(), writer);
              begin_call(access, route, std::move(request), std::move(writer));
            }));
}

void Routes::begin_call(const Access& access, Route route, http::Request request,
                        http::ResponseWriter writer) {
  auto ticket = tenants_.begin(access, request);
  writer.set_headers(tenants_.rate_headers(access));
  if (!ticket.ok()) return refuse(ticket.error(), writer);
  writer.hold((*ticket)->take_place());
  // shared: std::function wants its contents copyable; there is one owner.
  auto task = std::make_shared<std::pair<Call, http::ResponseWriter>>(
      Call{std::move(request), std::move(*ticket)}, std::move(writer));
  run([this, route, task] { (this->*route)(task->first, std::move(task->second)); }, task->second);
}

void Routes::handle_message(http::Request request, http::ResponseWriter writer) {
  // shared: std::function wants its contents copyable; there is one owner.
  auto task = std::make_shared<std::pair<http::Request, http::ResponseWriter>>(std::move(request),
                                                                               std::move(writer));
  run(
      [this, task] {
        if (const Status ok = route_message(task->first); !ok.ok())
          return refuse(ok.error(), task->second);
        handle(std::move(task->first), std::move(task->second));
      },
      task->second);
}

// What can be said before the body is read.
Status Routes::check_running() const {
  if (!draining_.load(std::memory_order_relaxed)) return {};
  Error e = make_error(ErrorCode::kServerOverloaded,
                       "the server is shutting down and takes no new requests");
  e.bound = "draining";
  e.retry_after_s = 1;
  return e;
}

void Routes::set_live(LiveOptions live) {
  auto next = std::make_shared<const LiveOptions>(live);
  MutexLock lock(live_mutex_);
  live_ = std::move(next);
}

std::shared_ptr<const LiveOptions> Routes::live() const {
  MutexLock lock(live_mutex_);
  return live_;
}

void Routes::refuse(const Error& error, http::ResponseWriter& writer) {
  count_error(error, metrics_);
  writer.note([&](http::AnswerNotes& n) { n.error_code = api::error_row(error.code).openai_code; });
  const std::string id = writer.request_id();
  writer.send(api::error_response(error, id));
}

Status Routes::check_model(const std::string& name, const TenantSpec& tenant) const {
  if (name.empty() || name == config_.model_name) {
    if (tenant.may_use(config_.model_name)) return {};
    return param_error(ErrorCode::kPermissionDenied, "model", "this key may not use the model {}",
                       config_.model_name);
  }
  return param_error(ErrorCode::kModelNotFound, "model",
                     "the model {} does not exist here; this server has {}",
                     text::json_quote(text::cut_utf8(name, 100)), config_.model_name);
}

// Before anything is rendered or tokenized: the engine would refuse it as well.
Status Routes::check_generates() const {
  if (!model_.engine.embedding().encoder) return {};
  return param_error(ErrorCode::kInvalidValue, "model",
                     "{} is an encoder: it makes embeddings (POST /v1/embeddings) and generates no "
                     "text",
                     config_.model_name);
}

api::ModelCard Routes::card() const {
  return {config_.model_name, started_unix_s_, model_.engine.max_context_tokens()};
}

Result<std::vector<int32_t>> Routes::chat_prompt(const text::Json& messages,
                                                 const text::Json& tools, const text::Json& kwargs,
                                                 bool add_generation_prompt,
                                                 const std::optional<std::string>& begun) const {
  text::ChatInput input;
  input.messages = messages;
  input.tools = tools;
  input.extra = kwargs;
  // What was begun stands where the answer would: the same prompt, and the same bits after it, as
  // if it had not been interrupted.
  input.add_generation_prompt = add_generation_prompt || begun.has_value();
  input.clock = &clock_;
  text::set_special_tokens(model_.tokenizer, input);
  auto segments = model_.chat_template.render_segments(input);
  if (!segments.ok()) {
    Error e = std::move(segments).error();
    if (e.code != ErrorCode::kSchemaTooComplex) e.code = ErrorCode::kInvalidValue;
    if (e.param.empty()) e.param = "messages";
    return e.with_context("the model's chat template refuses these messages");
  }
  if (begun.has_value()) {
    if (segments->empty() || segments->back().from_template) segments->emplace_back();
    segments->back().text += *begun;
  }
  return text::encode_segments(model_.tokenizer, *segments);
}

Result<std::vector<int32_t>> Routes::text_prompt(const api::Prompt& prompt) const {
  if (const auto* ids = std::get_if<std::vector<int32_t>>(&prompt); ids != nullptr) return *ids;
  return model_.tokenizer.encode(std::get<std::string>(prompt),
                                 {.add_bos_eos = true, .parse_special = true});
}

Result<engine::Request> Routes::engine_request(const api::GenerationParams& p,
                                               std::vector<int32_t> prompt, const Call& request) {
  engine::Request q;
  q.request_id = request.request_id;
  q.prompt = std::move(prompt);
  q.max_tokens = p.max_tokens.value_or(0);
  q.prompt_only = p.max_tokens == 0;
  if (p.prompt_logprobs) q.prompt_logprobs = p.logprobs;
  q.min_tokens = p.min_tokens;
  q.n = p.n;
  q.ignore_eos = p.ignore_eos;
  q.stop = p.stop;
  q.stop_token_ids = p.stop_token_ids;
  WEIR_ASSIGN(q.deadline_ns, deadline_of(request));
  q.priority = p.priority;
  q.cache_salt = p.cache_salt;
  if (p.batch) q.service_class = engine::ServiceClass::kBatch;
  if (!p.prediction.empty()) q.prediction = model_.tokenizer.encode(p.prediction, {});
  engine::SamplingParams& s = q.sampling;
  s.temperature = static_cast<float>(p.temperature);
  s.top_p = static_cast<float>(p.top_p);
  s.top_k = p.top_k;
  s.min_p = static_cast<float>(p.min_p);
  s.repetition_penalty = static_cast<float>(p.repetition_penalty);
  s.presence_penalty = static_cast<float>(p.presence_penalty);
  s.frequency_penalty = static_cast<float>(p.frequency_penalty);
  for (const auto& [id, bias] : p.logit_bias)
    s.logit_bias.emplace_back(id, static_cast<float>(bias));
  s.seed = p.seed.has_value()
               ? *p.seed
               : random_u64(config_.seed, 1, next_seed_.fetch_add(1, std::memory_order_relaxed));
  s.logprobs = p.logprobs;
  WEIR_TRY(request.ticket->reserve(q, model_.engine.max_context_tokens()));
  return q;
}

void Routes::generate(bool chat, const api::GenerationParams& p,
                      std::vector<std::vector<int32_t>> prompts, std::vector<std::string> echo,
                      const Call& request, http::ResponseWriter writer) {
  std::vector<engine::Request> requests;
  for (std::vector<int32_t>& prompt : prompts) {
    auto q = engine_request(p, std::move(prompt), request);
    if (!q.ok()) return refuse(q.error(), writer);
    requests.push_back(std::move(*q));
  }
  writer.set_headers(request.ticket->rate_headers());
  AnswerSpec spec;
  spec.chat = chat;
  spec.meta = {(chat ? "chatcmpl-" : "cmpl-") + request.request_id, clock_.unix_s(),
               config_.model_name};
  spec.generation = p;
  spec.echo = std::move(echo);
  spec.report = make_report(chat ? "chat" : "text_completion", request);
  spec.report.response_id = spec.meta.id;
  spec.report.max_tokens = p.max_tokens;
  spec.report.choices = p.n * static_cast<int32_t>(requests.size());
  spec.ticket = request.ticket;
  if (content_.enabled()) {
    for (const engine::Request& r : requests)
      content_.write(request.request_id, "prompt",
                     model_.tokenizer.decode(r.prompt, /*skip_special=*/false));
  }
  const AnswerContext context{model_.engine,
                              model_.tokenizer,
                              clock_,
                              instruments_.reporting(),
                              content_.enabled() ? &content_ : nullptr,
                              &executor_};
  // shared: the engine's sinks and the connection's callbacks end it together.
  std::make_shared<Answer>(context, std::move(spec), std::move(writer))
      ->submit(std::move(requests), config_.keep_alive_interval);
}

void Routes::chat_completions(const Call& request, http::ResponseWriter writer) {
  const auto body = text::Json::parse(request.body);
  if (!body.ok()) return refuse(body.error(), writer);
  const auto parsed = api::parse_chat_request(*body, live()->api);
  if (!parsed.ok()) return refuse(parsed.error(), writer);
  if (const Status ok = check_model(parsed->generation.model, request.ticket->spec()); !ok.ok())
    return refuse(ok.error(), writer);
  if (const Status ok = check_generates(); !ok.ok()) return refuse(ok.error(), writer);
  auto prompt = chat_prompt(parsed->messages, parsed->tools, parsed->template_kwargs,
                            parsed->add_generation_prompt, parsed->begun);
  if (!prompt.ok()) return refuse(prompt.error(), writer);
  std::vector<std::vector<int32_t>> prompts;
  prompts.push_back(std::move(*prompt));
  generate(true, parsed->generation, std::move(prompts), {}, request, std::move(writer));
}

void Routes::completions(const Call& request, http::ResponseWriter writer) {
  const auto body = text::Json::parse(request.body);
  if (!body.ok()) return refuse(body.error(), writer);
  const auto parsed = api::parse_completion_request(*body, live()->api);
  if (!parsed.ok()) return refuse(parsed.error(), writer);
  if (const Status ok = check_model(parsed->generation.model, request.ticket->spec()); !ok.ok())
    return refuse(ok.error(), writer);
  if (const Status ok = check_generates(); !ok.ok()) return refuse(ok.error(), writer);
  std::vector<std::vector<int32_t>> prompts;
  std::vector<std::string> echo;
  for (const api::Prompt& p : parsed->prompts) {
    auto ids = text_prompt(p);
    if (!ids.ok()) return refuse(ids.error(), writer);
    if (parsed->echo) {
      const auto* text = std::get_if<std::string>(&p);
      echo.push_back(text != nullptr ? *text
                                     : model_.tokenizer.decode(*ids, /*skip_special=*/false));
    }
    prompts.push_back(std::move(*ids));
  }
  if (const Status ok = api::check_prompt_logprobs(*parsed, prompts, live()->api); !ok.ok())
    return refuse(ok.error(), writer);
  generate(false, parsed->generation, std::move(prompts), std::move(echo), request,
           std::move(writer));
}

Result<engine::Request> Routes::embedding_request(const api::EmbeddingRequest& q,
                                                  const Call& request) const {
  const engine::EmbeddingTraits& traits = model_.engine.embedding();
  if (q.dimensions.has_value() && *q.dimensions != traits.dim) {
    return param_error(ErrorCode::kInvalidValue, "dimensions",
                       "dimensions is {}; the embeddings of this model have {}, and they are not "
                       "shortened here",
                       *q.dimensions, traits.dim);
  }
  const int64_t bytes = api::max_embedding_list_bytes(config_.model_name, q.inputs.size(),
                                                      static_cast<size_t>(traits.dim), q.encoding);
  if (const int64_t bound = live()->api.max_embeddings_bytes; bytes > bound) {
    return param_error(ErrorCode::kInvalidValue, "input",
                       "input has {} texts, whose embeddings may take {} bytes; an answer has at "
                       "most {} (limits.max_embeddings_bytes): send fewer texts a request{}",
                       q.inputs.size(), bytes, bound,
                       q.encoding == api::VectorEncoding::kBase64
                           ? ""
                           : ", or ask for encoding_format base64, which takes a third");
  }
  engine::Request r;
  r.request_id = request.request_id;
  WEIR_ASSIGN(r.deadline_ns, deadline_of(request));
  const int32_t window = model_.engine.max_context_tokens();
  const int32_t wanted = q.truncate_prompt_tokens.value_or(-1);
  const int32_t longest = wanted < 0 ? window : std::min(wanted, window);
  for (const api::Prompt& input : q.inputs) {
    std::vector<int32_t> ids;
    if (const auto* given = std::get_if<std::vector<int32_t>>(&input); given != nullptr) {
      ids = *given;
    } else {
      ids = model_.tokenizer.encode(std::get<std::string>(input), {.add_bos_eos = true});
    }
    if (q.truncate_prompt_tokens.has_value())
      text::truncate(model_.tokenizer, static_cast<size_t>(longest), ids);
    r.texts.push_back(std::move(ids));
  }
  WEIR_TRY(request.ticket->reserve(r, window));
  return r;
}

void Routes::embeddings(const Call& request, http::ResponseWriter writer) {
  const auto body = text::Json::parse(request.body);
  if (!body.ok()) return refuse(body.error(), writer);
  const auto parsed = api::parse_embedding_request(*body, live()->api);
  if (!parsed.ok()) return refuse(parsed.error(), writer);
  if (const Status ok = check_model(parsed->model, request.ticket->spec()); !ok.ok())
    return refuse(ok.error(), writer);
  auto q = embedding_request(*parsed, request);
  if (!q.ok()) return refuse(q.error(), writer);
  writer.set_headers(request.ticket->rate_headers());
  EmbeddingsSpec spec{config_.model_name, parsed->encoding, make_report("embeddings", request),
                      request.ticket};
  const AnswerContext context{model_.engine, model_.tokenizer, clock_, instruments_.reporting(),
                              nullptr};
  // shared: the engine's sink and the connection's callback end it together.
  std::make_shared<EmbeddingsAnswer>(context, executor_, std::move(spec), std::move(writer))
      ->submit(std::move(*q));
}

Result<std::string> Routes::tokenize_body(const Call& request) const {
  WEIR_ASSIGN(const text::Json body, text::Json::parse(request.body));
  WEIR_ASSIGN(const api::TokenizeRequest q, api::parse_tokenize_request(body, live()->api));
  WEIR_TRY(check_model(q.model, request.ticket->spec()));
  std::vector<int32_t> ids;
  if (q.prompt.has_value()) {
    ids = model_.tokenizer.encode(*q.prompt,
                                  {.add_bos_eos = q.add_special_tokens, .parse_special = true});
  } else {
    WEIR_ASSIGN(ids, chat_prompt(q.messages, {}, {}, q.add_generation_prompt));
  }
  text::Json tokens = text::Json::array();
  for (const int32_t id : ids) tokens.push_back(id);
  text::Json root = text::Json::object();
  root.set("count", static_cast<int64_t>(ids.size()));
  root.set("max_model_len", model_.engine.max_context_tokens());
  root.set("tokens", std::move(tokens));
  if (q.return_token_strs) {
    text::Json strings = text::Json::array();
    for (const int32_t id : ids) strings.push_back(model_.tokenizer.token_text(id));
    root.set("token_strs", std::move(strings));
  }
  return root.dump();
}

Result<std::string> Routes::detokenize_body(const Call& request) const {
  WEIR_ASSIGN(const text::Json body, text::Json::parse(request.body));
  WEIR_ASSIGN(const api::DetokenizeRequest q, api::parse_detokenize_request(body, live()->api));
  WEIR_TRY(check_model(q.model, request.ticket->spec()));
  for (size_t i = 0; i < q.tokens.size(); ++i) {
    if (q.tokens[i] >= model_.tokenizer.vocab_size()) {
      const std::string path = api::index_path("tokens", i);
      return param_error(ErrorCode::kInvalidValue, path, "{} is {}; token ids end at {}", path,
                         q.tokens[i], model_.tokenizer.vocab_size() - 1);
    }
  }
  text::Json root = text::Json::object();
  root.set("prompt", model_.tokenizer.decode(q.tokens, /*skip_special=*/false));
  return root.dump();
}

void Routes::tokenize(const Call& request, http::ResponseWriter writer) {
  auto body = tokenize_body(request);
  if (!body.ok()) return refuse(body.error(), writer);
  writer.send(http::json_response(200, std::move(*body)));
}

void Routes::detokenize(const Call& request, http::ResponseWriter writer) {
  auto body = detokenize_body(request);
  if (!body.ok()) return refuse(body.error(), writer);
  writer.send(http::json_response(200, std::move(*body)));
}

}  // namespace weir::server
