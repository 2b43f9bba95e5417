// Hostile programs, each against the limit that is there for it.
#include "os/sandbox.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "os/file.h"
#include "os/python.h"
#include "os/temp_dir.h"

namespace weir::os {
namespace {

class SandboxTest : public ::testing::Test {
 protected:
  void SetUp() override {
    static const Result<Python> python = find_python("python3");
    if (!python.ok()) GTEST_SKIP() << python.error().message;
    python_ = *python;
    const auto probe = try_run("");
    if (!probe.ok() && probe.error().code == ErrorCode::kUnsupported)
      GTEST_SKIP() << probe.error().message;
  }
  Result<SandboxResult> try_run(const std::string& program) const {
    SandboxJob job;
    job.command = {python_.program, "-B", "-s"};
    job.file_name = "main.py";
    job.file_text = program;
    job.readable = system_readable();
    job.readable.insert(job.readable.end(), python_.readable.begin(), python_.readable.end());
    return run_sandboxed(job, limits_);
  }
  SandboxResult run(const std::string& program) const {
    auto r = try_run(program);
    EXPECT_TRUE(r.ok()) << r.error().message;
    return r.ok() ? *r : SandboxResult{};
  }
  // Runs a statement that must raise an OSError (or what is named) and says which.
  std::string denied(const std::string& statement) const {
    const SandboxResult r = run("import os, errno\ntry:\n    " + statement +
                                "\n    print('allowed')\nexcept OSError as e:\n"
                                "    print(errno.errorcode[e.errno])\n");
    EXPECT_EQ(r.code, 0) << r.output;
    return r.output.substr(0, r.output.find('\n'));
  }
  static std::string quoted(const std::string& path) { return "'" + path + "'"; }

  Python python_;
  SandboxLimits limits_;
};

TEST_F(SandboxTest, RunsAProgramAndKeepsWhatItSays) {
  const SandboxResult r =
      run("import sys\nprint('out')\nprint('err', file=sys.stderr)\nsys.exit(7)");
  EXPECT_EQ(r.end, SandboxEnd::kExited);
  EXPECT_EQ(r.code, 7);
  EXPECT_NE(r.output.find("out\n"), std::string::npos);
  EXPECT_NE(r.output.find("err\n"), std::string::npos);
  EXPECT_FALSE(r.cut);
}

TEST_F(SandboxTest, UsefulModulesWork) {
  const SandboxResult r = run(
      "import math, re, json, collections, itertools, functools, random, hashlib, tempfile\n"
      "import asyncio, threading, heapq, typing, statistics, decimal, fractions, datetime\n"
      "async def f(): return 5\nassert asyncio.run(f()) == 5\n"
      "t = threading.Thread(target=lambda: print('thread')); t.start(); t.join()\n"
      "with tempfile.TemporaryFile() as f: f.write(b'x')\n"
      "open('a', 'w').write('b'); assert open('a').read() == 'b'\nprint(datetime.datetime.now())");
  EXPECT_EQ(r.code, 0) << r.output;
  EXPECT_EQ(r.output.substr(0, 6), "thread");
}

TEST_F(SandboxTest, AnEndlessLoopEndsWithItsCpuTime) {
  limits_.cpu_s = 1;
  limits_.wall_s = 120;  // a busy machine gives that second late
  const SandboxResult r = run("while True: pass");
  EXPECT_EQ(r.end, SandboxEnd::kCpuTime);
}

TEST_F(SandboxTest, SleepingEndsAtTheClockOfTheWall) {
  limits_.wall_s = 2;
  const SandboxResult r =
      run("import time, signal\nfor s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):\n"
          "    signal.signal(s, signal.SIG_IGN)\ntime.sleep(60)");
  EXPECT_EQ(r.end, SandboxEnd::kWallTime);
  EXPECT_LT(r.seconds, 30);
}

TEST_F(SandboxTest, ClosingItsStreamsHidesNothing) {
  limits_.wall_s = 0.6;
  EXPECT_EQ(run("import os, time\nos.closerange(0, 64)\ntime.sleep(60)").end,
            SandboxEnd::kWallTime);
}

TEST_F(SandboxTest, MemoryIsBounded) {
  limits_.memory_bytes = int64_t{256} << 20;
  const SandboxResult r =
      run("try:\n    a = bytearray(4 << 30)\n    print('allowed')\nexcept MemoryError:\n"
          "    print('refused')");
  EXPECT_EQ(r.output, "refused\n");
  const SandboxResult grows = run("a = []\nwhile True: a.append(bytearray(1 << 20))");
  EXPECT_NE(grows.code, 0);
  EXPECT_NE(grows.output.find("MemoryError"), std::string::npos) << grows.output;
}

TEST_F(SandboxTest, NoProcessCanBeStarted) {
  EXPECT_EQ(denied("os.fork()"), "EPERM");
  EXPECT_EQ(denied("__import__('socket').socketpair(1, 2)"), "EPERM");  // datagrams find paths
  EXPECT_EQ(denied("__import__('subprocess').run(['/bin/true'])"), "EPERM");
  EXPECT_EQ(denied("os.posix_spawn('/bin/true', ['true'], {})"), "EPERM");
  const SandboxResult bomb = run("import os\nwhile True:\n    os.fork()");
  EXPECT_EQ(bomb.code, 1);
  EXPECT_NE(bomb.output.find("PermissionError"), std::string::npos) << bomb.output;
}

TEST_F(SandboxTest, FilesAreBoundedAndGoAwayWithTheFolder) {
  limits_.file_bytes = 1 << 20;
  EXPECT_EQ(
      denied("f = open('big', 'wb', buffering=0); [f.write(b'x' * 65536) for _ in range(64)]"),
      "EFBIG");
  limits_.open_files = 32;
  EXPECT_EQ(denied("files = [open('f%d' % i, 'w') for i in range(100)]"), "EMFILE");
  const SandboxResult r = run("import os\nprint(os.getcwd())\nopen('left', 'w').write('x')");
  const std::string folder = r.output.substr(0, r.output.find('\n'));
  EXPECT_NE(folder.find("weir-run-"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(folder));
}

TEST_F(SandboxTest, AllFilesTogetherAreBoundedWhereTheFolderIsAMount) {
  limits_.folder_bytes = 4 << 20;
  limits_.file_bytes = 1 << 20;
  const SandboxResult r = run("print('namespaces')");
  if (!r.without.empty()) GTEST_SKIP() << r.without;
  EXPECT_EQ(denied("[open('f%d' % i, 'wb', buffering=0).write(b'x' * 1000000) for i in range(9)]"),
            "ENOSPC");
}

TEST_F(SandboxTest, NothingElseCanBeWrittenOrRead) {
  const TempDir outside;
  std::ofstream(outside.file("secret")) << "secret";
  const std::string secret = quoted(outside.file("secret"));
  EXPECT_NE(denied("open(" + secret + ", 'w')"), "allowed");
  EXPECT_NE(denied("open(" + secret + ", 'a')"), "allowed");
  EXPECT_NE(denied("open(" + quoted(outside.file("new")) + ", 'w')"), "allowed");
  EXPECT_NE(denied("os.unlink(" + secret + ")"), "allowed");
  EXPECT_NE(denied("os.truncate(" + secret + ", 0)"), "allowed");
  EXPECT_NE(denied("os.open(" + secret + ", os.O_RDONLY | os.O_TRUNC)"), "allowed");
  EXPECT_NE(denied("os.chmod(" + secret + ", 0)"), "allowed");
  EXPECT_NE(denied("os.utime(" + secret + ", (0, 0))"), "allowed");
  EXPECT_NE(denied("os.rename(" + secret + ", 'here')"), "allowed");
  EXPECT_NE(denied("os.mkdir(" + quoted(outside.file("folder")) + ")"), "allowed");
  const auto text = read_file(outside.file("secret"), 100);
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(*text, "secret");
  if (denied("open('/etc/hostname')") == "allowed") GTEST_SKIP() << "no Landlock: reading is free";
  EXPECT_EQ(denied("open(" + secret + ")"), "EACCES");
  EXPECT_EQ(denied("os.listdir('/')"), "EACCES");
  EXPECT_EQ(denied("open('/proc/self/environ')"), "EACCES");
}

TEST_F(SandboxTest, NothingOfTheCallerIsOpenInIt) {
  const TempDir outside;
  std::ofstream(outside.file("secret")) << "secret";
  const int fd = ::open(outside.file("secret").c_str(), O_RDWR);  // not close-on-exec
  ASSERT_GE(fd, 0);
  const SandboxResult r =
      run("import os\nopen_ones = []\nfor fd in range(3, 64):\n    try:\n        os.fstat(fd)\n"
          "        open_ones.append(fd)\n    except OSError: pass\nprint(open_ones, "
          "sorted(os.environ))");
  ::close(fd);
  EXPECT_EQ(r.output.substr(0, 3), "[] ") << r.output;
  EXPECT_EQ(r.output.find("WEIR"), std::string::npos);
}

TEST_F(SandboxTest, NoSocket) {
  for (const char* family : {"AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK"})
    EXPECT_EQ(denied(std::string("__import__('socket').socket(__import__('socket').") + family +
                     ", __import__('socket').SOCK_DGRAM)"),
              "EPERM");
}

TEST_F(SandboxTest, NoSignalReachesAnybodyElse) {
  EXPECT_EQ(denied("os.kill(os.getppid(), 9)"), "EPERM");
  EXPECT_EQ(denied("os.kill(" + std::to_string(::getpid()) + ", 9)"), "EPERM");
  EXPECT_EQ(denied("os.kill(-1, 9)"), "EPERM");
  EXPECT_EQ(denied("os.killpg(0, 9)"), "EPERM");
  EXPECT_EQ(denied("os.setsid()"), "EPERM");
  EXPECT_EQ(
      denied("f = open('x', 'w'); __import__('fcntl').fcntl(f, __import__('fcntl').F_SETOWN, " +
             std::to_string(::getpid()) + ")"),
      "EPERM");
  const SandboxResult self = run("import os\nos.kill(os.getpid(), 0)\nos.abort()");
  EXPECT_EQ(self.end, SandboxEnd::kSignal) << self.output;
}

TEST_F(SandboxTest, CallsThatLeadOutAreRefused) {
  const auto call = [&](const std::string& arguments) {
    const SandboxResult r =
        run("import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\nr = libc." + arguments +
            "\nprint(r, ctypes.get_errno())");
    return r.output.substr(0, r.output.find('\n'));
  };
  EXPECT_EQ(call("ptrace(0, 0, 0, 0)"), "-1 1");
  EXPECT_EQ(call("unshare(0x10000000)"), "-1 1");
  EXPECT_EQ(call("mount(b'none', b'/', b'tmpfs', 0, 0)"), "-1 1");
  EXPECT_EQ(call("chroot(b'.')"), "-1 1");
  EXPECT_EQ(call("prctl(1, 0, 0, 0, 0)"), "-1 1");  // PR_SET_PDEATHSIG
  EXPECT_EQ(call("memfd_create(b'x', 0)"), "-1 1");
  EXPECT_EQ(call("syscall(435, 0, 0)"), "-1 38");  // clone3
  EXPECT_EQ(call("syscall(425, 1, 0)"), "-1 38");  // io_uring_setup
  EXPECT_EQ(call("syscall(462, 0, 0)"), "-1 38");  // newer than what was looked at
}

TEST_F(SandboxTest, OutputIsBoundedAndItsEndIsKept) {
  limits_.output_bytes = 1000;
  const SandboxResult r = run("for i in range(200000): print('line', i)\nprint('the end')");
  EXPECT_TRUE(r.cut);
  EXPECT_EQ(r.output.size(), 1000U);
  EXPECT_TRUE(r.output.ends_with("the end\n"));
}

TEST_F(SandboxTest, ManyAtOnceDoNotTouchEachOther) {
  std::vector<std::thread> threads;
  std::vector<std::string> outputs(6);
  for (size_t i = 0; i < outputs.size(); ++i) {
    threads.emplace_back([&, i] {
      outputs[i] =
          run("open('a', 'w').write('" + std::to_string(i) + "')\nprint(open('a').read())").output;
    });
  }
  for (std::thread& t : threads) t.join();
  for (size_t i = 0; i < outputs.size(); ++i) EXPECT_EQ(outputs[i], std::to_string(i) + "\n");
}

TEST_F(SandboxTest, AProgramThatIsNotThereIsAnError) {
  python_.program = "/usr/bin/no-such-python";
  const auto r = try_run("");
  ASSERT_FALSE(r.ok());
  EXPECT_EQ(r.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(r.error().message.find("execve"), std::string::npos) << r.error().message;
}

}  // namespace
}  // namespace weir::os
