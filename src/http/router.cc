#include "http/router.h"

#include <algorithm>
#include <utility>

namespace weir::http {
namespace {

std::vector<std::string_view> split(std::string_view path) {
  std::vector<std::string_view> segments;
  if (path.empty() || path.front() != '/') return segments;  // matches nothing
  path.remove_prefix(1);
  while (true) {
    const size_t slash = path.find('/');
    segments.push_back(path.substr(0, slash));
    if (slash == std::string_view::npos) return segments;
    path.remove_prefix(slash + 1);
  }
}

bool is_param(std::string_view segment) {
  return segment.size() > 2 && segment.front() == '{' && segment.back() == '}';
}

bool is_rest(std::string_view segment) { return is_param(segment) && segment.ends_with("...}"); }

bool matches(const std::vector<std::string>& pattern, const std::vector<std::string_view>& path) {
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (i >= path.size()) return false;
    if (is_rest(pattern[i])) return true;
    if (is_param(pattern[i]) ? path[i].empty() : pattern[i] != path[i]) return false;
  }
  return pattern.size() == path.size();
}

// True when a's first parameter comes later than b's: the more literal pattern wins.
bool more_literal(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  const size_t common = std::min(a.size(), b.size());
  for (size_t i = 0; i < common; ++i) {
    const int rank_a = is_rest(a[i]) ? 2 : is_param(a[i]) ? 1 : 0;
    const int rank_b = is_rest(b[i]) ? 2 : is_param(b[i]) ? 1 : 0;
    if (rank_a != rank_b) return rank_a < rank_b;
  }
  return false;
}

}  // namespace

void Router::add(std::string method, std::string_view pattern, Route route) {
  Entry entry{std::move(method), std::string(pattern), {}, std::move(route)};
  for (const std::string_view segment : split(pattern)) entry.segments.emplace_back(segment);
  entries_.push_back(std::move(entry));
}

// The best entry for that method; method "" stands for any.
const Router::Entry* Router::best_match(std::string_view method,
                                        const std::vector<std::string_view>& path) const {
  const Entry* best = nullptr;
  for (const Entry& entry : entries_) {
    if (!method.empty() && entry.method != method) continue;
    if (!matches(entry.segments, path)) continue;
    if (best == nullptr || more_literal(entry.segments, best->segments)) best = &entry;
  }
  return best;
}

std::string_view Router::pattern_of(std::string_view path) const {
  const Entry* entry = best_match("", split(path));
  return entry != nullptr ? std::string_view(entry->pattern) : std::string_view();
}

void Router::handle(Request request, ResponseWriter writer) const {
  if (request.method == "OPTIONS" && request.path == "*") {  // the server as a whole
    writer.send(Response{204, {{"allow", "GET, HEAD, POST, DELETE, OPTIONS"}}, {}});
    return;
  }
  const auto path = split(request.path);
  const Entry* entry = best_match(request.method, path);
  if (entry == nullptr && request.method == "HEAD") entry = best_match("GET", path);
  if (entry != nullptr) {
    for (size_t i = 0; i < entry->segments.size(); ++i) {
      const std::string_view segment = entry->segments[i];
      if (!is_param(segment)) continue;
      const bool rest = is_rest(segment);
      const std::string_view name = segment.substr(1, segment.size() - (rest ? 5 : 2));
      // path[i] points into request.path, so a rest is everything from it to the end.
      const size_t offset = static_cast<size_t>(path[i].data() - request.path.data());
      const std::string_view raw = rest ? std::string_view(request.path).substr(offset) : path[i];
      request.params.emplace_back(name, percent_decode(raw).value_or(std::string(raw)));
    }
    entry->route(std::move(request), std::move(writer));
    return;
  }

  std::vector<std::string_view> allowed;
  for (const Entry& other : entries_) {
    if (matches(other.segments, path)) {
      allowed.push_back(other.method);
      if (other.method == "GET") allowed.push_back("HEAD");
    }
  }
  if (allowed.empty()) {
    const Error error = make_error(ErrorCode::kRouteNotFound, "no route {} {}", request.method,
                                   std::string_view(request.path).substr(0, 200));
    writer.note([](AnswerNotes& n) { n.error_code = error_code_name(ErrorCode::kRouteNotFound); });
    writer.send(render_error_(404, error, request.path));
    return;
  }
  allowed.push_back("OPTIONS");
  std::sort(allowed.begin(), allowed.end());
  allowed.erase(std::unique(allowed.begin(), allowed.end()), allowed.end());
  std::string allow;
  for (const std::string_view method : allowed) {
    if (!allow.empty()) allow += ", ";
    allow += method;
  }
  if (request.method == "OPTIONS") {
    writer.send(Response{204, {{"allow", allow}}, {}});
    return;
  }
  const Error error = make_error(ErrorCode::kMethodNotAllowed,
                                 "{} is not allowed here; allowed: {}", request.method, allow);
  writer.note([](AnswerNotes& n) { n.error_code = error_code_name(ErrorCode::kMethodNotAllowed); });
  Response response = render_error_(405, error, request.path);
  response.headers.set("allow", allow);
  writer.send(std::move(response));
}

}  // namespace weir::http
