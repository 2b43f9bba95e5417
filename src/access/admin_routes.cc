#include "access/admin_routes.h"

#include <utility>

#include "access/credentials.h"
#include "api/replies.h"

namespace weir::access {
AdminRoutes::AdminRoutes(std::string token, KeyCheck key_has_right)
    : token_(std::move(token)),
      key_has_right_(std::move(key_has_right)),
      router_(api::render_http_error) {}

void AdminRoutes::add(std::string method, std::string_view pattern, http::Router::Route route) {
  router_.add(std::move(method), pattern, std::move(route));
}

bool AdminRoutes::allowed(const http::Request& request) const {
  const std::string_view given = presented_key(request.headers);
  if (given.empty()) return false;
  if (!token_.empty() && constant_time_equal(given, token_)) return true;
  return key_has_right_ && key_has_right_(given);
}

void AdminRoutes::handle(http::Request request, http::ResponseWriter writer) const {
  const std::string id = writer.request_id();
  if (const Status ok = check_no_key_in_url(request.query); !ok.ok()) {
    writer.send(api::error_response(ok.error(), id));
  } else if (!allowed(request)) {
    const Error e = presented_key(request.headers).empty()
                        ? make_error(ErrorCode::kInvalidApiKey,
                                     "the admin token is needed: Authorization: Bearer TOKEN")
                        : make_error(ErrorCode::kInvalidApiKey, "this is not the admin token");
    writer.send(api::error_response(e, id));
  } else {
    router_.handle(std::move(request), std::move(writer));
  }
}

}  // namespace weir::access
