// Requests whose stream broke off, as requests that go on with it. The first byte chooses protocol,
// path and style, the second how many tokens were said; a zero byte ends the text so far, the rest
// is the request. What goes out is JSON that ends in that text, and going on twice is going on once
// with both texts.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "gateway/translate/continuation.h"
#include "text/json.h"

namespace {

using namespace weir::gateway;
using weir::text::Json;

// Small, so that inputs reach them.
TranslateLimits limits() {
  TranslateLimits l;
  l.max_depth = 16;
  l.max_values = 256;
  return l;
}

struct Where {
  Protocol upstream = Protocol::kOpenAi;
  std::string_view path;
  ContinueStyle style = ContinueStyle::kNone;
};

Where where_of(uint8_t choice) {
  constexpr std::string_view kPaths[] = {"/v1/chat/completions", "/v1/completions", "/v1/responses",
                                         "/v1/embeddings"};
  Where w;
  w.style = static_cast<ContinueStyle>(choice % 3);
  w.path = kPaths[(choice >> 2) & 3];
  if ((choice & 16) != 0) {
    w.upstream = Protocol::kAnthropic;
    w.path = "/v1/messages";
  }
  return w;
}

weir::Result<std::string> go_on(const Where& w, std::string_view body, std::string_view text,
                                int64_t tokens) {
  return continue_request(body, w.upstream, w.path, w.style, text, tokens, limits());
}

// The last text that the upstream is told.
std::string last_text(const Json& body, std::string_view path) {
  if (path == "/v1/completions") return body.find("prompt")->as_string();
  const Json* content = body.find("messages")->items().back().find("content");
  if (content->is_string()) return content->as_string();
  return content->items().back().find("text")->as_string();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const Where where = where_of(data[0]);
  const auto tokens = static_cast<int64_t>(data[1]);
  std::string_view rest(reinterpret_cast<const char*>(data) + 2, size - 2);
  const size_t end = rest.find('\0');
  const std::string_view text = rest.substr(0, end);
  const std::string_view body = end == std::string_view::npos ? "" : rest.substr(end + 1);
  const auto once = go_on(where, body, text, tokens);
  if (!once.ok()) return 0;
  const auto read = Json::parse(*once, {.max_depth = limits().max_depth + 2});
  if (!read.ok()) {
    // A text that is no UTF-8 makes none; upstreams' events are checked before they come here.
    if (Json::parse(Json(text).dump()).ok()) std::abort();
    return 0;
  }
  if (!text.empty() && !last_text(*read, where.path).ends_with(text)) std::abort();
  if (text.empty()) return 0;
  const auto twice = go_on(where, *once, text, 0);
  if (!twice.ok()) return 0;  // beyond the bounds by a message
  const auto at_once = go_on(where, body, std::string(text) + std::string(text), tokens);
  if (!at_once.ok() || *at_once != *twice) std::abort();
  return 0;
}
