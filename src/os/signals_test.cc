#include "os/signals.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <thread>

#include "os/file.h"
#include "os/mapped_file.h"
#include "os/temp_dir.h"

namespace weir::os {
namespace {

bool blocked(int signal) {
  sigset_t now;
  ::pthread_sigmask(SIG_BLOCK, nullptr, &now);
  return ::sigismember(&now, signal) == 1;
}

TEST(Signals, ArriveAsValues) {
  auto signals = Signals::block({SIGUSR1, SIGTERM});
  ASSERT_TRUE(signals.ok());
  EXPECT_GE(signals->fd(), 0);
  EXPECT_EQ(*signals->wait(0), std::nullopt);
  ASSERT_EQ(::kill(::getpid(), SIGTERM), 0);
  EXPECT_EQ(*signals->wait(10'000), SIGTERM);
  ASSERT_EQ(::kill(::getpid(), SIGUSR1), 0);
  EXPECT_EQ(*signals->wait(-1), SIGUSR1);
  EXPECT_EQ(*signals->wait(1), std::nullopt);
}

TEST(Signals, MaskIsInheritedAndRestored) {
  ASSERT_FALSE(blocked(SIGUSR2));
  {
    auto signals = Signals::block({SIGUSR2});
    ASSERT_TRUE(signals.ok());
    EXPECT_TRUE(blocked(SIGUSR2));
    bool in_thread = false;
    std::thread([&] { in_thread = blocked(SIGUSR2); }).join();
    EXPECT_TRUE(in_thread);
  }
  EXPECT_FALSE(blocked(SIGUSR2));
}

TEST(Signals, MoveKeepsThem) {
  auto signals = Signals::block({SIGUSR1});
  ASSERT_TRUE(signals.ok());
  Signals moved = std::move(signals).value();
  ASSERT_EQ(::kill(::getpid(), SIGUSR1), 0);
  EXPECT_EQ(*moved.wait(10'000), SIGUSR1);
}

TEST(Signals, BrokenPipeIsAnErrorNotADeath) {
  ignore_sigpipe();
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ::close(ends[0]);
  EXPECT_EQ(::write(ends[1], "x", 1), -1);
  EXPECT_EQ(errno, EPIPE);
  ::close(ends[1]);
}

TEST(SignalsDeathTest, AFileThatWasMadeShorterIsSaidToBe) {
  const TempDir dir;
  const std::string path = dir.path() + "/file";
  ASSERT_TRUE(write_file_atomic(path, std::string(8192, 'x')).ok());
  const auto read_shortened = [&path] {
    explain_sigbus();
    const auto file = MappedFile::open(path);
    if (!file.ok() || ::truncate(path.c_str(), 0) != 0) ::_exit(1);
    const volatile std::byte* bytes = file->bytes().data();
    (void)bytes[4096];
  };
  EXPECT_EXIT(read_shortened(), ::testing::KilledBySignal(SIGBUS),
              "model file was made shorter.*renaming a new one over");
}

TEST(SignalsDeathTest, LastWordsAreSaidAndTheSignalKills) {
  for (const int signal : {SIGINT, SIGTERM}) {
    const auto die = [signal] {
      const LastWords words("go on with the same command\n");
      (void)::raise(signal);
    };
    EXPECT_EXIT(die(), ::testing::KilledBySignal(signal), "go on with the same command");
  }
}

TEST(SignalsDeathTest, LastWordsEndWithTheirObjectAndIgnoredSignalsStayIgnored) {
  const auto die = [] {
    (void)::signal(SIGINT, SIG_IGN);
    {
      const LastWords words("never said\n");
      (void)::raise(SIGINT);
    }
    (void)::raise(SIGINT);
    (void)::raise(SIGTERM);
  };
  EXPECT_EXIT(die(), ::testing::KilledBySignal(SIGTERM), "^$");
}

}  // namespace
}  // namespace weir::os
