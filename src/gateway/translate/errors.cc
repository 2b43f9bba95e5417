// Errors of upstreams, read whatever their shape, and errors as a client's protocol has them.
#include <algorithm>
#include <array>
#include <utility>

#include "api/error_table.h"
#include "gateway/translate/answers.h"
#include "text/ascii_lower.h"
#include "text/utf8.h"

namespace weir::gateway::translate {
namespace {

using text::Json;

constexpr size_t kMessageBytes = 2048;
constexpr size_t kErrorBodyBytes = size_t{64} << 10;  // that is looked into

std::string string_of(const Json& object, std::string_view name) {
  const Json* value = object.find(name);
  return value != nullptr && value->is_string() ? value->as_string() : std::string();
}

struct ErrorBody {
  std::string message;
  std::string type;
  std::string code;
  std::string param;
  int status = 0;  // where the body names one
};

// {"error":{...}}, {"error":"..."}, vLLM's former {"object":"error",...}, FastAPI's {"detail":...}.
ErrorBody read_body(std::string_view body) {
  ErrorBody out;
  if (body.size() > kErrorBodyBytes) return out;
  const auto json = Json::parse(body);
  if (!json.ok()) return out;
  const Json* error = json->find("error");
  if (error != nullptr && error->is_string()) out.message = error->as_string();
  const Json& from = error != nullptr && error->is_object() ? *error : *json;
  if (out.message.empty()) out.message = string_of(from, "message");
  if (out.message.empty()) out.message = string_of(from, "detail");
  out.type = string_of(from, "type");
  out.code = string_of(from, "code");
  out.param = string_of(from, "param");
  const Json* code = from.find("code");
  if (code != nullptr && code->is_int() && code->as_int() >= 400 && code->as_int() < 600) {
    out.status = static_cast<int>(code->as_int());
  }
  return out;
}

ErrorCode code_of_status(int status) {
  switch (status) {
    case 401:
    case 402:
    case 403:
      return ErrorCode::kInternal;
    case 404:
      return ErrorCode::kModelNotFound;
    case 405:
      return ErrorCode::kMethodNotAllowed;
    case 408:
    case 504:
      return ErrorCode::kRequestTimeout;
    case 413:
      return ErrorCode::kBodyTooLarge;
    case 415:
      return ErrorCode::kUnsupportedMediaType;
    case 429:
      return ErrorCode::kRateLimitExceeded;
    case 503:
    case 529:  // Anthropic's own for overloaded_error
      return ErrorCode::kServerOverloaded;
    default:
      return status >= 400 && status < 500 ? ErrorCode::kBadRequest : ErrorCode::kInternal;
  }
}

struct TypeRow {
  std::string_view type;
  int status;
};
constexpr std::array kTypes{
    TypeRow{"invalid_request_error", 400}, TypeRow{"authentication_error", 401},
    TypeRow{"permission_error", 403},      TypeRow{"not_found_error", 404},
    TypeRow{"timeout_error", 408},         TypeRow{"request_too_large", 413},
    TypeRow{"rate_limit_error", 429},      TypeRow{"overloaded_error", 529},
    TypeRow{"server_error", 500},          TypeRow{"api_error", 500},
    TypeRow{"insufficient_quota", 429},
};

int status_of_type(std::string_view type) {
  for (const TypeRow& row : kTypes) {
    if (row.type == type) return row.status;
  }
  return 500;
}

// How Anthropic, OpenAI, vLLM and SGLang say that a prompt does not fit.
bool is_context_length(const ErrorBody& body) {
  if (body.code == "context_length_exceeded") return true;
  const std::string message = text::ascii_lower(body.message);
  constexpr std::array<std::string_view, 3> kPhrases{"prompt is too long", "context length",
                                                     "context window"};
  return std::any_of(kPhrases.begin(), kPhrases.end(), [&](std::string_view phrase) {
    return message.find(phrase) != std::string::npos;
  });
}

}  // namespace

Error read_error(int status, std::string_view body) {
  ErrorBody read = read_body(body);
  if (status < 400) status = read.status != 0 ? read.status : status_of_type(read.type);
  Error error;
  error.code = code_of_status(status);
  if (error.code == ErrorCode::kBadRequest && is_context_length(read)) {
    error.code = ErrorCode::kContextLengthExceeded;
  }
  error.message = read.message.empty() ? fmt::format("the upstream answered with status {}", status)
                                       : std::string(text::cut_utf8(read.message, kMessageBytes));
  error.param = std::string(text::cut_utf8(read.param, 200));
  return error;
}

namespace {

// weir's and llama.cpp's answers to a path that they do not have are in the API's form.
bool is_of_no_route(std::string_view message) {
  return message.starts_with("no route ") || message == "File Not Found";
}

}  // namespace

bool is_api_error(std::string_view body) {
  if (body.size() > kErrorBodyBytes) return false;
  const auto json = Json::parse(body);
  if (!json.ok()) return false;
  const Json* error = json->find("error");
  if (error != nullptr && error->is_object())
    return error->find("message") != nullptr && !is_of_no_route(string_of(*error, "message"));
  const Json* object = json->find("object");  // vLLM's former
  if (object != nullptr && *object == Json("error")) return true;
  // Dynamo: {"message":"Model not found","type":"Not Found","code":404}
  const Json* code = json->find("code");
  if (code != nullptr && code->is_int() && !string_of(*json, "message").empty()) return true;
  // Dynamo's former: {"error":"Model not found"}. Web servers say "Not Found" in the same way.
  return json->is_object() && json->members().size() == 1 &&
         text::ascii_lower(string_of(*json, "error")).find("model") != std::string::npos;
}

std::string write_error(Protocol protocol, const Error& error, std::string_view request_id) {
  std::string openai = api::render_error(error, request_id);
  if (protocol == Protocol::kOpenAi) return openai;
  // The same message, with what must not be shown taken out of it.
  const auto rendered = Json::parse(openai);
  Json inner = Json::object();
  inner.set("type", api::error_row(error.code).anthropic_type);
  inner.set("message", rendered.ok() ? string_of(*rendered->find("error"), "message") : "");
  Json root = Json::object();
  root.set("type", "error");
  root.set("error", std::move(inner));
  if (!request_id.empty()) root.set("request_id", text::replace_invalid_utf8(request_id));
  return root.dump();
}

}  // namespace weir::gateway::translate
