#include "http/resolver.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <future>
#include <map>
#include <memory>
#include <thread>

namespace weir::http {
namespace {

using std::chrono::seconds;

// A name server that says nothing for names with "silent" in them until it is told to.
class Server {
 public:
  Result<Resolver::Addresses> look(const std::string& name) {
    {
      MutexLock lock(mutex_);
      ++looks_[name];
      most_ = std::max(most_, ++running_);
      begun_.notify_all();
      while (name.find("silent") != std::string::npos && !speaks_) wake_.wait(mutex_);
      --running_;
    }
    if (name == "gone") return make_error(ErrorCode::kIo, "Host not found");
    return Resolver::Addresses{boost::asio::ip::make_address("10.0.0.1")};
  }
  Resolver::Lookup lookup() {
    return [this](const std::string& name) { return look(name); };
  }
  void speak() {
    MutexLock lock(mutex_);
    speaks_ = true;
    wake_.notify_all();
  }
  int looks(const std::string& name) {
    MutexLock lock(mutex_);
    return looks_[name];
  }
  size_t most() {
    MutexLock lock(mutex_);
    return most_;
  }
  // Until as many lookups wait for it.
  void wait_for(size_t running) {
    MutexLock lock(mutex_);
    while (running_ < running) begun_.wait(mutex_);
  }

 private:
  Mutex mutex_;
  ConditionVariable wake_, begun_;
  bool speaks_ = false;
  size_t running_ = 0, most_ = 0;
  std::map<std::string, int> looks_;
};

// Lets a test end that has failed: a resolver waits for what is being looked up.
struct SpeaksAtTheEnd {
  explicit SpeaksAtTheEnd(Server& s) : server(s) {}
  ~SpeaksAtTheEnd() { server.speak(); }
  SpeaksAtTheEnd(const SpeaksAtTheEnd&) = delete;
  SpeaksAtTheEnd& operator=(const SpeaksAtTheEnd&) = delete;
  Server& server;
};

std::future<Result<Resolver::Addresses>> ask(Resolver& resolver, const std::string& name) {
  auto answer = std::make_shared<std::promise<Result<Resolver::Addresses>>>();
  resolver.resolve(
      name, [answer](const Result<Resolver::Addresses>& found) { answer->set_value(found); });
  return answer->get_future();
}

TEST(Resolver, ASilentServerHoldsUpItsOwnNamesAlone) {
  Server server;
  Resolver resolver(server.lookup());
  const SpeaksAtTheEnd end(server);
  std::vector<std::future<Result<Resolver::Addresses>>> silent;
  for (size_t i = 1; i < Resolver::kThreads; ++i)
    silent.push_back(ask(resolver, "silent" + std::to_string(i)));
  for (int i = 0; i < 20; ++i) {
    auto good = ask(resolver, "good" + std::to_string(i));
    ASSERT_EQ(good.wait_for(seconds(10)), std::future_status::ready);
    EXPECT_EQ(good.get()->front().to_string(), "10.0.0.1");
  }
  auto gone = ask(resolver, "gone");
  EXPECT_EQ(gone.get().error().message, "Host not found");
  for (auto& s : silent) EXPECT_EQ(s.wait_for(seconds(0)), std::future_status::timeout);
  server.speak();
  for (auto& s : silent) EXPECT_TRUE(s.get().ok());
}

TEST(Resolver, WhoAsksMeanwhileGetsTheSameAnswer) {
  Server server;
  Resolver resolver(server.lookup());
  const SpeaksAtTheEnd end(server);
  std::vector<std::future<Result<Resolver::Addresses>>> all;
  for (int i = 0; i < 100; ++i) all.push_back(ask(resolver, "silent"));
  auto good = ask(resolver, "good");
  ASSERT_EQ(good.wait_for(seconds(10)), std::future_status::ready);
  server.speak();
  for (auto& one : all) EXPECT_TRUE(one.get().ok());
  EXPECT_EQ(server.looks("silent"), 1);
  EXPECT_TRUE(ask(resolver, "silent").get().ok());
  EXPECT_EQ(server.looks("silent"), 2) << "an answer is not kept";
}

TEST(Resolver, ThreadsAreBounded) {
  Server server;
  Resolver resolver(server.lookup());
  const SpeaksAtTheEnd end(server);
  std::vector<std::future<Result<Resolver::Addresses>>> all;
  for (size_t i = 0; i < 4 * Resolver::kThreads; ++i)
    all.push_back(ask(resolver, "silent" + std::to_string(i)));
  server.wait_for(Resolver::kThreads);
  server.speak();
  for (auto& one : all) EXPECT_TRUE(one.get().ok());
  EXPECT_EQ(server.most(), Resolver::kThreads);
}

// How many were told of a resolver whose end begins, as far as pause is long enough for it to
// begin, while all its threads wait and as many names again have none.
int told_at_the_end(std::chrono::milliseconds pause, Server& server) {
  std::atomic<int> told = 0;
  auto resolver = std::make_unique<Resolver>(server.lookup());
  for (size_t i = 0; i < 2 * Resolver::kThreads; ++i)
    resolver->resolve("silent" + std::to_string(i),
                      [&told](const Result<Resolver::Addresses>&) { ++told; });
  server.wait_for(Resolver::kThreads);
  std::thread ends([&resolver] { resolver.reset(); });
  std::this_thread::sleep_for(pause);
  server.speak();
  ends.join();
  return told;
}

TEST(Resolver, WhoWaitsWhenItEndsIsNotTold) {
  int told = 1;
  for (int ms = 2; told != 0 && ms < 4'000; ms *= 4) {
    Server server;
    told = told_at_the_end(std::chrono::milliseconds(ms), server);
    if (told == 0) {
      EXPECT_EQ(server.most(), Resolver::kThreads);
      EXPECT_EQ(server.looks("silent" + std::to_string(2 * Resolver::kThreads - 1)), 0);
    }
  }
  EXPECT_EQ(told, 0);
}

TEST(Resolver, AsksTheSystem) {
  Resolver resolver;
  const auto found = ask(resolver, "localhost").get();
  ASSERT_TRUE(found.ok()) << found.error().message;
  EXPECT_TRUE(found->front().is_loopback());
  EXPECT_FALSE(ask(resolver, "no-such-name.invalid").get().ok());
}

}  // namespace
}  // namespace weir::http
