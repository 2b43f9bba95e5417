#include "http/resolver.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <utility>

#include "os/thread.h"

namespace weir::http {

Resolver::Resolver(Lookup lookup) : lookup_(std::move(lookup)) {}

Resolver::~Resolver() {
  std::vector<std::thread> threads;
  {
    MutexLock lock(mutex_);
    stop_ = true;
    wake_.notify_all();
    threads = std::move(threads_);
  }
  for (std::thread& t : threads) t.join();
}

void Resolver::resolve(const std::string& name, Done done) {
  MutexLock lock(mutex_);
  std::vector<Done>& askers = asked_[name];
  askers.push_back(std::move(done));
  if (askers.size() > 1) return;
  waiting_.push_back(name);
  if (waiting_.size() > idle_ && threads_.size() < kThreads)
    threads_.emplace_back([this] { loop(); });
  wake_.notify_one();
}

void Resolver::loop() {
  os::set_thread_name("resolver");
  while (true) {
    std::string name;
    {
      MutexLock lock(mutex_);
      ++idle_;
      while (waiting_.empty() && !stop_) wake_.wait(mutex_);
      --idle_;
      if (stop_) return;
      name = std::move(waiting_.front());
      waiting_.pop_front();
    }
    const Result<Addresses> found = lookup_(name);
    std::vector<Done> askers;
    {
      MutexLock lock(mutex_);
      if (stop_) return;
      askers = std::move(asked_.extract(name).mapped());
    }
    for (const Done& done : askers) done(found);
  }
}

Result<Resolver::Addresses> Resolver::system_lookup(const std::string& name) {
  boost::asio::io_context none;  // it runs nothing: this call waits
  boost::asio::ip::tcp::resolver resolver(none);
  boost::system::error_code error;
  const auto found = resolver.resolve(name, "", error);
  if (error) return make_error(ErrorCode::kIo, "{}", error.message());
  Addresses out;
  for (const auto& entry : found) out.push_back(entry.endpoint().address());
  return out;
}

}  // namespace weir::http
