#include "os/limits.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

namespace weir::os {
namespace {

// 8 bytes and a few bits each, in the kernel.
constexpr rlim_t kDescriptorsWithRoom = 16'384;

// A table is as large as the highest descriptor it ever held.
void make_room(rlim_t descriptors) {
  const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null < 0) return;
  const int highest = fcntl(null, F_DUPFD_CLOEXEC, static_cast<int>(descriptors) - 1);
  if (highest >= 0) close(highest);
  close(null);
}

}  // namespace

void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  make_room(std::min(limit.rlim_max, kDescriptorsWithRoom));
}

}  // namespace weir::os
