#include "api/responses.h"

#include "text/utf8.h"

namespace weir::api {
namespace {

using text::Json;

Json bytes_json(const std::string& bytes) {
  Json list = Json::array();
  for (const char c : bytes) list.push_back(static_cast<int64_t>(static_cast<unsigned char>(c)));
  return list;
}

Json chat_entry(const TokenLogprob& t, bool with_top) {
  Json o = Json::object();
  o.set("token", text::replace_invalid_utf8(t.bytes));
  o.set("logprob", t.logprob);
  o.set("bytes", bytes_json(t.bytes));
  if (with_top) {
    Json top = Json::array();
    for (const TokenLogprob& other : t.top) top.push_back(chat_entry(other, false));
    o.set("top_logprobs", std::move(top));
  }
  return o;
}

Json chat_logprobs(const AnswerChoice& c) {
  if (!c.with_logprobs) return {};
  Json content = Json::array();
  for (const TokenLogprob& t : c.logprobs) content.push_back(chat_entry(t, true));
  Json o = Json::object();
  o.set("content", std::move(content));
  o.set("refusal", Json());
  return o;
}

// The most likely tokens, with the chosen one among them or behind them: up to logprobs + 1, as
// OpenAI has it. Of tokens that read alike the likeliest stands for all.
Json text_top(const TokenLogprob& t) {
  if (!t.scored) return {};
  Json top = Json::object();
  for (const TokenLogprob& other : t.top) {
    const std::string name = text::replace_invalid_utf8(other.bytes);
    if (top.find(name) == nullptr) top.set(name, other.logprob);
  }
  const std::string name = text::replace_invalid_utf8(t.bytes);
  if (top.find(name) == nullptr) top.set(name, t.logprob);
  return top;
}

Json text_logprobs(const AnswerChoice& c) {
  if (!c.with_logprobs) return {};
  Json tokens = Json::array(), values = Json::array(), tops = Json::array(),
       offsets = Json::array();
  int64_t offset = c.text_offset;
  for (const TokenLogprob& t : c.logprobs) {
    tokens.push_back(text::replace_invalid_utf8(t.bytes));
    values.push_back(t.scored ? Json(t.logprob) : Json());
    offsets.push_back(offset);
    offset += t.shown_characters.value_or(static_cast<int64_t>(text::count_characters(t.bytes)));
    tops.push_back(text_top(t));
  }
  Json o = Json::object();
  o.set("tokens", std::move(tokens));
  o.set("token_logprobs", std::move(values));
  o.set("top_logprobs", std::move(tops));
  o.set("text_offset", std::move(offsets));
  return o;
}

Json finish_json(const AnswerChoice& c) {
  return c.finish_reason.has_value() ? Json(*c.finish_reason) : Json();
}

void set_token_ids(Json& o, const AnswerChoice& c) {
  if (!c.token_ids.has_value()) return;
  Json ids = Json::array();
  for (const int32_t id : *c.token_ids) ids.push_back(id);
  o.set("token_ids", std::move(ids));
}

Json envelope(const AnswerMeta& meta, std::string_view object) {
  Json o = Json::object();
  o.set("id", meta.id);
  o.set("object", object);
  o.set("created", meta.created);
  o.set("model", meta.model);
  return o;
}

Json text_choice(const AnswerChoice& c) {
  Json o = Json::object();
  o.set("index", c.index);
  o.set("text", c.text);
  o.set("logprobs", text_logprobs(c));
  o.set("finish_reason", finish_json(c));
  set_token_ids(o, c);
  return o;
}

std::string with_one_choice(Json root, Json choice) {
  Json choices = Json::array();
  choices.push_back(std::move(choice));
  root.set("choices", std::move(choices));
  return root.dump();
}

}  // namespace

Json usage_json(const AnswerUsage& u) {
  Json o = Json::object();
  o.set("prompt_tokens", u.prompt_tokens);
  o.set("completion_tokens", u.completion_tokens);
  o.set("total_tokens", u.prompt_tokens + u.completion_tokens);
  Json details = Json::object();
  details.set("cached_tokens", u.cached_tokens);
  o.set("prompt_tokens_details", std::move(details));
  Json output = Json::object();
  output.set("accepted_prediction_tokens", u.accepted_prediction_tokens);
  output.set("rejected_prediction_tokens", u.rejected_prediction_tokens);
  o.set("completion_tokens_details", std::move(output));
  return o;
}

std::string chat_completion(const AnswerMeta& meta, std::span<const AnswerChoice> choices,
                            const AnswerUsage& usage) {
  Json root = envelope(meta, "chat.completion");
  Json list = Json::array();
  for (const AnswerChoice& c : choices) {
    Json message = Json::object();
    message.set("role", "assistant");
    message.set("content", c.text);
    message.set("refusal", Json());
    Json o = Json::object();
    o.set("index", c.index);
    o.set("message", std::move(message));
    o.set("logprobs", chat_logprobs(c));
    o.set("finish_reason", finish_json(c));
    set_token_ids(o, c);
    list.push_back(std::move(o));
  }
  root.set("choices", std::move(list));
  root.set("usage", usage_json(usage));
  return root.dump();
}

std::string chat_chunk(const AnswerMeta& meta, const AnswerChoice& c, bool role) {
  Json delta = Json::object();
  if (role) delta.set("role", "assistant");
  if (role || !c.text.empty() || !c.finish_reason.has_value()) delta.set("content", c.text);
  Json o = Json::object();
  o.set("index", c.index);
  o.set("delta", std::move(delta));
  o.set("logprobs", chat_logprobs(c));
  o.set("finish_reason", finish_json(c));
  set_token_ids(o, c);
  return with_one_choice(envelope(meta, "chat.completion.chunk"), std::move(o));
}

std::string text_completion(const AnswerMeta& meta, std::span<const AnswerChoice> choices,
                            const AnswerUsage& usage) {
  Json root = envelope(meta, "text_completion");
  Json list = Json::array();
  for (const AnswerChoice& c : choices) list.push_back(text_choice(c));
  root.set("choices", std::move(list));
  root.set("usage", usage_json(usage));
  return root.dump();
}

std::string text_chunk(const AnswerMeta& meta, const AnswerChoice& c) {
  return with_one_choice(envelope(meta, "text_completion"), text_choice(c));
}

std::string usage_chunk(const AnswerMeta& meta, bool chat, const AnswerUsage& usage,
                        const AnswerTimings& t) {
  Json root = envelope(meta, chat ? "chat.completion.chunk" : "text_completion");
  root.set("choices", Json::array());
  root.set("usage", usage_json(usage));
  Json timings = Json::object();
  timings.set("queue_ms", t.queue_ms);
  timings.set("prefill_ms", t.prefill_ms);
  timings.set("decode_ms", t.decode_ms);
  timings.set("detokenize_ms", t.detokenize_ms);
  timings.set("write_ms", t.write_ms);
  timings.set("total_ms", t.total_ms);
  root.set("timings", std::move(timings));
  return root.dump();
}

Json model_json(const ModelCard& card) {
  Json o = Json::object();
  o.set("id", card.id);
  o.set("object", "model");
  o.set("created", card.created);
  o.set("owned_by", "weir");
  o.set("max_model_len", card.max_model_len);
  return o;
}

std::string model_list(std::span<const ModelCard> cards) {
  Json data = Json::array();
  for (const ModelCard& card : cards) data.push_back(model_json(card));
  Json root = Json::object();
  root.set("object", "list");
  root.set("data", std::move(data));
  return root.dump();
}

}  // namespace weir::api
