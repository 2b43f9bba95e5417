#include "bench/load/target.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "text/json.h"

namespace weir::bench {

using text::Json;

namespace {

// Enough to see that words next to each other stay one token each.
constexpr uint64_t kCheckedPrompts = 8;

std::optional<int64_t> count_in(const http::Response& response) {
  if (response.status != 200) return std::nullopt;
  const Result<Json> body = Json::parse(response.body);
  if (!body.ok()) return std::nullopt;
  if (const Json* count = body->find("count"); count != nullptr && count->is_int())
    return count->as_int();
  const Json* tokens = body->find("tokens");
  if (tokens == nullptr || !tokens->is_array()) return std::nullopt;
  return static_cast<int64_t>(tokens->size());
}

// vLLM and weir: {"model", "prompt" or "messages"}; llama.cpp: {"content"}, which knows no
// messages.
std::string tokenize_body(const Target& target, TokenizeDialect dialect,
                          const std::string& prompt) {
  Json body = Json::object();
  if (dialect == TokenizeDialect::kLlamaCpp) {
    body.set("content", prompt);
    body.set("add_special", true);
    return body.dump();
  }
  body.set("model", target.model);
  if (target.chat) {
    Json message = Json::object();
    message.set("role", "user");
    message.set("content", prompt);
    body.set("messages", Json::array());
    body.find("messages")->push_back(std::move(message));
  } else {
    body.set("prompt", prompt);
  }
  return body.dump();
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& w : words) {
    if (!out.empty()) out += ' ';
    out += w;
  }
  return out;
}

// Of the words, those that are one token in any place: n times the word is n tokens and the
// overhead.
std::vector<std::string> single_tokens(http::Client& client, const Target& target,
                                       const Calibration& c) {
  std::vector<std::string> kept;
  for (const std::string& w : c.words.words) {
    if (count_tokens(client, target, c.dialect, fmt::format("{0} {0} {0}", w)) ==
        c.words.overhead_tokens + 3)
      kept.push_back(w);
  }
  return kept;
}

}  // namespace

http::ClientRequest target_request(const Target& target, std::string method, std::string path,
                                   std::string body) {
  http::ClientRequest r;
  r.url = target.url;
  r.method = std::move(method);
  r.target = std::move(path);
  r.headers = target.headers;
  if (!body.empty()) r.headers.add("Content-Type", "application/json");
  r.body = std::move(body);
  r.timeouts = target.timeouts;
  r.replay_stale = true;  // the load changes nothing on the server
  return r;
}

Result<std::string> only_model(http::Client& client, const Target& target) {
  WEIR_ASSIGN(const http::Response response,
              http::fetch(client, target_request(target, "GET", "/v1/models", "")));
  const Result<Json> body = Json::parse(response.body);
  const Json* list = body.ok() ? body->find("data") : nullptr;
  std::vector<std::string> names;
  if (list != nullptr && list->is_array()) {
    for (const Json& card : list->items()) {
      const Json* id = card.find("id");
      if (id != nullptr && id->is_string()) names.push_back(id->as_string());
    }
  }
  if (names.size() == 1) return names.front();
  if (names.empty()) {
    return make_error(ErrorCode::kUsage,
                      "{} answered /v1/models with status {} and no list: name "
                      "the model with --model",
                      target.url.authority(), response.status);
  }
  return make_error(ErrorCode::kUsage, "the server has several models, choose one with --model: {}",
                    joined(names));
}

std::optional<int64_t> count_tokens(http::Client& client, const Target& target,
                                    TokenizeDialect dialect, const std::string& prompt) {
  if (dialect == TokenizeDialect::kNone) return std::nullopt;
  const Result<http::Response> answer = http::fetch(
      client, target_request(target, "POST", "/tokenize", tokenize_body(target, dialect, prompt)));
  return answer.ok() ? count_in(*answer) : std::nullopt;
}

Result<Calibration> calibrate(http::Client& client, const Target& target) {
  Calibration c;
  for (const std::string_view w : default_words()) c.words.words.emplace_back(w);
  const std::string first = c.words.words.front();
  // Reaches the server, whatever it makes of the request.
  WEIR_ASSIGN(
      const http::Response answer,
      http::fetch(client, target_request(target, "POST", "/tokenize",
                                         tokenize_body(target, TokenizeDialect::kVllm, first))));
  std::optional<int64_t> count = count_in(answer);
  c.dialect = TokenizeDialect::kVllm;
  if (!count.has_value() || *count == 0) {  // llama.cpp answers what it does not know with no token
    c.dialect = TokenizeDialect::kLlamaCpp;
    count = count_tokens(client, target, c.dialect, first);
  }
  if (!count.has_value() || *count == 0) {
    c.dialect = TokenizeDialect::kNone;
    c.note = "prompt lengths are approximate: the server has no /tokenize that answers";
    return c;
  }
  c.words.overhead_tokens = static_cast<int32_t>(*count) - 1;
  const auto all = static_cast<int64_t>(c.words.words.size());
  if (count_tokens(client, target, c.dialect, joined(c.words.words)) !=
      all + c.words.overhead_tokens) {
    std::vector<std::string> kept = single_tokens(client, target, c);
    if (kept.empty()) {
      c.note = "prompt lengths are approximate: none of the words is one token of this model";
      return c;
    }
    c.words.words = std::move(kept);
  }
  if (target.chat && c.dialect == TokenizeDialect::kLlamaCpp) {
    c.note = "prompt lengths are exact but for the chat template: the server's /tokenize has none";
    return c;
  }
  c.exact = true;
  c.note = "prompt lengths are exact by the server's /tokenize";
  return c;
}

std::string check_prompts(http::Client& client, const Target& target, const Workload& workload,
                          const Calibration& calibration) {
  if (!calibration.exact) return calibration.note;
  int64_t worst = 0;
  for (uint64_t i = 0; i < kCheckedPrompts; ++i) {
    const Conversation c = workload.conversation(i);
    const Turn& turn = c.turns.front();
    const std::string prompt = prompt_text(calibration.words, workload.spec().seed, turn.pieces);
    const auto count = count_tokens(client, target, calibration.dialect, prompt);
    // A prompt longer than the server takes is not counted; the run will tell.
    if (!count.has_value()) continue;
    const int64_t least = calibration.words.overhead_tokens + 1;
    const int64_t off = *count - std::max(least, c.prompt_tokens());
    if (std::abs(off) > std::abs(worst)) worst = off;
  }
  if (worst == 0) return calibration.note;
  return fmt::format("prompt lengths are off by up to {:+} tokens by the server's /tokenize",
                     worst);
}

}  // namespace weir::bench
