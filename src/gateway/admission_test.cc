#include "gateway/admission.h"

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <thread>

namespace weir::gateway {
namespace {

struct Waiting final : Admission::Waiter {
  void admitted() override { in.set_value(); }
  void shed(ShedReason, int64_t) override { ADD_FAILURE() << "it was let in"; }
  std::promise<void> in;
};

// It goes with the configuration that it is of; a timer of one that waited there fires later.
TEST(Admission, ATimerMayFireWhenItIsNoMore) {
  SystemClock clock;
  auto client = std::move(*http::Client::start({}));
  ShedConfig config;
  config.max_in_flight = 1;
  config.max_wait_ms = 40;
  const auto who = std::make_shared<Waiting>();  // shared: enter() wants it
  auto door = std::make_unique<Admission>(config, *client, clock);
  const auto on_loop = [&](const std::function<void()>& fn) {
    std::promise<void> done;
    client->post([&] {
      fn();
      done.set_value();
    });
    done.get_future().wait();
  };
  on_loop([&] {
    EXPECT_EQ(door->enter(who, 0, 0).entry, Admission::Entry::kIn);
    EXPECT_EQ(door->enter(who, 0, 0).entry, Admission::Entry::kWaits);
    door->leave();
  });
  who->in.get_future().wait();
  on_loop([&] {
    door->leave();
    door.reset();
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(80));
  on_loop([] {});
}

}  // namespace
}  // namespace weir::gateway
