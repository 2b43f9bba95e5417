// A fleet over many configurations: what is forgotten, and when.
#include "gateway/fleet_keeper.h"

#include <gtest/gtest.h>

#include <functional>
#include <future>
#include <memory>
#include <string>
#include <utility>

#include "gateway/gateway_testing.h"
#include "gateway/instruments.h"

namespace weir::gateway {
namespace {

class FleetKeeperTest : public testing::Test {
 protected:
  static GatewayConfig named(const std::string& pool) {
    const auto node = config::parse_yaml("listen: {port: 0}\nupstreams: {" + pool +
                                             ": {endpoints: [\"http://127.0.0.1:9\"]}}\n"
                                             "models: {chat: {targets: [{upstream: " +
                                             pool + "}]}}\n",
                                         "g.yaml");
    auto config = parse_gateway_config(
        *node, "g.yaml", [](const std::string&) { return std::optional<std::string>(); });
    EXPECT_TRUE(config.ok()) << config.error().message;
    return std::move(*config);
  }
  // On the proxy's thread.
  void on_thread(const std::function<void()>& what) {
    std::promise<void> done;
    client_->post([&] {
      what();
      done.set_value();
    });
    done.get_future().wait();
  }
  void adopt(const std::string& pool) {
    GatewayConfig next = named(pool);
    auto tls = FleetKeeper::prepare(next);
    keeper_.adopt(next, std::move(*tls));
    proxy_.adopt(std::move(next));
    proxy_.fleet().sweep();
  }

  SystemClock clock_;
  telemetry::Logger log_{{.level = telemetry::LogLevel::kOff}};
  const GatewayConfig first_ = named("p0");
  Instruments instruments_{first_};
  std::unique_ptr<http::Client> client_ = *http::Client::start({});
  Proxy proxy_{first_, *client_, clock_, instruments_, log_, nullptr, 1};
  FleetKeeper keeper_{proxy_, {}};
};

TEST_F(FleetKeeperTest, PoolsThatNobodyNamesAnyMoreAreForgotten) {
  ASSERT_TRUE(proxy_.open().ok());
  keeper_.start(*FleetKeeper::prepare(first_));
  on_thread([this] {
    Fleet& fleet = proxy_.fleet();
    std::shared_ptr<const GatewayConfig> kept;  // as a call keeps it that is under way
    for (int i = 1; i <= 1'000; ++i) {
      adopt("p" + std::to_string(i));
      ASSERT_LE(fleet.pools(), 4U) << i;
      if (i == 10) kept = proxy_.shared_config();
    }
    const size_t old = kept->models[0].targets[0].upstream;
    EXPECT_EQ(fleet.upstream(old).name, "p10") << "its number is not another's";
    EXPECT_TRUE(fleet.of(old).empty());
    EXPECT_EQ(fleet.slots().size(), 2U);
    kept.reset();
    adopt("last");
    adopt("last");
    EXPECT_LE(fleet.pools(), 3U);
    ASSERT_TRUE(fleet.find("last").has_value());
    EXPECT_EQ(fleet.of(*fleet.find("last")).size(), 1U);
  });
  client_.reset();
}

}  // namespace
}  // namespace weir::gateway
