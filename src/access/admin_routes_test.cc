// The admin listener over loopback: its own token, its own routes.
#include <gtest/gtest.h>

#include "access/admin_routes.h"
#include "http/server_test_util.h"

namespace weir::access {
namespace {

using http::TestClient;

class AdminTest : public testing::Test {
 protected:
  void SetUp() override {
    routes_.add("GET", "/admin/ping", [](const http::Request&, http::ResponseWriter w) {
      w.send(http::json_response(200, "{}"));
    });
    auto handle = [this](http::Request request, http::ResponseWriter writer) {
      routes_.handle(std::move(request), std::move(writer));
    };
    auto server = http::Server::start({}, handle, {}, clock_);
    ASSERT_TRUE(server.ok());
    server_ = std::move(*server);
  }

  int status(const std::string& target, const std::string& fields = "") {
    const auto response =
        TestClient(server_->port())
            .exchange("GET " + target + " HTTP/1.1\r\nHost: t\r\n" + fields + "\r\n");
    return response.has_value() ? response->status : 0;
  }

  SystemClock clock_;
  AdminRoutes routes_{"secret-token", [](std::string_view key) { return key == "admin-key"; }};
  std::unique_ptr<http::Server> server_;
};

TEST_F(AdminTest, AsksForItsToken) {
  EXPECT_EQ(status("/admin/ping"), 401);
  EXPECT_EQ(status("/admin/ping", "Authorization: Bearer wrong\r\n"), 401);
  EXPECT_EQ(status("/admin/ping", "Authorization: Bearer secret-token\r\n"), 200);
  EXPECT_EQ(status("/admin/ping", "authorization: bearer secret-token\r\n"), 200);
  EXPECT_EQ(status("/admin/ping", "x-api-key: secret-token\r\n"), 200);
  EXPECT_EQ(status("/admin/ping", "x-api-key: admin-key\r\n"), 200);
}

TEST_F(AdminTest, SaysNothingAboutPathsWithoutTheToken) {
  EXPECT_EQ(status("/admin/unknown"), 401);
  EXPECT_EQ(status("/admin/unknown", "x-api-key: secret-token\r\n"), 404);
}

TEST_F(AdminTest, RefusesATokenInTheUrl) {
  EXPECT_EQ(status("/admin/ping?token=secret-token", "x-api-key: secret-token\r\n"), 400);
}

TEST(AdminRoutesTest, AnEmptyTokenLetsNobodyIn) {
  AdminRoutes routes("");
  // An empty key counts as none, so that it never equals the empty token.
  const SystemClock clock;
  auto server = http::Server::start(
      {},
      [&](http::Request q, http::ResponseWriter w) { routes.handle(std::move(q), std::move(w)); },
      {}, clock);
  ASSERT_TRUE(server.ok());
  const auto r = TestClient((*server)->port())
                     .exchange("GET /x HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer \r\n\r\n");
  ASSERT_TRUE(r.has_value());
  EXPECT_EQ(r->status, 401);
}

}  // namespace
}  // namespace weir::access
