// Method and path → handler. Paths are compared segment by segment as sent; "{name}" takes one
// segment (percent-decoded into Request::params), "{name...}" as last segment takes the rest. A
// literal segment wins over a parameter.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "http/message.h"
#include "http/response_writer.h"

namespace weir::http {

class Router {
 public:
  using Route = std::function<void(Request request, ResponseWriter writer)>;
  // Renders 404 and 405; the Allow header is added by the router.
  using RouteError = std::function<Response(int status, const Error& error, std::string_view path)>;

  explicit Router(RouteError render_error) : render_error_(std::move(render_error)) {}

  // Call before serving; a GET route also answers HEAD.
  void add(std::string method, std::string_view pattern, Route route);
  // Routes, or answers 404, 405 with Allow, or OPTIONS with 204 and Allow. Const and without locks:
  // any thread.
  void handle(Request request, ResponseWriter writer) const;
  // The pattern that a path matches ("/v1/models/{id}"), for metrics labels; "" if none.
  std::string_view pattern_of(std::string_view path) const;

 private:
  struct Entry {
    std::string method;
    std::string pattern;
    std::vector<std::string> segments;
    Route route;
  };
  const Entry* best_match(std::string_view method, const std::vector<std::string_view>& path) const;

  std::vector<Entry> entries_;
  RouteError render_error_;
};

}  // namespace weir::http
