// The routes of the admin listener, which has its own address and asks for its own token. A feature
// adds its routes where the server is put together (server/server.cc), before anything is served:
//
//   admin.add("GET", "/admin/trace", [this](http::Request r, http::ResponseWriter w) { … });
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "http/message.h"
#include "http/response_writer.h"
#include "http/router.h"

namespace weir::access {

class AdminRoutes {
 public:
  // Whether a key other than the token may use the admin routes too; any thread, never blocks.
  using KeyCheck = std::function<bool(std::string_view key)>;

  // token: at least one byte, or nobody but the holders of such keys gets in.
  explicit AdminRoutes(std::string token, KeyCheck key_has_right = {});

  // Call before serving. A route runs on the admin listener's own thread: it may take milliseconds,
  // no more.
  void add(std::string method, std::string_view pattern, http::Router::Route route);

  // 400 for a key in the URL, 401 without the token, whatever the path; then the route. Any thread.
  void handle(http::Request request, http::ResponseWriter writer) const;

 private:
  bool allowed(const http::Request& request) const;

  const std::string token_;
  const KeyCheck key_has_right_;
  http::Router router_;
};

}  // namespace weir::access
