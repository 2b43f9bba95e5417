// Whoever listens where Redis is looked for, and says what Redis would not.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <utility>

#include "os/temp_dir.h"

namespace weir::gateway {

// Listens at a socket of the file system and takes one connection, which it closes when `serve`
// returns. serve: on a thread of its own, with the connection. The end waits for both: somebody
// must have connected.
class UnixPeer {
 public:
  explicit UnixPeer(std::function<void(int connection)> serve)
      : fd_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path().c_str(), sizeof(address.sun_path) - 1);
    EXPECT_EQ(::bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(::listen(fd_, 1), 0);
    thread_ = std::thread([fd = fd_, serve = std::move(serve)] {
      const int connection = ::accept(fd, nullptr, nullptr);
      serve(connection);
      ::close(connection);
    });
  }
  ~UnixPeer() {
    thread_.join();
    ::close(fd_);
  }
  UnixPeer(const UnixPeer&) = delete;
  UnixPeer& operator=(const UnixPeer&) = delete;

  std::string path() const { return dir_.file("redis.sock"); }

 private:
  const os::TempDir dir_;
  const int fd_;
  std::thread thread_;
};

}  // namespace weir::gateway
