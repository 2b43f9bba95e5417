// Server-sent events, WHATWG HTML section 9.2: formatting only.
#pragma once

#include <string>
#include <string_view>

namespace weir::http {

inline constexpr std::string_view kSseContentType = "text/event-stream; charset=utf-8";
inline constexpr std::string_view kSseKeepAlive = ": keep-alive\n\n";
inline constexpr std::string_view kSseDone = "data: [DONE]\n\n";

// Appends "data: …\n\n"; a line end inside data starts another data line.
void append_sse_data(std::string& out, std::string_view data);
// The same with "event: name\n" in front; name must hold no line end.
void append_sse_event(std::string& out, std::string_view name, std::string_view data);
std::string sse_data(std::string_view data);

}  // namespace weir::http
