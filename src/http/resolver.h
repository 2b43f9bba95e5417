// Addresses of names, looked up by threads of its own, so that a name server that is silent holds
// up only those who ask for its names: each name is looked up by one thread at a time, whoever
// asks meanwhile gets the same answer, and a name waits only while kThreads others are being looked
// up. How long one takes is the system's affair (resolv.conf, 10 s as a rule); whoever asks has a
// time of its own.
#pragma once

#include <boost/asio/ip/address.hpp>
#include <cstddef>
#include <deque>
#include <functional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "base/thread_annotations.h"

namespace weir::http {

class Resolver {
 public:
  using Addresses = std::vector<boost::asio::ip::address>;
  // Blocks; on any thread. Error: kIo with the reason.
  using Lookup = std::function<Result<Addresses>(const std::string& name)>;
  // On one of the resolver's threads; must not block.
  using Done = std::function<void(const Result<Addresses>&)>;

  // As many silent names as this hold up others. A thread that waits for the network costs its
  // stack, 8 MiB of addresses and some 16 KiB of memory.
  static constexpr size_t kThreads = 8;

  // Threads begin with the first names that need them.
  explicit Resolver(Lookup lookup = system_lookup);
  // Waits for what is being looked up; of what waits nobody is told.
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // Any thread.
  void resolve(const std::string& name, Done done) WEIR_EXCLUDES(mutex_);

  // getaddrinfo, in the order that it gives.
  static Result<Addresses> system_lookup(const std::string& name);

 private:
  void loop() WEIR_EXCLUDES(mutex_);

  const Lookup lookup_;
  Mutex mutex_;
  ConditionVariable wake_;
  std::unordered_map<std::string, std::vector<Done>> asked_ WEIR_GUARDED_BY(mutex_);
  std::deque<std::string> waiting_ WEIR_GUARDED_BY(mutex_);  // of these, not begun
  size_t idle_ WEIR_GUARDED_BY(mutex_) = 0;                  // threads without a name
  bool stop_ WEIR_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_ WEIR_GUARDED_BY(mutex_);
};

}  // namespace weir::http
