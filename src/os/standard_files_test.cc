#include "os/standard_files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/temp_dir.h"

namespace weir::os {
namespace {

// A file that is opened later is none of the three, and printing fails, or vanishes, beside it.
int without_standard_files(const std::string& path) {
  for (int fd = 0; fd < 3; ++fd) ::close(fd);
  fill_standard_files();
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT, 0600);
  if (file < 3) return 1;
  char byte = 0;
  if (::read(0, &byte, 1) >= 0) return 2;
  if (::write(1, "x", 1) >= 0) return 3;
  if (::write(2, "x", 1) != 1) return 4;
  return ::lseek(file, 0, SEEK_END) == 0 ? 0 : 5;
}

TEST(StandardFiles, ClosedOnesAreFilled) {
  const TempDir dir;
  const pid_t child = ::fork();
  if (child == 0) ::_exit(without_standard_files(dir.file("f")));
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(StandardFiles, OpenOnesStay) {
  const TempDir dir;
  const pid_t child = ::fork();
  if (child == 0) {
    const int file = ::open(dir.file("f").c_str(), O_RDWR | O_CREAT, 0600);
    ::dup2(file, 1);
    fill_standard_files();
    ::_exit(::write(1, "x", 1) == 1 ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

}  // namespace
}  // namespace weir::os
