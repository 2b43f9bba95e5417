#include "ops/eval/remote_reply.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "text/json.h"
#include "text/utf8.h"

namespace weir::ops {
namespace {

using text::Json;

constexpr text::JsonLimits kLimits{
    .max_depth = 64, .max_values = ReplyLimits::kValues, .replace_lone_surrogates = true};

constexpr std::string_view kNoPromptLogprobs =
    "multiple choice needs the log-probability of each token of the prompt from /v1/completions "
    "with echo and logprobs: evaluate at a server that gives them (vLLM and weir do), or run the "
    "suite "
    "without its multiple_choice tasks";

Result<Json> parse(std::string_view body) {
  if (body.size() > ReplyLimits::kBodyBytes) {
    return make_error(ErrorCode::kLimit, "the reply has {} bytes, more than {}", body.size(),
                      ReplyLimits::kBodyBytes);
  }
  auto parsed = Json::parse(body, kLimits);
  if (!parsed.ok()) return parsed.error().with_context("the reply is no JSON");
  // Some proxies and servers say 200 all the same.
  const Json* error = parsed->find("error");
  if (error != nullptr && !error->is_null())
    return make_error(ErrorCode::kCorrupt, "the server answered with an error: {}",
                      reply_error(body));
  return parsed;
}

// What stands there, in a few words: numbers and empty lists as they are.
std::string shown(const Json* got) {
  if (got == nullptr) return "absent";
  if (got->is_number()) return got->dump();
  if (got->is_array() && got->size() == 0) return "an empty list";
  return std::string(got->type_name());
}

Error wrong(std::string_view path, std::string_view must, const Json* got) {
  return make_error(ErrorCode::kCorrupt,
                    "the reply's {} must be {}, not {}: is the URL that of an OpenAI-compatible "
                    "server?",
                    path, must, shown(got));
}

// Absent and null are the same.
const Json* member(const Json& object, std::string_view key) {
  const Json* found = object.find(key);
  return found == nullptr || found->is_null() ? nullptr : found;
}

Result<const Json*> first_choice(const Json& reply) {
  const Json* choices = reply.find("choices");
  if (choices == nullptr || !choices->is_array() || choices->size() == 0)
    return wrong("choices", "a list of at least one", choices);
  const Json& choice = choices->items().front();
  if (!choice.is_object()) return wrong("choices[0]", "an object", &choice);
  return &choice;
}

// usage.KEY; 0 where it is absent, unless it is required.
Result<int32_t> usage(const Json& reply, std::string_view key, bool required) {
  const Json* all = member(reply, "usage");
  const Json* count = all == nullptr ? nullptr : member(*all, key);
  if (count == nullptr && !required) return 0;
  const bool good = count != nullptr && count->is_int() && count->as_int() >= 0 &&
                    count->as_int() <= static_cast<int64_t>(ReplyLimits::kPromptTokens);
  if (good) return static_cast<int32_t>(count->as_int());
  return wrong(fmt::format("usage.{}", key),
               fmt::format("a count of at most {}", ReplyLimits::kPromptTokens), count);
}

// Counts and the reason of the end.
Status read_rest(const Json& reply, const Json& choice, Generated& out) {
  const Json* reason = member(choice, "finish_reason");
  if (reason != nullptr && !reason->is_string())
    return wrong("choices[0].finish_reason", "a string or null", reason);
  out.cut = reason != nullptr && reason->as_string() == "length";
  WEIR_ASSIGN(out.prompt_tokens, usage(reply, "prompt_tokens", false));
  WEIR_ASSIGN(out.tokens, usage(reply, "completion_tokens", false));
  return {};
}

// A block that parse_tool_calls reads. A '<' in it is escaped: it must not look like the block's
// end.
std::string call_block(const std::string& name, const Json& arguments) {
  Json call = Json::object();
  call.set("name", name);
  call.set("arguments", arguments);
  std::string out = "<tool_call>\n";
  for (const char c : call.dump()) {
    if (c == '<') {
      out += "\\u003c";
    } else {
      out += c;
    }
  }
  return out + "\n</tool_call>";
}

Status add_calls(const Json& calls, std::string& text) {
  if (!calls.is_array()) return wrong("choices[0].message.tool_calls", "a list", &calls);
  if (calls.size() > ReplyLimits::kToolCalls) {
    return make_error(ErrorCode::kLimit,
                      "the reply's choices[0].message.tool_calls has {} entries, more than {}",
                      calls.size(), ReplyLimits::kToolCalls);
  }
  for (size_t i = 0; i < calls.size(); ++i) {
    const std::string path = fmt::format("choices[0].message.tool_calls[{}].function", i);
    const Json* function = calls.items()[i].find("function");
    if (function == nullptr || !function->is_object()) return wrong(path, "an object", function);
    const Json* name = function->find("name");
    if (name == nullptr || !name->is_string()) return wrong(path + ".name", "a string", name);
    const Json* arguments = member(*function, "arguments");
    if (arguments != nullptr && !arguments->is_string() && !arguments->is_object())
      return wrong(path + ".arguments", "a string of JSON", arguments);
    if (!text.empty()) text += '\n';
    text += call_block(name->as_string(), arguments == nullptr ? Json::object() : *arguments);
  }
  return {};
}

std::string one_line(std::string_view text) {
  std::string out;
  for (const char c : text::replace_invalid_utf8(text.substr(0, ReplyLimits::kErrorBytes * 4)))
    out += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? ' ' : c;
  return std::string(text::cut_utf8(out, ReplyLimits::kErrorBytes));
}

Status check_length(const std::string& answer) {
  if (answer.size() <= ReplyLimits::kAnswerBytes) return {};
  return make_error(ErrorCode::kLimit,
                    "the reply's answer has {} bytes, and {} are read: ask for fewer with "
                    "max_tokens",
                    answer.size(), ReplyLimits::kAnswerBytes);
}

Error no_logprobs(std::string_view what) {
  return make_error(ErrorCode::kCorrupt, "the reply's choices[0].logprobs{}: {}", what,
                    kNoPromptLogprobs);
}

}  // namespace

Result<Generated> parse_completion_reply(std::string_view body) {
  WEIR_ASSIGN(const Json reply, parse(body));
  WEIR_ASSIGN(const Json* choice, first_choice(reply));
  const Json* text = choice->find("text");
  if (text == nullptr || !text->is_string()) return wrong("choices[0].text", "a string", text);
  Generated out;
  out.text = text->as_string();
  WEIR_TRY(check_length(out.text));
  WEIR_TRY(read_rest(reply, *choice, out));
  return out;
}

Result<Generated> parse_chat_reply(std::string_view body) {
  WEIR_ASSIGN(const Json reply, parse(body));
  WEIR_ASSIGN(const Json* choice, first_choice(reply));
  const Json* message = choice->find("message");
  if (message == nullptr || !message->is_object())
    return wrong("choices[0].message", "an object", message);
  Generated out;
  const Json* content = member(*message, "content");
  const Json* refusal = member(*message, "refusal");
  if (content == nullptr && refusal != nullptr) content = refusal;
  if (content != nullptr && !content->is_string())
    return wrong("choices[0].message.content", "a string or null", content);
  if (content != nullptr) out.text = content->as_string();
  const Json* calls = member(*message, "tool_calls");
  if (calls != nullptr) WEIR_TRY(add_calls(*calls, out.text));
  WEIR_TRY(check_length(out.text));
  WEIR_TRY(read_rest(reply, *choice, out));
  return out;
}

Result<int32_t> parse_prompt_tokens(std::string_view body) {
  WEIR_ASSIGN(const Json reply, parse(body));
  return usage(reply, "prompt_tokens", true);
}

Result<std::vector<double>> parse_prompt_logprobs(std::string_view body) {
  WEIR_ASSIGN(const Json reply, parse(body));
  WEIR_ASSIGN(const Json* choice, first_choice(reply));
  const Json* logprobs = member(*choice, "logprobs");
  if (logprobs == nullptr || !logprobs->is_object()) {
    return no_logprobs(fmt::format(" must be an object with token_logprobs, not {}",
                                   logprobs == nullptr ? "null" : logprobs->type_name()));
  }
  const Json* values = member(*logprobs, "token_logprobs");
  if (values == nullptr || !values->is_array()) {
    return no_logprobs(fmt::format(".token_logprobs must be a list, not {}",
                                   values == nullptr ? "absent" : values->type_name()));
  }
  WEIR_ASSIGN(const int32_t count, usage(reply, "prompt_tokens", true));
  const auto tokens = static_cast<size_t>(count);
  if (values->size() < tokens) {
    return no_logprobs(fmt::format(".token_logprobs has {} entries, and the prompt {} tokens",
                                   values->size(), tokens));
  }
  std::vector<double> out;
  out.reserve(tokens);
  for (size_t i = 0; i < tokens; ++i) {
    const Json& v = values->items()[i];
    if (v.is_null()) {
      out.push_back(std::numeric_limits<double>::quiet_NaN());
      continue;
    }
    // Rounding may pass 0; the bound below keeps sums finite.
    if (!v.is_number() || !(v.as_double() <= 1e-3 && v.as_double() >= -1e9)) {
      return no_logprobs(
          fmt::format(".token_logprobs[{}] must be a log-probability of at most 0 "
                      "or null, not {}",
                      i, shown(&v)));
    }
    out.push_back(v.as_double());
  }
  return out;
}

Result<double> choice_log_likelihood(const std::vector<double>& prompt_logprobs,
                                     int32_t context_tokens) {
  const auto from = static_cast<size_t>(std::max(context_tokens, 0));
  if (from >= prompt_logprobs.size()) {
    return make_error(ErrorCode::kCorrupt,
                      "the reply's usage.prompt_tokens is {} with the choice and {} without it: a "
                      "choice must have a token",
                      prompt_logprobs.size(), from);
  }
  double sum = 0;
  for (size_t i = from; i < prompt_logprobs.size(); ++i) {
    if (std::isnan(prompt_logprobs[i]))
      return no_logprobs(fmt::format(".token_logprobs[{}] is null, a token of the choice", i));
    sum += prompt_logprobs[i];
  }
  return sum;
}

Result<ServedModel> parse_models_reply(std::string_view body, std::string_view wanted) {
  WEIR_ASSIGN(const Json reply, parse(body));
  const Json* list = reply.find("data");
  if (list == nullptr || !list->is_array()) return wrong("data", "a list of models", list);
  if (list->size() > ReplyLimits::kModels) {
    return make_error(ErrorCode::kLimit, "the reply's data has {} models, more than {}",
                      list->size(), ReplyLimits::kModels);
  }
  std::string names;
  std::optional<ServedModel> found;
  size_t count = 0;
  for (const Json& card : list->items()) {
    const Json* id = card.find("id");
    if (id == nullptr || !id->is_string()) continue;
    ++count;
    if (names.size() < ReplyLimits::kErrorBytes)
      names += (names.empty() ? "" : ", ") + id->as_string();
    if (!wanted.empty() && id->as_string() != wanted) continue;
    found = ServedModel{id->as_string(), std::nullopt};
    const Json* window = card.find("max_model_len");
    if (window != nullptr && window->is_int() && window->as_int() > 0)
      found->window_tokens = window->as_int();
  }
  if (found && (count == 1 || !wanted.empty())) return *found;
  return make_error(ErrorCode::kModelNotFound, "the server has {}; name one of them: {}",
                    wanted.empty() ? fmt::format("{} models", count)
                                   : fmt::format("no model {}", one_line(wanted)),
                    one_line(names));
}

Result<size_t> parse_token_count(std::string_view body) {
  WEIR_ASSIGN(const Json reply, parse(body));
  const Json* count = reply.find("count");
  if (count != nullptr && count->is_int() && count->as_int() >= 0)
    return static_cast<size_t>(count->as_int());
  const Json* tokens = reply.find("tokens");
  if (tokens != nullptr && tokens->is_array()) return tokens->size();
  return wrong("count", "a count of tokens", count);
}

std::string reply_error(std::string_view body) {
  const auto parsed = Json::parse(body, kLimits);
  if (!parsed.ok()) return one_line(body);
  // OpenAI's {"error": {"message"}}, older vLLM's {"message"}, FastAPI's {"detail"}.
  const Json* error = parsed->find("error");
  const Json* said = error != nullptr ? error->find("message") : parsed->find("message");
  if (said == nullptr) said = error;
  if (said == nullptr) said = parsed->find("detail");
  if (said == nullptr) return one_line(body);
  return one_line(said->is_string() ? said->as_string() : said->dump());
}

}  // namespace weir::ops
